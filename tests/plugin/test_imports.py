from __future__ import annotations

import json

import pytest

from zsad.errors import ZsadError
from zsad.plugin.imports import cause, load_object, read_resource


def test_an_attribute_is_imported():
    assert load_object("json:dumps") is json.dumps
    assert load_object("json.decoder:JSONDecoder.decode") is json.JSONDecoder.decode


@pytest.mark.parametrize("reference", ["json", "json:", ":dumps", "", "json.:dumps", "..json:dumps", "a b:c"])
def test_another_form_is_refused(reference):
    with pytest.raises(ZsadError, match="does not have the form") as caught:
        load_object(reference)
    assert f"'{reference}'" in str(caught.value)
    with pytest.raises(ZsadError, match="does not have the form 'package:file'"):
        read_resource(reference)


def test_a_missing_attribute_names_string_and_module():
    message = "cannot import 'json:nothing': module 'json' has no 'nothing'"
    with pytest.raises(ZsadError) as caught:
        load_object("json:nothing")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def broken(:", "SyntaxError"),
    ],
)
def test_a_failing_import_is_one_sentence_with_its_cause(site, source, reason):
    (site.path / "bad_module.py").write_text(source)
    with pytest.raises(ZsadError) as caught:
        load_object("bad_module:thing")
    assert str(caught.value).startswith(f"cannot import 'bad_module:thing': {reason}")
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_an_interrupt_is_no_error(site):
    (site.path / "interrupted_module.py").write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_object("interrupted_module:thing")


def test_resources_are_read_from_packages_and_folders(site):
    (site.path / "holder" / "deep").mkdir(parents=True)
    (site.path / "holder" / "__init__.py").touch()
    (site.path / "holder" / "top.yaml").write_text("a: ü\n", encoding="utf-8")
    (site.path / "holder" / "deep" / "low.yaml").write_text("b: 2\n")
    (site.path / "holder" / "latin.txt").write_bytes(b"\xfc")
    assert read_resource("holder:top.yaml") == "a: ü\n"
    assert read_resource("holder:deep/low.yaml") == "b: 2\n"
    assert read_resource("holder.deep:low.yaml") == "b: 2\n"
    with pytest.raises(ZsadError, match=r"'holder:no.yaml': package 'holder' has no file 'no.yaml'"):
        read_resource("holder:no.yaml")
    with pytest.raises(ZsadError, match=r"cannot read 'holder:latin.txt': UnicodeDecodeError"):
        read_resource("holder:latin.txt")
    with pytest.raises(ZsadError, match=r"cannot read 'holder:deep'"):
        read_resource("holder:deep")
    with pytest.raises(ZsadError, match=r"cannot read 'holdr:top.yaml': ModuleNotFoundError"):
        read_resource("holdr:top.yaml")


def test_a_module_that_is_no_package_has_no_resources(site):
    (site.path / "plain_module.py").touch()
    with pytest.raises(ZsadError, match=r"cannot read 'plain_module:x.yaml'"):
        read_resource("plain_module:x.yaml")


def test_a_cause_without_message_is_its_type():
    assert cause(ValueError()) == "ValueError"
