from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from zsad.errors import InputError, ZsadError
from zsad.plugin.contributions import HOOKS
from zsad.plugin.host import Host, get_host
from zsad.plugin.imports import load_object
from zsad.plugin.specs import BackboneSpec

HEAD = """
from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import BackboneSpec, MetricSpec, PartSpec
zsad_api = 1
"""

BACKBONES = (
    HEAD
    + """
@hookimpl
def zsad_backbones():
    yield BackboneSpec("tiny", "{module}_impl:load", "A tiny one.")
"""
)


def plugin(site, source, distribution="acme", name="acme", module="acme_plugin", **variables):
    """Install a plugin, discover, and return the host and the plugin's record."""
    site.install(distribution, {f"{module}.py": source}, {name: module})
    host = Host.discover(environ=variables)
    return host, host.plugin(f"{distribution}:{name}")


def test_an_active_plugin_contributes(site):
    host, record = plugin(site, BACKBONES.format(module="acme"))
    assert (record.name, record.distribution, record.version) == ("acme", "acme", "1.0")
    assert (record.status, record.error, record.conflicts) == ("active", None, ())
    assert record.hooks == ("zsad_backbones",)
    assert dict(record.contributions) == {"zsad_backbones": ("tiny",)}
    claim = host.backbones.get("acme:tiny")
    assert claim.spec == BackboneSpec("tiny", "acme_impl:load", "A tiny one.")
    assert (claim.distribution, claim.plugin) == ("acme", "acme")


def test_every_hook_has_its_registry(site):
    host = Host.discover(entry_points=[])
    names = "backbones parts recipes datasets metrics losses generators reporters commands demo_tabs"
    assert [f"zsad_{name}" for name in names.split()] == list(HOOKS)
    assert [getattr(host, name).names() for name in names.split()] == [[]] * 10
    assert host.plugins == []


