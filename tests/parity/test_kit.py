"""The kit is what its manifest says, and the comparison finds what is off."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.parity import goldens, synthetic
from tests.parity.goldens import Golden, Kit, assert_agrees, differences

pytestmark = pytest.mark.parity


def test_files_are_those_of_the_manifest(kit: Kit) -> None:
    for name, expected in kit.manifest["files"].items():
        assert hashlib.sha256((kit.root / name).read_bytes()).hexdigest() == expected, name
    listed = set(kit.manifest["files"])
    for path in kit.root.rglob("*"):
        if path.suffix in {".npz", ".png", ".pth"}:
            assert path.relative_to(kit.root).as_posix() in listed


def test_the_committed_kit_is_small_and_holds_no_checkpoint() -> None:
    files = [path for path in (Path(goldens.__file__).parent / "kit").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 12_000_000
    assert {path.suffix for path in files} == {".json", ".md", ".npz", ".png"}


def test_generated_dino_has_the_manifest_digest(kit: Kit) -> None:
    state = synthetic.dino_state_dict(synthetic.TINY_DINO, kit.manifest["seed"])
    assert synthetic.digest(state) == kit.manifest["weights"]["TINY_DINO"]


@pytest.mark.goldens("AnomalyCLIP")
def test_generated_checkpoint_is_the_one_the_golden_was_computed_with(kit: Kit, golden: Golden) -> None:
    (state,) = torch.load(kit.checkpoint(golden), weights_only=True).values()
    generated = synthetic.anomalyclip_prompt_learner(
        kit.clip_state(golden)["token_embedding.weight"], golden.meta["seed"], golden.meta
    )
    assert generated.keys() == state.keys()
    for key, value in generated.items():
        assert value.dtype == state[key].numpy().dtype
        np.testing.assert_array_equal(value, state[key].numpy())
    # Kits with a checkpoint of their own need no digest of it.
    if "ANOMALYCLIP" in kit.manifest["weights"]:
        assert synthetic.digest(generated) == kit.manifest["weights"]["ANOMALYCLIP"]


@pytest.mark.goldens("plain CLIP")
def test_clip_state_fits_the_config_and_is_float16_exact(kit: Kit, golden: Golden) -> None:
    import json

    import open_clip

    state = kit.clip_state(golden)
    model = open_clip.CLIP(**json.loads(kit.clip_config(golden).read_text()))
    model.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()})
    for key, value in state.items():
        assert np.array_equal(value, value.astype(np.float16)), key
    assert golden.arrays["image_features"].shape[0] == len(kit.image_paths)


@pytest.mark.goldens("plain CLIP")
def test_a_wrong_seed_is_noticed(kit: Kit, golden: Golden) -> None:
    other = Golden(golden.path, {**golden.meta, "seed": golden.meta["seed"] + 1})
    with pytest.raises(ValueError, match="not the one"):
        kit.clip_state(other)


@pytest.mark.goldens("WinCLIP")
def test_the_config_follows_the_activation(kit: Kit, golden: Golden) -> None:
    import json

    for quick_gelu in (True, False):
        wanted = Golden(golden.path, {**golden.meta, "quick_gelu": quick_gelu})
        assert json.loads(kit.clip_config(wanted).read_text())["quick_gelu"] is quick_gelu


def golden_of(tmp_path: Path, **arrays: Any) -> Golden:
    path = tmp_path / "made_1.npz"
    np.savez(path, **arrays)
    return Golden(path, {"method": "made"})


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Golden:
    monkeypatch.setattr(goldens, "AGREEMENTS", [])  # not of the session's summary
    return golden_of(
        tmp_path,
        map=np.array([0.0, 2.0], np.float32),
        preproc_mean=np.array([0.0, 2.0]),
        hash=np.array(["a", "b"]),
        ids=np.array([49406, 269]),
        noise=np.array([1.0, np.nan]),
    )


def right() -> dict[str, Any]:
    return {
        "map": torch.tensor([0.0, 2.0 + 5e-5]),
        "preproc_mean": np.array([0.0, 2.0]),
        "hash": ["a", "b"],
        "ids": torch.tensor([49406, 269]),
    }


def test_agreement_is_noted_with_the_worst_array(made: Golden) -> None:
    assert_agrees(made, right(), inputs=["noise"])
    assert str(goldens.AGREEMENTS[0]) == "parity: made_1 worst 5.0e-05 map"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("map", np.array([0.0, 2.0003]), "map: 3.00e-04 of the spread, mark 1e-04"),
        ("map", np.array([0.0, np.nan]), "map: has values that are not finite"),
        ("map", np.array([[0.0, 2.0]]), r"map: has the shape \(1, 2\), golden \(2,\)"),
        ("preproc_mean", np.array([0.0, 2.00001]), "preproc_mean: 1.00e-05 of the spread, mark 1e-06"),
        ("hash", ["a", "c"], "hash: 1 of 2 entries"),
        ("ids", np.array([49406, 270]), "ids: 1 of 2 entries"),  # one id off is less than 1e-4 of the spread
    ],
)
def test_what_is_off_is_found_and_said(made: Golden, name: str, value: Any, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        assert_agrees(made, {**right(), name: value}, inputs=["noise"])


def test_a_missing_array_is_off_and_an_unknown_one_a_mistake(made: Golden) -> None:
    mine = right()
    del mine["hash"]
    with pytest.raises(AssertionError, match="hash: missing"):
        assert_agrees(made, mine, inputs=["noise"])
    with pytest.raises(KeyError, match="mapp"):
        differences(made.arrays, {"mapp": np.zeros(2)})


def test_a_wider_mark_counts_for_its_array_only(made: Golden) -> None:
    mine = {**right(), "map": np.array([0.0, 2.0003])}
    assert_agrees(made, mine, wider={"map": 4e-4}, inputs=["noise"])
    with pytest.raises(AssertionError, match="map"):
        assert_agrees(made, mine, wider={"ids": 4e-4}, inputs=["noise"])
