"""``methods``, ``backbones`` and ``doctor``, and what the fast commands may import."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

HEAVY = ("torch", "transformers", "gradio", "open_clip", "peft")


def test_methods_list_and_info(zsad) -> None:
    rows = {row["name"]: row for row in json.loads(zsad("methods", "--json").out)}
    assert rows["anomalyclip"]["learned"] == ["anomalyclip.prompts"]
    found = {name: rows[name]["references"] for name in ("winclip", "winclip@few-shot", "nagl")}
    assert found == {"winclip": None, "winclip@few-shot": "normal", "nagl": "normal and abnormal"}
    assert rows["winclip"]["learned"] == [] and rows["winclip"]["fidelity"] == "paper"
    assert rows["winclip@caoyunkang"]["fidelity"] == "third-party-code"
    info = json.loads(zsad("methods", "info", "winclip@anomalib", "--json").out)
    assert info["parts"]["attention_refiner"]["use"] == "winclip.windows"
    assert info["parts"]["prompt_learner"]["options"]["words"] == "zsad_prompts:winclip_anomalib.yaml"
    assert "anomalyclip.prompts" in zsad("methods", "info", "anomalyclip").out
    published, on_mini = zsad("methods", "info", "crane-plus").out.split("on backbone mini:")
    assert "crane.dinov2" in published and "crane.dinov2" not in on_mini
    assert on_mini.startswith(" fidelity inspired") and "crane.stem" in on_mini
    answer = zsad("methods", "info", "winclp")
    assert answer.code == 2 and "'winclip'" in answer.sentence


def test_broken_recipe_does_not_hide_the_others(zsad, site) -> None:
    module = """
    from zsad.plugin.hookspecs import hookimpl
    from zsad.plugin.specs import RecipeSpec
    zsad_api = 1

    @hookimpl
    def zsad_recipes():
        yield RecipeSpec("broken", "acme_recipes:missing.yaml")
    """
    site.install("acme", {"acme_recipes/__init__.py": module}, {"acme": "acme_recipes"})
    rows = {row["name"]: row for row in json.loads(zsad("methods", "--json").out)}
    assert "missing.yaml" in rows["broken"]["error"] and "winclip" in rows


def test_backbones(zsad) -> None:
    rows = json.loads(zsad("backbones", "--json").out)
    assert "ViT-L-14-336" in [row["name"] for row in rows]
    assert [row["name"] for row in rows if row["default"]] == ["mini"]
    header, *lines = zsad("backbones").out.splitlines()
    assert header.split() == ["name", "source", "default", "summary"]
    assert [line.split()[0] for line in lines if "  yes  " in line] == ["mini"]
    info = json.loads(zsad("backbones", "info", "ViT-L-14-336", "--json").out)
    assert info["blocks"] == 24 and info["image_size"] == 336 and "openai" in info["pretrained"]
    answer = zsad("backbones", "info", "ViT-L-14-366")
    assert answer.code == 2 and "'ViT-L-14-336'" in answer.sentence


def test_doctor_reports_this_machine(zsad) -> None:
    report = json.loads(zsad("doctor", "--json").out)
    assert report["versions"]["torch"] == version("torch")
    assert {plugin["name"] for plugin in report["plugins"]} >= {"standard", "winclip"}
    assert report["machine"]["threads"] == torch.get_num_threads()


def test_doctor_verifies_a_backbone_file(zsad, tmp_path) -> None:
    import open_clip

    config = Path(__file__).parents[1] / "assets" / "tiny-clip.json"
    module = open_clip.CLIP(**json.loads(config.read_text()))
    file = tmp_path / "weights.safetensors"
    save_file(module.state_dict(), file)
    report = json.loads(zsad("doctor", "--verify", f"{config}@{file}", "--json").out)
    assert report["agrees"] and 0 < report["difference_from_open_clip"] < 1e-4
    assert len(report["sha256"]) == 64 and report["blocks"] == 4
    state = {key: value for key, value in module.state_dict().items() if key != "visual.proj"}
    save_file(state, file)
    answer = zsad("doctor", "--verify", f"{config}@{file}")
    assert answer.code == 2 and "visual.proj" in answer.sentence


@pytest.mark.parametrize(
    "words", [["--help"], ["methods"], ["plugins", "list"], ["parts"], ["backbones"], ["predict", "--help"]]
)
def test_imports_stay_light(words: list[str]) -> None:
    code = (
        "import sys; from zsad.cli.main import main\n"
        f"try: main({words!r})\n"
        "except SystemExit: pass\n"
        f"found = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "sys.exit(f'imported {found}' if found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
