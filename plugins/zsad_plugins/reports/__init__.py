"""The renderings of an evaluation that come with zsad."""

from __future__ import annotations

from collections.abc import Iterator

from zsad.plugin.hookspecs import hookimpl
from zsad.plugin.specs import ReporterSpec

zsad_api = 1


@hookimpl
def zsad_reporters() -> Iterator[ReporterSpec]:
    """Yield the page that every evaluation writes, and the table for documents."""
    # fmt: off
    yield ReporterSpec("html", "zsad.evaluation.report:write_report",
                       "one self-contained page: the table, worst and best cases, what stands behind them")
    yield ReporterSpec("markdown", "zsad.evaluation.markdown:write_markdown",
                       "the means of every dataset and method as Markdown tables")
    # fmt: on