BROKEN = {
    "import error": (
        "import nowhere_to_be_found",
        "cannot import 'acme_plugin': ModuleNotFoundError: No module",
    ),
    "exit at import": ("raise SystemExit('bye')", "cannot import 'acme_plugin': SystemExit: bye"),
    "syntax error": ("def broken(:", "cannot import 'acme_plugin': SyntaxError"),
    "raising hook": (
        HEAD + "@hookimpl\ndef zsad_parts():\n    raise KeyError('gone')",
        "zsad_parts raised KeyError: 'gone'",
    ),
    "exiting hook": (
        HEAD + "@hookimpl\ndef zsad_parts():\n    raise SystemExit(4)",
        "zsad_parts raised SystemExit: 4",
    ),
    "raises after a yield": (
        HEAD
        + "@hookimpl\ndef zsad_metrics():\n    yield MetricSpec('m', 'a:b', 'M.')\n    raise OSError('late')",
        "zsad_metrics raised OSError: late",
    ),
    "no spec": (
        HEAD + "@hookimpl\ndef zsad_parts():\n    yield 'crane.e_attn'",
        "zsad_parts yielded str where PartSpec belongs",
    ),
    "another hook's spec": (
        HEAD + "@hookimpl\ndef zsad_parts():\n    yield BackboneSpec('tiny', 'a:b', 'Tiny.')",
        "zsad_parts yielded BackboneSpec where PartSpec belongs",
    ),
    "nothing": (
        HEAD + "@hookimpl\ndef zsad_parts():\n    pass",
        "zsad_parts returned NoneType instead of yielding PartSpecs",
    ),
    "a bare spec": (
        HEAD + "@hookimpl\ndef zsad_metrics():\n    return MetricSpec('m', 'a:b', 'M.')",
        "zsad_metrics returned MetricSpec instead of yielding MetricSpecs",
    ),
    "misspelt hook": (
        HEAD + "@hookimpl\ndef zsad_part():\n    return []",
        "zsad_part is not a hook of zsad; did you mean 'zsad_parts'?",
    ),
    "misspelt hook without mark": (
        HEAD + "def zsad_recipe():\n    return []",
        "zsad_recipe is not a hook of zsad; did you mean 'zsad_recipes'?",
    ),
    "forgotten mark": (HEAD + "def zsad_parts():\n    return []", "zsad_parts is not marked with @hookimpl"),
    "arguments": (
        HEAD + "@hookimpl\ndef zsad_parts(host):\n    return []",
        "zsad_parts takes arguments, but",
    ),
    "bad part name": (
        HEAD + "@hookimpl\ndef zsad_parts():\n    yield PartSpec('Invert', 'scorer', 'a:b', 'I.')",
        "zsad_parts yielded 'Invert'; a part is named '<plugin>.<part>' in lower case",
    ),
    "upper-case part name": (
        HEAD + "@hookimpl\ndef zsad_parts():\n    yield PartSpec('acme.Invert', 'scorer', 'a:b', 'I.')",
        "zsad_parts yielded 'acme.Invert'; a part is named '<plugin>.<part>' in lower case",
    ),
    "unknown kind": (
        HEAD + "@hookimpl\ndef zsad_parts():\n    yield PartSpec('acme.invert', 'scorers', 'a:b', 'I.')",
        "zsad_parts yielded 'acme.invert' of the unknown kind 'scorers'; did you mean 'scorer'?",
    ),
    "empty name": (
        HEAD + "@hookimpl\ndef zsad_metrics():\n    yield MetricSpec('', 'a:b', 'M.')",
        "zsad_metrics yielded a MetricSpec whose name is ''",
    ),
    "the same name twice": (
        HEAD
        + "@hookimpl\ndef zsad_metrics():\n    return [MetricSpec('m', f, 'M.') for f in ('a:b', 'c:d')]",
        "zsad_metrics yielded the name 'm' twice",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_left_out_and_says_why(site, case):
    source, reason = BROKEN[case]
    good_hook = "\n@hookimpl\ndef zsad_generators():\n    from zsad.plugin.specs import GeneratorSpec\n"
    good_hook += "    yield GeneratorSpec('acme-noise', 'a:b', 'Noise.')\n"
    source = source + good_hook if source.startswith(HEAD) else source
    site.install("beta", {"beta_plugin.py": BACKBONES.format(module="beta")}, {"beta": "beta_plugin"})
    host, record = plugin(site, source)
    assert record.status == "failed"
    assert record.error is not None
    assert record.error.startswith(reason)
    assert "\n" not in record.error
    assert (record.hooks, dict(record.contributions)) == ((), {})
    for registry in (host.parts, host.metrics, host.generators):
        assert "acme" not in {claim.distribution for _, claim in registry.items()}
    assert host.backbones.get("beta:tiny").plugin == "beta"


def test_an_interrupt_is_not_swallowed(site):
    site.install("acme", {"acme_plugin.py": "raise KeyboardInterrupt"}, {"acme": "acme_plugin"})
    with pytest.raises(KeyboardInterrupt):
        Host.discover()


def test_an_interrupt_in_a_hook_is_not_swallowed(site):
    source = HEAD + "@hookimpl\ndef zsad_parts():\n    raise KeyboardInterrupt"
    site.install("acme", {"acme_plugin.py": source}, {"acme": "acme_plugin"})
    with pytest.raises(KeyboardInterrupt):
        Host.discover()


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ("zsad_api = 2", "it declares zsad_api = 2, but this zsad speaks 1"),
        ("zsad_api = '1'", "it declares zsad_api = '1', but this zsad speaks 1"),
        ("", "it does not declare its plugin interface; add 'zsad_api = 1'"),
    ],
)
def test_another_interface_is_incompatible(site, declared, reason):
    host, record = plugin(site, BACKBONES.format(module="acme").replace("zsad_api = 1", declared))
    assert (record.status, record.error) == ("incompatible", reason)
    assert "acme:tiny" not in host.backbones


def test_two_distributions_may_claim_a_name_until_it_is_looked_up(site):
    site.install("beta", {"beta_plugin.py": BACKBONES.format(module="beta")}, {"beta": "beta_plugin"})
    host, record = plugin(site, BACKBONES.format(module="acme"))
    assert record.status == "active"
    assert record.conflicts == host.plugin("beta").conflicts == ("tiny",)
    assert host.backbones.get("beta:tiny").spec.factory == "beta_impl:load"
    with pytest.raises(InputError, match=r"'acme' and 'beta'; write 'acme:tiny' or 'beta:tiny'"):
        host.backbones.get("tiny")


