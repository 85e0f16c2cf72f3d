"""The parity kit as fixtures, and a summary of how well the session agreed with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.parity.goldens import AGREEMENTS, Agreement, Golden, Kit, find_kit, goldens_of


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "goldens(method, requires='kit', arrays=None): once per golden file of a method (of those with an "
        "array); 'requires' is missing without",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrise ``golden`` by the method of the ``goldens`` marker."""
    marker = metafunc.definition.get_closest_marker("goldens")
    if marker is None:
        return
    root = find_kit()
    needed = marker.kwargs.get("arrays")
    found: tuple[Golden | None, ...] = goldens_of(root, marker.args[0]) if root else ()
    found = tuple(golden for golden in found if golden and (needed is None or needed in golden.arrays))
    # Without a golden the test still has to report that one is missing.
    metafunc.parametrize(
        "golden", found or (None,), ids=lambda golden: golden.name if golden else "none", indirect=True
    )


@pytest.fixture(scope="session")
def kit(require: Callable[[str, str], None], tmp_path_factory: pytest.TempPathFactory) -> Kit:
    """The kit that ``ZSAD_PARITY_KIT`` names, else the committed one."""
    root = find_kit()
    if root is None:
        require("kit", "there is no parity kit; see ZSAD_PARITY_KIT")
    assert root is not None
    return Kit(root, tmp_path_factory.mktemp("kit"))


@pytest.fixture
def golden(request: pytest.FixtureRequest, require: Callable[[str, str], None]) -> Golden:
    """One golden file of the method that the test's ``goldens`` marker names."""
    found: Golden | None = request.param
    if found is None:
        marker = request.node.get_closest_marker("goldens")
        require(marker.kwargs.get("requires", "kit"), f"the kit has no golden file of {marker.args[0]}")
    assert found is not None
    return found


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the comparisons of a pytest-xdist worker to the process that prints."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["parity"] = [(item.golden, item.array, item.difference) for item in AGREEMENTS]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Collect the comparisons of a pytest-xdist worker."""
    AGREEMENTS.extend(Agreement(*item) for item in getattr(node, "workeroutput", {}).get("parity", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the worst difference of each golden file."""
    worst: dict[str, Agreement] = {}
    for item in AGREEMENTS:
        if item.golden not in worst or item.difference > worst[item.golden].difference:
            worst[item.golden] = item
    for name in sorted(worst):
        terminalreporter.write_line(str(worst[name]))
