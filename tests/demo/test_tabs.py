"""The callbacks as plain functions."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from tests.loading import load_detector
from zsad.data.images import read_image
from zsad.detect.predictions import native_map
from zsad_demo.answers import Question
from zsad_demo.archive import Limits
from zsad_demo.batch import run_batch, write_files
from zsad_demo.engine import Engine
from zsad_demo.tabs.batch import BatchTab, Stop
from zsad_demo.tabs.compare import CompareTab
from zsad_demo.tabs.inspect import InspectTab
from zsad_demo.uploads import Upload

Payload = Callable[[Path], dict[str, Any]]


@pytest.fixture
def inspect(engine: Engine, payload: Payload) -> Callable[..., tuple[Any, ...]]:
    """Inspect an image: the result as the page gets it."""
    tab = InspectTab(engine, [])

    def ask(
        path: Path, noun: str = "biscuit", method: str = "clip-baseline", **inputs: Any
    ) -> tuple[Any, ...]:
        given = {"normal_words": "", "abnormal_words": "", "image_size": None} | inputs
        return tab.inspect(payload(path), noun, method, *given.values())

    return ask


def sentence(error: pytest.ExceptionInfo[gr.Error]) -> str:
    """Return the one sentence of an error; no path of the server is in it."""
    text = str(error.value.message)
    assert "\n" not in text
    assert "Traceback" not in text
    assert "/tmp" not in text
    return text


def test_inspect_agrees_with_the_detector(
    inspect: Callable[..., tuple[Any, ...]], samples: list[Path]
) -> None:
    shown, map_picture, bar, summary, facts, (view, overlay), mask, regions, at = inspect(samples[0])
    image = read_image(samples[0])
    wanted = load_detector("clip-baseline", backbone="mini", device="cpu", dtype="float32").predict(
        [image], "biscuit"
    )
    score = float(wanted.score[0])
    native = native_map(wanted.anomaly_map[0], *image.shape[:2])
    assert facts["score"] == pytest.approx(score, abs=1e-5)
    assert f"{score:.4f}" in summary
    for said in (facts["setting"], facts["fidelity"], "ImageNet-1k", "1 backbone pass"):
        assert said in summary
    np.testing.assert_array_equal(view, image)
    np.testing.assert_allclose(shown.view_map, native, atol=1e-5)
    np.testing.assert_array_equal(mask == 255, native >= 0.5)
    assert at["area_share"] == pytest.approx((native >= 0.5).mean())
    assert [row[3] for row in regions] == [f"{r['peak']:.3f}" for r in at["regions"]]
    assert overlay.shape == map_picture.shape == image.shape
    assert "from 0 to 1" in bar
    json.dumps(facts, allow_nan=False)


def test_the_threshold_asks_no_model(
    engine: Engine, inspect: Callable[..., tuple[Any, ...]], samples: list[Path]
) -> None:
    shown = inspect(samples[0])[0]
    tab, before = InspectTab(engine, []), engine.counts()
    areas = []
    for threshold in (0.1, 0.3, 0.6, 1.0):
        _, mask, _, at = tab.threshold(shown, threshold)
        np.testing.assert_array_equal(mask == 255, shown.view_map >= threshold)
        areas.append(at["area_share"])
    assert areas == sorted(areas, reverse=True)
    assert areas[-1] == 0
    assert engine.counts() == before


def test_files_are_at_the_images_own_size(
    engine: Engine, inspect: Callable[..., tuple[Any, ...]], tmp_path: Path, samples: list[Path]
) -> None:
    large = tmp_path / "large.png"
    Image.open(samples[0]).resize((1100, 900)).save(large)
    shown = inspect(large)[0]
    assert max(shown.view.shape) == 768
    files = {Path(file).name: Path(file) for file in InspectTab(engine, []).files(shown, 0.4)}
    anomaly_map = np.load(files["large_map.npy"], allow_pickle=False)
    assert (anomaly_map.dtype, anomaly_map.shape) == (np.float32, (900, 1100))
    mask = np.asarray(Image.open(files["large_mask.png"]))
    np.testing.assert_array_equal(mask == 255, anomaly_map >= 0.4)
    assert Image.open(files["large_overlay.png"]).size == (1100, 900)
    result = json.loads(files["large_result.json"].read_text())
    assert (result["map_threshold"], result["image"], result["object"]) == (0.4, "large.png", "biscuit")
    assert result["score"] == shown.answer.score


def test_pictures_are_saved_under_names_that_say_what_they_are(engine: Engine) -> None:
    with gr.Blocks() as page:
        InspectTab(engine, []).build()
        CompareTab(engine).build()
    dot = np.zeros((4, 4, 3), np.uint8)
    names = {}
    for component in page.blocks.values():
        if isinstance(component, gr.Image) and component.interactive is False:
            names[component.label] = component.postprocess(dot).orig_name
            assert component.postprocess(None) is None
        if isinstance(component, gr.ImageSlider):
            names[component.label] = [one.orig_name for one in component.postprocess((dot, dot)).root]
            assert component.postprocess(None) is None
    assert names == {
        "Anomaly map": "anomaly-map.jpg",
        "Mask": "mask.png",
        "Original and overlay": ["original.jpg", "overlay.jpg"],
        "Difference": "difference.png",
    }


def test_own_words_change_the_answer(inspect: Callable[..., tuple[Any, ...]], samples: list[Path]) -> None:
    plain = inspect(samples[0])[4]
    own = inspect(samples[0], normal_words="a whole {}", abnormal_words="a broken {}\na torn {}")[4]
    detector = load_detector(
        "clip-baseline", backbone="mini", device="cpu", dtype="float32",
        overrides=['prompt_learner.normal_prompts=["a whole {}"]',
                   'prompt_learner.abnormal_prompts=["a broken {}", "a torn {}"]'],
    )  # fmt: skip
    wanted = float(detector.predict([samples[0]], "biscuit").score[0])
    assert own["score"] == pytest.approx(wanted, abs=1e-5)
    assert abs(own["score"] - plain["score"]) > 1e-4


@pytest.mark.parametrize(
    ("inputs", "wanted"),
    [
        ({"method": "nope"}, "unknown method 'nope'"),
        ({"method": "/etc/passwd"}, "unknown method"),
        ({"method": "musc"}, "send several under Batch"),
        ({"method": "anomalyclip", "normal_words": "a {}"}, "takes no words of your own"),
        ({"image_size": 241}, "patch size 16; use image size 240 or 256"),
        ({"image_size": 5000}, "whole number up to"),
        ({"noun": "x" * 101}, "object noun has 101 characters"),
    ],
)
def test_wrong_input_is_one_sentence(
    inspect: Callable[..., tuple[Any, ...]], samples: list[Path], inputs: dict[str, Any], wanted: str
) -> None:
    with pytest.raises(gr.Error) as error:
        inspect(samples[0], **inputs)
    assert wanted in sentence(error)


def test_without_an_image_or_an_inspection_it_says_so(engine: Engine) -> None:
    tab = InspectTab(engine, [])
    with pytest.raises(gr.Error) as error:
        tab.inspect(None, "", "clip-baseline", "", "", None)
    assert "no image was given" in sentence(error)
    for ask in (lambda: tab.threshold(None, 0.5), lambda: tab.files(None, 0.5)):
        with pytest.raises(gr.Error) as error:
            ask()
        assert sentence(error) == "inspect an image first"


def test_what_nobody_foresaw_is_a_sentence_too(
    engine: Engine, inspect: Callable[..., tuple[Any, ...]], samples: list[Path],
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    def fail(*args: object) -> None:
        raise RuntimeError("secret /tmp/path")

    monkeypatch.setattr(engine, "ask", fail)
    with pytest.raises(gr.Error) as error:
        inspect(samples[0])
    assert "secret" not in sentence(error)
    assert "secret /tmp/path" in caplog.text  # the operator's log has the traceback


def test_compare_shares_the_pass_and_draws_the_difference(
    engine: Engine, payload: Payload, samples: list[Path]
) -> None:
    tab = CompareTab(engine)
    labels = ["clip-baseline", "anomalyclip", "winclip"]
    shown, pictures, bars, passes, rows, picture, _, facts = tab.compare(
        payload(samples[0]), "biscuit", labels, None
    )
    assert (facts["backbone_passes"], facts["separate_passes"]) == (1, 3)
    assert "1 backbone pass for 3 methods" in passes
    assert bars.count("role=") == 1  # one scale for all
    assert [row[0] for row in rows] == labels
    assert [caption for _, caption in pictures] == [
        f"{label}: {facts['methods'][label]['score']:.4f}" for label in labels
    ]
    for label in labels:
        detector = load_detector(label, backbone="mini", device="cpu", dtype="float32")
        wanted = float(detector.predict([samples[0]], "biscuit").score[0])
        assert facts["methods"][label]["score"] == pytest.approx(wanted, abs=1e-5)
    turned, _ = tab.difference(shown, "anomalyclip", "clip-baseline")
    assert picture.shape == turned.shape
    assert (picture != turned).any()
    same, _ = tab.difference(shown, "winclip", "winclip")
    assert len(np.unique(same.reshape(-1, 3), axis=0)) == 1


def test_methods_with_other_ranges_have_a_scale_each(
    engine: Engine, payload: Payload, samples: list[Path]
) -> None:
    bars = CompareTab(engine).compare(
        payload(samples[0]), "biscuit", ["winclip", "winclip@caoyunkang"], None
    )[2]
    assert "winclip from 0 to 1" in bars
    assert "winclip@caoyunkang from 0 to 0.5" in bars


@pytest.mark.parametrize("labels", [[], None, ["winclip"], ["winclip", "winclip"], list("abcde")])
def test_compare_takes_two_to_four_methods(
    engine: Engine, payload: Payload, samples: list[Path], labels: Any
) -> None:
    with pytest.raises(gr.Error) as error:
        CompareTab(engine).compare(payload(samples[0]), "", labels, None)
    assert "choose two to 4 methods" in sentence(error)


def test_batch_sorts_a_zip_and_images_by_score(
    engine: Engine, payload: Payload, samples: list[Path], tmp_path: Path
) -> None:
    archive = tmp_path / "parts.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for path in samples[:5]:
            opened.write(path, f"line/{path.name}")
        opened.writestr("../evil.png", b"x")
        opened.writestr("text.png", b"not an image")
    given = [payload(archive), payload(samples[6])]
    steps = list(BatchTab(engine).batch(given, "biscuit", "clip-baseline", None, Stop()))
    assert len(steps) == 2  # six images, four a pass
    batch, progress, pictures, rows, _ = steps[-1]
    assert "6 of 6 images, 2 left out" in progress
    detector = load_detector("clip-baseline", backbone="mini", device="cpu", dtype="float32")
    wanted = {
        f"line/{path.name}": float(detector.predict([path], "biscuit").score[0]) for path in samples[:5]
    }
    wanted[samples[6].name] = float(detector.predict([samples[6]], "biscuit").score[0])
    assert {one.name: one.score for one in batch.judged} == pytest.approx(wanted, abs=1e-5)
    assert [row[1] for row in rows[:6]] == sorted(wanted, key=lambda name: -wanted[name])
    assert [caption.split()[2] for _, caption in pictures] == [row[1] for row in rows[:6]]
    reasons = {row[1]: row[4] for row in rows[6:]}
    assert reasons["../evil.png"] == "its path leads out of the archive"
    assert reasons["text.png"].startswith("cannot read 'text.png'")


def test_batch_files_are_a_table_and_a_page_that_fetches_nothing(
    engine: Engine, payload: Payload, samples: list[Path], tmp_path: Path
) -> None:
    evil = tmp_path / "=cmd<b>.png"
    evil.write_bytes(samples[0].read_bytes())
    *_, last = BatchTab(engine).batch(
        [payload(evil), payload(samples[1])], "<i>nut</i>", "winclip", None, Stop()
    )
    table, page = write_files(last[0], tmp_path / "out")
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert [row["rank"] for row in rows] == ["1", "2"]
    assert {row["image"] for row in rows} == {"'=cmd<b>.png", samples[1].name}
    assert [float(row["score"]) for row in rows] == [one.score for one in last[0].ranked()]
    text = page.read_text()
    assert "<b>" not in text.replace("&lt;b&gt;", "")
    assert "<i>nut" not in text
    assert text.count("data:image/jpeg;base64,") == 2
    assert not re.search(r"(?:src|href)=\"(?!data:)", text)
    assert "http" not in text
    assert last[0].info.setting in text


def test_batch_with_a_transductive_method_answers_at_the_end(
    engine: Engine, payload: Payload, samples: list[Path]
) -> None:
    steps = list(
        BatchTab(engine).batch([payload(path) for path in samples[:6]], "biscuit", "musc", None, Stop())
    )
    assert [len(step[2]) for step in steps] == [0, 0, 6]
    assert "the method answers when it has seen all of them" in steps[0][1]
    with pytest.raises(gr.Error) as error:
        list(BatchTab(engine).batch([payload(samples[0])], "biscuit", "musc", None, Stop()))
    assert "give two or more" in sentence(error)


def test_a_stopped_batch_keeps_what_is_there_and_cleans_up(
    engine: Engine, payload: Payload, samples: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    archive = tmp_path / "parts.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for path in samples[:9]:
            opened.write(path, path.name)
    stop = Stop()
    running = BatchTab(engine).batch([payload(archive)], "biscuit", "clip-baseline", None, stop)
    assert "4 of 9 images." in next(running)[1]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] != []
    stop.asked = True
    batch, progress, *_ = next(running)
    assert "Stopped after 8 of 9 images; these are kept." in progress
    assert list(running) == []
    assert len(batch.judged) == 8
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []
    with pytest.raises(gr.Error, match="stopped before the first image"):
        next(BatchTab(engine).batch([payload(archive)], "biscuit", "clip-baseline", None, stop))


def test_what_a_visitor_who_leaves_had_unpacked_is_cleaned_up(
    engine: Engine, payload: Payload, samples: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    running = BatchTab(engine).batch(
        [payload(path) for path in samples[:9]], "biscuit", "clip-baseline", None, Stop()
    )
    next(running)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] != []
    running.close()
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def test_a_batch_of_nothing_is_one_sentence(engine: Engine, payload: Payload, tmp_path: Path) -> None:
    empty, text = tmp_path / "empty.zip", tmp_path / "a.png"
    zipfile.ZipFile(empty, "w").close()
    text.write_text("no image")
    for given, wanted in (
        ([], "no image was given"),
        (None, "no image was given"),
        ([payload(empty)], "there is no image in empty.zip"),
        ([payload(text)], "none of the 1 images could be read; cannot read 'a.png'"),
    ):
        with pytest.raises(gr.Error) as error:
            list(BatchTab(engine).batch(given, "", "clip-baseline", None, Stop()))
        assert wanted in sentence(error)


def test_a_batch_says_what_its_archive_holds_beside_images(
    engine: Engine, payload: Payload, samples: list[Path], tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(samples[0], "a.png")
        archive.writestr("b.heic", b"x")
        archive.writestr("__MACOSX/._a.png", b"x")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("b.heic", b"x")
    model = next(found for found in engine.models.values() if found.label == "clip-baseline")
    uploads = [Upload(tmp_path / "a.zip", "a.zip")]
    *_, batch = run_batch(engine, uploads, "biscuit", Question(model, model.image_size))
    assert [one.name for one in batch.judged] == ["a.png"]
    ((name, reason),) = batch.failed
    assert name == "a.zip"
    assert reason.startswith("left out: 2, because .heic needs converting to PNG or JPEG (1), left behind")
    with pytest.raises(gr.Error) as error:
        list(BatchTab(engine).batch([payload(tmp_path / "b.zip")], "", "clip-baseline", None, Stop()))
    assert sentence(error).endswith(
        "there is no image in b.zip; left out: 1, because .heic needs converting to PNG or JPEG (1)"
    )


def test_too_many_images_are_refused_before_any_is_read(
    engine: Engine, payload: Payload, tmp_path: Path
) -> None:
    missing = [payload(tmp_path / f"{number}.png") for number in range(201)]
    with pytest.raises(gr.Error) as error:
        list(BatchTab(engine).batch(missing, "", "clip-baseline", None, Stop()))
    assert "more than 200 images" in sentence(error)


def test_files_of_an_image_with_a_long_foreign_name(
    engine: Engine, payload: Payload, samples: list[Path]
) -> None:
    tab = InspectTab(engine, [])
    given = payload(samples[0]) | {"orig_name": "\U0001f50e" * 90 + ".png"}
    shown = tab.inspect(given, "biscuit", "clip-baseline", "", "", None)[0]
    names = [Path(file).name for file in tab.files(shown, 0.5)]
    assert all(name.startswith("\U0001f50e" * 50 + "_") for name in names)


@pytest.mark.parametrize("labels", [3, {"winclip": 1}, [["a"], ["b"]], "winclip"])
def test_compare_takes_a_list_of_names(
    engine: Engine, payload: Payload, samples: list[Path], labels: Any
) -> None:
    with pytest.raises(gr.Error) as error:
        CompareTab(engine).compare(payload(samples[0]), "", labels, None)
    assert "have to be a list of names" in sentence(error)


def test_all_archives_together_have_the_limits_of_one(
    engine: Engine, payload: Payload, samples: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "parts.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for path in samples[:3]:
            opened.write(path, path.name)
        for number in range(60):
            opened.writestr(f"../{number}.png", b"x")
    size = sum(path.stat().st_size for path in samples[:3])
    monkeypatch.setattr("zsad_demo.batch.LIMITS", Limits(total_bytes=2 * size))
    for count, wanted in ((3, "'parts.zip' unpacks to more than"), (4, "more than 200 images")):
        if count == 4:
            monkeypatch.setattr("zsad_demo.batch.LIMITS", Limits())
        with pytest.raises(gr.Error) as error:
            next(BatchTab(engine).batch([payload(archive)] * count, "", "clip-baseline", None, Stop()))
        assert wanted in sentence(error)


@pytest.mark.parametrize("images", [3, "x", {"path": "x"}, ["x"], [None], [[{"path": "x"}]]])
def test_a_batch_of_other_types_is_one_sentence(engine: Engine, images: Any) -> None:
    with pytest.raises(gr.Error) as error:
        next(BatchTab(engine).batch(images, "", "clip-baseline", None, Stop()))
    assert "server failed" not in sentence(error)


def test_a_method_that_compares_images_takes_fewer_large_ones(
    engine: Engine, payload: Payload, samples: list[Path]
) -> None:
    given = [payload(samples[0])] * 12
    with pytest.raises(gr.Error) as error:
        next(BatchTab(engine).batch(given, "", "musc", 1024, Stop()))
    assert "takes at most 11 images of 1024 px, not 12" in sentence(error)
    next(BatchTab(engine).batch(given, "", "musc", 96, Stop()))


FORMULAS = {
    "=1+1.jpg": "'=1+1.jpg",
    "a;=1+1;.jpg": "a;'=1+1;.jpg",
    "a,@SUM(1).jpg": "a,'@SUM(1).jpg",
    'a; "=1+1".jpg': 'a;\' "=1+1".jpg',
    "a|-1.jpg": "a|'-1.jpg",
    "\uff1d1.jpg": "'\uff1d1.jpg",
    "a=b-c+d@e.jpg": "a=b-c+d@e.jpg",
}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_no_spreadsheet_takes_a_name_for_a_formula(
    engine: Engine, payload: Payload, samples: list[Path], delimiter: str
) -> None:
    tab, stop = BatchTab(engine), Stop()
    broken = samples[0].parent / "none.png"
    given = [payload(samples[0]) | {"orig_name": name} for name in FORMULAS]
    given.append(payload(broken) | {"orig_name": "b;=2+2.png"})
    *_, (batch, *_) = tab.batch(given, "", "clip-baseline", None, stop)
    text = Path(tab.files(batch)[0]).read_text()
    names = [row["image"] for row in csv.DictReader(text.splitlines())]
    assert set(names) == {*FORMULAS.values(), "b;'=2+2.png"}
    for row in csv.reader(text.splitlines(), delimiter=delimiter):
        for cell in row:
            assert not cell.lstrip(' "').startswith(("=", "+", "-", "@", "\uff1d")) or is_number(cell), cell


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_a_session_keeps_small_pictures_of_a_batch(
    engine: Engine, payload: Payload, samples: list[Path]
) -> None:
    *_, (batch, *_) = BatchTab(engine).batch(
        [payload(path) for path in samples[:8]], "", "clip-baseline", None, Stop()
    )
    assert sum(len(one.overlay) for one in batch.judged) < 8 * 40_000