def test_the_same_name_in_two_hooks_is_no_conflict(site):
    source = HEAD + "@hookimpl\ndef zsad_metrics():\n    yield MetricSpec('tiny', 'a:b', 'M.')"
    site.install("beta", {"beta_plugin.py": BACKBONES.format(module="beta")}, {"beta": "beta_plugin"})
    host, record = plugin(site, source)
    assert record.conflicts == host.plugin("beta").conflicts == ()


def test_two_plugins_of_one_distribution_may_not_claim_a_name(site):
    modules = {f"acme_{n}.py": BACKBONES.format(module=f"acme_{n}") for n in ("one", "two")}
    site.install("acme", modules, {"one": "acme_one", "two": "acme_two"})
    host = Host.discover()
    assert host.plugin("one").status == "active"
    assert host.plugin("two").status == "failed"
    assert host.plugin("two").error == (
        "zsad_backbones yielded 'tiny', which plugin 'one' has contributed already"
    )
    assert host.backbones.get("acme:tiny").spec.factory == "acme_one_impl:load"


def test_two_distributions_may_have_a_plugin_of_the_same_name(site):
    for distribution in ("acme", "beta"):
        source = BACKBONES.format(module=distribution)
        site.install(
            distribution, {f"{distribution}_plugin.py": source}, {"vision": f"{distribution}_plugin"}
        )
    host = Host.discover()
    assert host.plugin("acme:vision").status == host.plugin("beta:vision").status == "active"
    assert {"acme:tiny", "beta:tiny"} <= set(host.backbones.names())
    with pytest.raises(InputError, match=r"'acme:vision' or 'beta:vision'"):
        host.plugin("vision")


def test_an_entry_point_declared_twice_loads_once(site):
    (site.path / "acme_plugin.py").write_text(BACKBONES.format(module="acme"))
    points = [EntryPoint("acme", "acme_plugin", "zsad")] * 2
    host = Host.discover(entry_points=points)
    assert [record.status for record in host.plugins] == ["active", "failed"]
    assert host.plugins[1].error == "'unknown' declares the entry point 'acme' twice"


def test_hooks_may_have_another_function_name(site):
    source = HEAD + (
        "@hookimpl(specname='zsad_metrics')\ndef first():\n    yield MetricSpec('one', 'a:b', 'M.')\n"
        "@hookimpl(specname='zsad_metrics')\ndef second():\n    return [MetricSpec('two', 'a:b', 'M.')]\n"
    )
    _, record = plugin(site, source)
    assert record.error is None
    assert sorted(record.contributions["zsad_metrics"]) == ["one", "two"]


def test_a_hook_that_yields_nothing_is_implemented(site):
    _, record = plugin(site, HEAD + "@hookimpl\ndef zsad_parts():\n    return []")
    assert (record.status, record.hooks) == ("active", ("zsad_parts",))
    assert dict(record.contributions) == {"zsad_parts": ()}


def test_hooks_are_called_once(site):
    source = HEAD + "calls = []\n@hookimpl\ndef zsad_parts():\n    calls.append(1)\n    return []"
    host, _ = plugin(site, source)
    host.parts.names()
    assert load_object("acme_plugin:calls") == [1]


@pytest.mark.parametrize("word", ["vision", "Acme_Tools", "acme-tools:vision", "other, vision"])
def test_a_disabled_plugin_is_not_imported(site, word):
    site.install("acme-tools", {"acme_plugin.py": "raise SystemExit"}, {"vision": "acme_plugin"})
    record = Host.discover(environ={"ZSAD_DISABLE_PLUGINS": word}).plugin("acme-tools:vision")
    assert (record.status, record.error) == ("disabled", "disabled by ZSAD_DISABLE_PLUGINS")
    assert Host.discover(environ={"ZSAD_DISABLE_PLUGINS": "vis"}).plugin(record.qualified).status == "failed"


