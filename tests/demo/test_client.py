"""The served app as programs see it: its named endpoints, sessions, and what it must not give away."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from tests.demo.conftest import Served
from tests.loading import load_detector
from zsad_demo.blocks import only_uploads

ENDPOINTS = {"/inspect", "/threshold", "/files", "/compare", "/difference", "/batch", "/batch_files",
             "/results", "/results_of_class"}  # fmt: skip


@pytest.fixture(scope="module")
def scores(samples: list[Path]) -> dict[str, float]:
    """What ``clip-baseline`` says of each of the first images."""
    detector = load_detector("clip-baseline", backbone="mini", device="cpu", dtype="float32")
    return {path.name: float(detector.predict([path], "biscuit").score[0]) for path in samples[:8]}


def inspect(client: Client, path: Path, method: str = "clip-baseline") -> tuple[Any, ...]:
    found: tuple[Any, ...] = client.predict(
        handle_file(str(path)), "biscuit", method, "", "", None, api_name="/inspect"
    )
    return found


def test_endpoints_are_named_and_described(served: Served) -> None:
    client = served.client()
    assert set(client.view_api(return_format="dict", print_info=False)["named_endpoints"]) == ENDPOINTS
    described = {entry["api_name"]: entry.get("api_description") for entry in client.config["dependencies"]}
    assert all(described[name.strip("/")] for name in ENDPOINTS)


def test_inspect_threshold_and_files(served: Served, samples: list[Path], scores: dict[str, float]) -> None:
    client = served.client()
    _, _, _, facts, _, mask, regions, at = inspect(client, samples[0])
    assert facts["score"] == pytest.approx(scores[samples[0].name], abs=1e-5)
    assert Image.open(mask["path"]).size == (320, 320)
    assert len(regions["data"]) == len(at["regions"])
    before = served.engine.counts()
    areas = [client.predict(t, api_name="/threshold")[3]["area_share"] for t in (0.1, 0.4, 0.7)]
    assert areas == sorted(areas, reverse=True)
    files = [Path(file["path"]) for file in client.predict(0.4, api_name="/files")]
    assert served.engine.counts() == before
    assert all(served.folder in path.parents for path in files)
    assert np.load(files[1]).dtype == np.float32
    assert json.loads(files[3].read_text())["map_threshold"] == 0.4


def test_a_second_image_of_the_same_settings_loads_and_encodes_nothing(
    served: Served, samples: list[Path]
) -> None:
    client = served.client()
    inspect(client, samples[0], "anomalyclip")
    before = served.engine.counts()
    facts = inspect(client, samples[1], "anomalyclip")[3]
    after = served.engine.counts()
    assert (facts["models_loaded"], after.loads, after.encodings) == (0, before.loads, before.encodings)
    assert after.passes == before.passes + 1


def test_compare_in_one_pass(served: Served, samples: list[Path]) -> None:
    client = served.client()
    image = handle_file(str(samples[0]))
    *_, facts = client.predict(image, "biscuit", ["clip-baseline", "winclip"], None, api_name="/compare")
    assert (facts["backbone_passes"], facts["separate_passes"]) == (1, 2)
    client.predict("winclip", "clip-baseline", api_name="/difference")
    with pytest.raises(AppError, match="none of the compared methods"):
        client.predict("winclip", "musc", api_name="/difference")


def test_batch_yields_and_its_files(
    served: Served, samples: list[Path], scores: dict[str, float], tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "parts.zip", "w") as archive:
        for path in samples[:8]:
            archive.write(path, path.name)
    client = served.client()
    given = [handle_file(str(tmp_path / "parts.zip"))]
    job = client.submit(given, "biscuit", "clip-baseline", None, api_name="/batch")
    _, _, table, _ = job.result()
    assert len(job.outputs()) == 2
    found = {row[1]: float(row[2]) for row in table["data"]}
    assert found == pytest.approx(scores, abs=1e-4)
    assert [row[1] for row in table["data"]] == sorted(scores, key=lambda name: -scores[name])
    table_file, page = (Path(file["path"]) for file in client.predict(api_name="/batch_files"))
    assert table_file.read_text().startswith("rank,image,score")
    assert page.read_text().startswith("<!doctype html>")


def test_sessions_do_not_see_one_another(served: Served, samples: list[Path]) -> None:
    one, other = served.client(), served.client()
    inspect(one, samples[0])
    for name, inputs in (("/threshold", [0.5]), ("/files", [0.5]), ("/batch_files", [])):
        with pytest.raises(AppError, match="first"):
            other.predict(*inputs, api_name=name)


def test_results_name_no_path_of_the_server(served: Served, runs: Path) -> None:
    found = served.client().predict("first", api_name="/results")
    assert len(found[0]["value"]["data"] if "value" in found[0] else found[0]["data"]) == 6
    text = json.dumps(found)
    assert str(runs) not in text
    assert "samples-" not in text


def test_errors_are_sentences(served: Served, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not an image")
    client = served.client()
    with pytest.raises(AppError) as error:
        inspect(client, tmp_path / "text.png")
    assert str(error.value) == "cannot read 'text.png': not a PNG, JPEG, BMP, TIFF, WebP or GIF image"
    with pytest.raises(AppError, match="unknown method"):
        inspect(client, tmp_path / "text.png", "nope")


def call(served: Served, api_name: str, *data: object) -> tuple[str, Any]:
    """Call an endpoint as a stranger would, without the client's uploads; return event and data."""
    base = f"{served.url}gradio_api/call/{api_name}"
    body = json.dumps({"data": list(data)})  # which writes NaN, unlike httpx
    answer = httpx.post(base, content=body, headers={"content-type": "application/json"})
    if answer.status_code != 200:
        return "refused", answer.text
    event = answer.json()["event_id"]
    with httpx.stream("GET", f"{base}/{event}", timeout=30) as stream:
        lines = [line for line in stream.iter_lines() if line]
    return lines[-2].removeprefix("event: "), lines[-1].removeprefix("data: ")


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "/proc/self/environ", __file__, "../../etc/passwd", "pyproject.toml",
     "http://127.0.0.1:1/x.png", "https://example.com/x.png", "file:///etc/passwd"],
)  # fmt: skip
def test_inputs_are_uploads_and_nothing_else(served: Served, path: str) -> None:
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    event, data = call(served, "inspect", file, "", "clip-baseline", "", "", None)
    assert event in ("error", "refused")
    assert "root:" not in data
    event, data = call(served, "batch", [file], "", "clip-baseline", None)
    assert event in ("error", "refused")


