"""The words by which a dataset is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsad.data.spec import DatasetRequest, needs_path, open_dataset, parse_spec
from zsad.errors import InputError, ZsadError
from zsad.plugin.host import get_host

LAYOUTS = ("mvtec", "folder", "manifest", "samples", "zsad:mvtec", "zsad:samples")
WORDS = st.text("abcxyz019_- .", min_size=1, max_size=8).filter(lambda s: s == s.strip() and s not in LAYOUTS)


def parsed(text):
    request = parse_spec(text, LAYOUTS)
    path = None if request.path is None else str(request.path)
    return request.name, request.layout, path, request.classes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mvtec=/data/mvtec", (None, "mvtec", "/data/mvtec", ())),
        ("mvtec=/data/mvtec:bottle, cable", (None, "mvtec", "/data/mvtec", ("bottle", "cable"))),
        ("mvtec=data:magnetic tile", (None, "mvtec", "data", ("magnetic tile",))),
        ("mine:folder=/data/x", ("mine", "folder", "/data/x", ())),
        ("my set:folder=x:a,a", ("my set", "folder", "x", ("a",))),
        ("manifest=/b/mtd/manifest.csv", (None, "manifest", "/b/mtd/manifest.csv", ())),
        ("zsad:mvtec=x", (None, "zsad:mvtec", "x", ())),
        ("mine:zsad:mvtec=x:a", ("mine", "zsad:mvtec", "x", ("a",))),
        ("folder=/a=b/c", (None, "folder", "/a=b/c", ())),
        ("folder=/a:b/c", (None, "folder", "/a:b/c", ())),
        ("folder=/a:b/c:d", (None, "folder", "/a:b/c", ("d",))),
        ("folder:mvtec=x", ("folder", "mvtec", "x", ())),
        ("mvtek=x", (None, "mvtek", "x", ())),
        ("samples", (None, "samples", None, ())),
        ("samples:gear,button", (None, "samples", None, ("gear", "button"))),
        ("mine:samples", ("mine", "samples", None, ())),
        ("mine:samples:gear", ("mine", "samples", None, ("gear",))),
        ("zsad:samples:gear", (None, "zsad:samples", None, ("gear",))),
        ("mine:zsad:samples:gear", ("mine", "zsad:samples", None, ("gear",))),
        ("samples:samples", (None, "samples", None, ("samples",))),
        ("sampels", (None, "sampels", None, ())),
    ],
)
def test_forms(text, expected) -> None:
    assert parsed(text) == expected


@given(
    st.none() | WORDS,
    st.sampled_from(LAYOUTS),
    st.lists(WORDS, min_size=1),
    st.lists(WORDS.filter(lambda w: "," not in w), unique=True),
)
def test_parts_come_back(name, layout, parts, classes) -> None:
    path = "/nowhere/" + "/".join(parts)
    text = f"{name}:" if name is not None and not layout.startswith("zsad") else ""
    text += f"{layout}={path}" + (f":{','.join(classes)}" if classes else "")
    expected = name if text.startswith(f"{name}:") else None
    assert parse_spec(text, LAYOUTS) == DatasetRequest(text, layout, Path(path), tuple(classes), expected)


@given(st.text(max_size=30))
def test_any_text_is_parsed_or_refused_in_one_line(text) -> None:
    try:
        request = parse_spec(text, LAYOUTS)
    except InputError as error:
        assert str(error)
    else:
        assert request.text == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no layout"),
        ("/data/mvtec", "names no layout: write .*for example folder=/data/mvtec"),
        ("=x", "no layout before '='"),
        ("a:=x", "no layout before '='"),
        ("mvtec=", "no folder after '='"),
        ("mvtec=:bottle", "no folder after '='"),
        ("mvtec=x:", "empty class name"),
        ("mvtec=x:a,,b", "empty class name"),
        ("samples:", "empty class name"),
        (":mvtec=x", "has the name '' before"),
        ("a/b:mvtec=x", "has the name 'a/b' before"),
        (" a:samples", "has the name ' a' before"),
        ("mvtec=~nobody_of_this_name/x", "home"),
    ],
)
def test_wrong_specs(text, message) -> None:
    with pytest.raises(InputError, match=message):
        parse_spec(text, LAYOUTS)


def test_colon_of_an_existing_path(tmp_path) -> None:
    (tmp_path / "a:b").mkdir()
    assert parsed(f"folder={tmp_path}/a:b")[2:] == (f"{tmp_path}/a:b", ())
    assert parsed(f"folder={tmp_path}/a:b:c")[2:] == (f"{tmp_path}/a:b", ("c",))


def test_home(monkeypatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert parsed("folder=~/x")[2] == "/home/somebody/x"


@pytest.fixture
def acme(site):
    module = """
    from zsad.plugin.hookspecs import hookimpl
    from zsad.plugin.specs import DatasetSpec
    zsad_api = 1

    @hookimpl
    def zsad_datasets():
        for name in ("fixed", "given", "broken", "wrong", "missing"):
            yield DatasetSpec(f"acme-{name}", f"acme_reader:{name}", "for tests")
    """
    reader = """
    from pathlib import Path
    from zsad.data.dataset import Dataset, DatasetImage

    def given(path):
        classes = ("nut", "lid")
        return Dataset.of(path, [DatasetImage(path / f"{c}.png", None, False, c, c) for c in classes])

    def fixed():
        return given(Path("/acme"))

    def broken(path):
        return 1 / 0

    def wrong(path):
        return [path]
    """
    site.install("acme", {"acme_plugin.py": module, "acme_reader.py": reader}, {"acme": "acme_plugin"})
    return get_host()


def test_layout_of_a_plugin(acme, tmp_path) -> None:
    assert open_dataset(f"acme-given={tmp_path}", acme).name == tmp_path.name
    dataset = open_dataset(f"mine:acme:acme-given={tmp_path}:nut", acme)
    assert (dataset.name, dataset.classes) == ("mine", ("nut",))
    assert open_dataset("acme-fixed", acme).name == "acme"
    assert open_dataset("mine:acme-fixed:lid", acme).classes == ("lid",)


def test_failing_layouts(acme, tmp_path) -> None:
    for layout, message in [
        ("broken", "layout 'acme:acme-broken' failed on .*ZeroDivisionError"),
        ("wrong", "returned list, not a Dataset"),
        ("missing", "has no 'missing'"),
    ]:
        with pytest.raises(ZsadError, match=message) as caught:
            open_dataset(f"acme-{layout}={tmp_path}", acme)
        assert not isinstance(caught.value, InputError)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("acme-gven=/", "unknown dataset layout 'acme-gven'; did you mean 'acme-given'"),
        ("acme-given", "names no folder: write acme-given=PATH"),
        ("acme-fixed=/tmp", "layout 'acme-fixed' takes no path"),
        ("acme-given=/none/such:nut", "no file or folder '/none/such'"),
        ("acme-given=/:nuts", "has no class 'nuts'; did you mean 'nut'"),
        ("nothing", "unknown dataset layout 'nothing'"),
    ],
)
def test_errors_of_opening(acme, text, message) -> None:
    with pytest.raises(InputError, match=message):
        open_dataset(text, acme)


def test_needs_path() -> None:
    assert needs_path(lambda path: None) and not needs_path(lambda: None)