@pytest.mark.parametrize(
    ("environ", "argument", "reason"),
    [
        ({"ZSAD_NO_PLUGINS": "1"}, False, "disabled by ZSAD_NO_PLUGINS"),
        ({}, True, "disabled by --no-plugins"),
    ],
)
def test_no_plugins_leaves_those_that_come_with_zsad(site, environ, argument, reason):
    site.install("zsad", {"own_plugin.py": BACKBONES.format(module="own")}, {"own": "own_plugin"})
    site.install("acme", {"acme_plugin.py": "raise SystemExit"}, {"acme": "acme_plugin"})
    host = Host.discover(environ=environ, no_plugins=argument)
    assert (host.plugin("acme").status, host.plugin("acme").error) == ("disabled", reason)
    assert host.plugin("own").status == "active"
    assert host.plugins[0].distribution == "zsad"
    assert host.backbones.get("zsad:tiny").plugin == "own"


@pytest.mark.parametrize("value", ["", "0", "false", "No"])
def test_a_variable_can_say_no(site, value):
    environ = {"ZSAD_NO_PLUGINS": value, "ZSAD_STRICT_PLUGINS": value}
    site.install("beta", {"beta_plugin.py": "raise OSError"}, {"beta": "beta_plugin"})
    host, record = plugin(site, BACKBONES.format(module="acme"), **environ)
    assert record.status == "active"
    assert host.plugin("beta").status == "failed"


def test_strict_raises_with_the_cause(site):
    site.install("acme", {"acme_plugin.py": "raise OSError('no disk')"}, {"acme": "acme_plugin"})
    with pytest.raises(ZsadError) as caught:
        Host.discover(environ={"ZSAD_STRICT_PLUGINS": "1"})
    assert str(caught.value) == (
        "plugin 'acme:acme' is failed: cannot import 'acme_plugin': OSError: no disk"
    )
    assert isinstance(caught.value.__cause__, OSError)


def test_strict_raises_for_another_interface(site):
    site.install("acme", {"acme_plugin.py": "zsad_api = 9"}, {"acme": "acme_plugin"})
    with pytest.raises(ZsadError, match=r"'acme:acme' is incompatible: it declares zsad_api = 9"):
        Host.discover(environ={"ZSAD_STRICT_PLUGINS": "yes"})


def test_an_unknown_plugin_comes_with_the_nearest(site):
    host, _ = plugin(site, BACKBONES.format(module="acme"))
    with pytest.raises(InputError, match=r"unknown plugin 'acmee'; did you mean 'acme'"):
        host.plugin("acmee")


def test_the_host_of_the_process_is_kept_while_the_variables_are(site, monkeypatch):
    site.install("acme", {"acme_plugin.py": BACKBONES.format(module="acme")}, {"acme": "acme_plugin"})
    host = get_host()
    assert get_host() is host
    assert host.plugin("acme:acme").status == "active"
    monkeypatch.setenv("ZSAD_NO_PLUGINS", "1")
    assert get_host().plugin("acme:acme").status == "disabled"
    monkeypatch.delenv("ZSAD_NO_PLUGINS")
    assert get_host() is host


def test_a_third_party_distribution_from_its_project_folder(zsad_invert):
    record = Host.discover().plugin("zsad-invert:invert")
    assert (record.status, record.version, record.error) == ("active", "0.3.0", None)
    assert dict(record.contributions) == {"zsad_parts": ("invert.invert",)}


def test_the_third_party_part_flips_a_map(zsad_invert):
    import torch

    from zsad.values import Scores

    spec = Host.discover().parts.get("invert.invert").spec
    part = load_object(spec.factory)(load_object(spec.options)(strength=2.0), None)
    scores = part(Scores(map=torch.tensor([[[0.0, 1.0], [3.0, 2.0]]]), trace=("x",)), None)
    assert scores.map.tolist() == [[[6.0, 4.0], [0.0, 2.0]]]
    assert scores.trace == ("x",)
    with pytest.raises(ZsadError, match=r"reads the anomaly map before .* it has to require 'anomaly_map'"):
        part(Scores(), None)
