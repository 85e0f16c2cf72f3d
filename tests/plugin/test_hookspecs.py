"""Every hook's docstring holds an example, and the example is a plugin that works."""

from __future__ import annotations

import inspect
import textwrap

import pytest

from zsad.plugin import hookspecs
from zsad.plugin.contributions import HOOKS
from zsad.plugin.host import Host


def example(hook):
    text = inspect.getdoc(getattr(hookspecs, hook))
    block = text.split(".. code-block:: python\n", 1)[1].split("\n.. versionadded::", 1)[0]
    return textwrap.dedent(block)


def test_the_table_of_hooks_is_the_module():
    declared = {name for name, value in vars(hookspecs).items() if hasattr(value, "zsad_spec")}
    assert declared == set(HOOKS)
    assert len(HOOKS) == 10


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_takes_nothing_and_yields_its_spec(hook):
    signature = inspect.signature(getattr(hookspecs, hook))
    assert not signature.parameters
    assert signature.return_annotation == f"Iterable[{HOOKS[hook].__name__}]"


@pytest.mark.parametrize("hook", HOOKS)
def test_a_docstring_says_when_what_and_since_when(hook):
    text = inspect.getdoc(getattr(hookspecs, hook))
    assert "Called " in text
    assert f"``{HOOKS[hook].__name__}``" in text
    assert text.endswith(".. versionadded:: 0.1")


@pytest.mark.parametrize("hook", HOOKS)
def test_the_example_is_a_working_plugin(hook, site):
    site.install("acme", {"acme_example.py": example(hook)}, {"acme": "acme_example"})
    host = Host.discover()
    record = host.plugin("acme:acme")
    assert (record.status, record.error) == ("active", None)
    assert record.hooks == (hook,)
    registry = getattr(host, hook.removeprefix("zsad_"))
    (name,) = record.contributions[hook]
    assert type(registry.get(f"acme:{name}").spec) is HOOKS[hook]
