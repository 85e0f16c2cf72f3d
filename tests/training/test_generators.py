"""Generators are made by name with checked options, and told apart by their key."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from zsad.errors import InputError, ZsadError
from zsad.plugin.host import get_host
from zsad.training.generators import load_generator

STRIPES = """
from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import GeneratorSpec
zsad_api = 1

class Stripes:
    def __init__(self, options):
        pass
    def __call__(self, image, random):
        raise ValueError("no stripes today")

class Small(Stripes):
    def __call__(self, image, random):
        return image[::2], image[..., 0] > 0

@hookimpl
def zsad_generators():
    yield GeneratorSpec("stripes", "acme_stripes:Stripes", "stripes")
    yield GeneratorSpec("small", "acme_stripes:Small", "too small")
    yield GeneratorSpec("draem", "acme_stripes:Stripes", "of the same name as a built-in one")
    yield GeneratorSpec("gone", "acme_stripes:Gone", "not there")
"""


@pytest.fixture
def acme(site):
    site.install("acme", {"acme_stripes/__init__.py": STRIPES}, {"acme": "acme_stripes"})
    return get_host()


def test_options_are_filled_in_and_passed_on() -> None:
    loaded = load_generator(get_host(), "cutpaste", {"area": [0.1, 0.1], "foreground": True})
    assert loaded.name == "zsad:cutpaste" and loaded.level == "image"
    assert loaded.options is not None
    assert loaded.options.model_dump() == {
        "area": (0.1, 0.1), "aspect": 0.3, "jitter": 0.1, "foreground": True
    }  # fmt: skip
    image = np.random.default_rng(0).integers(0, 255, (80, 80, 3), dtype=np.uint8)
    _, mask = loaded.make(image, np.random.default_rng(0))
    assert mask.mean() == pytest.approx(0.1, abs=0.01)


def test_wrong_names_and_options_are_named() -> None:
    with pytest.raises(InputError, match=r"unknown generator 'draen'; did you mean 'draem'\?"):
        load_generator(get_host(), "draen", {})
    with pytest.raises(
        InputError, match=r"option of generator 'draem': 'treshold' .*did you mean 'threshold'"
    ):
        load_generator(get_host(), "draem", {"treshold": 0.4})
    with pytest.raises(InputError, match=r"option of generator 'nsa': 'patches' cannot be 0"):
        load_generator(get_host(), "nsa", {"patches": 0})


def test_generators_of_other_distributions(acme) -> None:
    assert load_generator(acme, "stripes", {}).name == "acme:stripes"
    with pytest.raises(InputError, match="generator 'stripes' has no options, but 'width' was given"):
        load_generator(acme, "stripes", {"width": 3})
    with pytest.raises(InputError, match="claimed by 'zsad' and 'acme'"):
        load_generator(acme, "draem", {})
    assert load_generator(acme, "zsad:draem", {}).name == "zsad:draem"
    with pytest.raises(ZsadError, match="acme_stripes"):
        load_generator(acme, "gone", {})


def test_the_key_is_of_everything_that_decides(tmp_path) -> None:
    from PIL import Image

    host = get_host()
    Image.new("RGB", (9, 9)).save(tmp_path / "texture.png")
    variants = [
        ("draem", {}),
        ("draem", {"opacity": [0, 0.5]}),
        ("draem", {"textures": str(tmp_path)}),
        ("procedural", {}),
        ("procedural", {"defects": ["dent"]}),
        ("cutpaste", {}),
        ("cutpaste", {"foreground": True}),
    ]
    keys = [load_generator(host, *variant).key for variant in variants]
    assert len(set(keys)) == len(keys)
    assert keys == [load_generator(host, *variant).key for variant in variants]
    assert load_generator(host, "cutpaste", {"area": [0.02, 0.15]}).key == keys[5]  # a default, spelt out
    Image.new("RGB", (9, 9), (1, 0, 0)).save(tmp_path / "texture.png")
    assert load_generator(host, *variants[2]).key != keys[2]


def test_generators_of_images_need_no_torch() -> None:
    code = (
        "import sys; from zsad.plugin.host import get_host\n"
        "from zsad.training.generators import load_generator\n"
        "names = ('cutpaste', 'scar', 'nsa', 'draem', 'procedural')\n"
        "for name in names: load_generator(get_host(), name, {})\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
