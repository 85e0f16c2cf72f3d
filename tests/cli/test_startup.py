"""The first result comes soon: what a small backbone does not need is not imported."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

CODE = """
import sys
from zsad.cli.main import main
main()
print(*sys.modules, file=sys.stderr)
"""
NEEDLESS = {
    "open_clip", "transformers", "torchvision", "timm", "torch._dynamo", "sympy", "peft", "accelerate",
    "huggingface_hub", "pyarrow", "jinja2", "scipy", "gradio",
}  # fmt: skip


@pytest.mark.parametrize("method", ["clip-baseline", "anomalyclip", "musc"])
def test_predict_on_the_embedded_backbone_imports_only_what_it_needs(photo, tmp_path, method) -> None:
    (photo.parent / "other.png").write_bytes(photo.read_bytes())
    words = [
        "predict",
        photo.parent,
        "--method",
        method,
        "--class-name",
        "part",
        "--out",
        tmp_path / "o",
        "--json",
    ]
    done = subprocess.run(
        [sys.executable, "-c", CODE, *map(str, words)], capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.splitlines()[-1].split())
    assert "torch" in loaded and len(json.loads(done.stdout)["images"]) == 2
    assert not loaded & NEEDLESS