def test_inputs_without_a_path_are_refused(served: Served) -> None:
    pixel = "data:image/png;base64,iVBORw0KGgo="
    for file in ({"path": None, "url": pixel}, {"url": pixel}, {"path": ""}, "x", 3, [], {"x": 1}):
        event, _ = call(served, "inspect", file, "", "clip-baseline", "", "", None)
        assert event in ("error", "refused")


@pytest.mark.parametrize(
    "values",
    [("object", None, "", "", None), ("object", ["winclip"], "", "", None), (3, "winclip", "", "", None),
     ("object", "winclip", 3, "", None), ("object", "winclip", "", "", "big"), ({}, {}, {}, {}, {}),
     ("object", "winclip", "", "", float("nan")), ("object", "winclip", "", "", float("inf"))],
)  # fmt: skip
def test_inputs_of_other_types_are_refused_and_it_goes_on(
    served: Served, samples: list[Path], values: tuple[Any, ...]
) -> None:
    with samples[0].open("rb") as stream:
        uploaded = httpx.post(f"{served.url}gradio_api/upload", files={"files": stream}).json()[0]
    file = {"path": uploaded, "orig_name": "x.png", "meta": {"_type": "gradio.FileData"}}
    event, data = call(served, "inspect", file, *values)
    assert event in ("error", "refused")
    assert "Traceback" not in data
    assert "the server failed" not in data
    event, _ = call(served, "inspect", file, "object", "winclip", "", "", None)
    assert event == "complete"


@pytest.mark.parametrize("images", [[None], "x", {"x": 1}, [["x"]]])
def test_inputs_of_another_form_are_one_sentence(served: Served, images: object) -> None:
    event, data = call(served, "batch", images, "", "clip-baseline", None)
    assert event == "error"
    assert "do not have the form that this endpoint documents" in data


@pytest.mark.parametrize(
    "path", ["/etc/passwd", __file__, "pyproject.toml", "../pyproject.toml", "/proc/self/environ",
             "/tmp", "%2e%2e/%2e%2e/etc/passwd", "https://example.com/"],
)  # fmt: skip
def test_no_file_of_the_server_is_served(served: Served, path: str) -> None:
    answer = httpx.get(f"{served.url}gradio_api/file={path}")
    assert answer.status_code in (400, 403, 404, 422, 500)
    assert "root:" not in answer.text


def test_too_large_uploads_are_refused(served: Served) -> None:
    answer = httpx.post(
        f"{served.url}gradio_api/upload", files={"files": ("x.png", bytes(60_000_000))}, timeout=60
    )
    assert answer.status_code == 413


def test_an_upload_cannot_choose_where_it_lies(served: Served) -> None:
    files = {"files": ("../../../evil.png", b"x")}
    answer = httpx.post(f"{served.url}gradio_api/upload", files=files)
    if answer.status_code == 200:
        assert served.folder in Path(answer.json()[0]).resolve().parents


def test_files_from_elsewhere_are_found_wherever_they_hide(tmp_path: Path) -> None:
    folder, outside = tmp_path / "uploads", tmp_path / "secret.png"
    folder.mkdir()
    outside.write_bytes(b"x")
    (folder / "link.png").symlink_to(outside)
    inside = {"path": str(folder / "a" / "x.png"), "url": "https://x"}
    assert only_uploads([inside, [{"value": [inside]}], "https://x", 3, None, {"path": None}], folder)
    for path in ("https://x", "file:///x", str(outside), f"{folder}/../secret.png", f"{folder}/link.png",
                 f"{folder}-other/x.png", "\0", 3, {"path": "x"}):  # fmt: skip
        assert not only_uploads([None, [{"value": [{"path": path}]}]], folder), path


@pytest.mark.parametrize("marks", [{}, {"meta": {}}, {"meta": {"_type": "other"}}])
def test_an_image_of_the_server_is_no_input_however_it_is_named(
    served: Served, samples: list[Path], marks: dict[str, Any]
) -> None:
    file = {"path": str(samples[0]), **marks}
    for api_name, *rest in (
        ("inspect", "", "clip-baseline", "", "", None),
        ("compare", "", ["clip-baseline", "winclip"], None),
    ):
        event, data = call(served, api_name, file, *rest)
        assert event == "error"
        assert "only uploaded files are taken" in data
    event, _ = call(served, "batch", [file], "", "clip-baseline", None)
    assert event == "error"
