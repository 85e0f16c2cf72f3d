"""The tab Results: evaluations that the operator named at start."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from zsad.errors import InputError, nearest
from zsad_demo import markup
from zsad_demo.errors import callback
from zsad_demo.runs import Run
from zsad_demo.words import shortened


class ResultsTab:
    """Builds the tab and holds its callbacks."""

    def __init__(self, runs: Mapping[str, Path]) -> None:
        self.runs = runs

    def run(self, name: str) -> Run:
        """Read a run.

        Raises:
            InputError: There is none of that name, or it is not readable.
        """
        if not isinstance(name, str) or name not in self.runs:
            raise InputError(f"unknown run '{shortened(name)}'{nearest(shortened(name), self.runs)}")
        return Run.read(self.runs[name])

    @callback
    def results(self, run: str) -> tuple[Any, ...]:
        """Return a run's table, its classes to choose from, and what the first one shows."""
        read = self.run(run)
        header, rows = read.table()
        classes = read.classes()
        shown = self._of_class(read, classes[0]) if classes else (markup.note("No cell is finished."), [])
        return (
            gr.Dataframe({"headers": header, "data": rows}, column_widths=_widths(header)),
            gr.Dropdown(classes, value=classes[0] if classes else None),
            *shown,
        )

    @callback
    def of_class(self, run: str, class_name: str) -> tuple[Any, ...]:
        """Return the curves and the cases of a class."""
        read = self.run(run)
        if class_name not in read.classes():
            shown = shortened(class_name)
            raise InputError(f"unknown class '{shown}'{nearest(shown, read.classes())}")
        return self._of_class(read, class_name)

    def _of_class(self, read: Run, class_name: str) -> tuple[str, list[Any]]:
        lines = read.curves(class_name)
        title = f"ROC curves of the image scores of {class_name}"
        drawn = (
            markup.curve(title, "false positive rate", "true positive rate", lines)
            if lines
            else markup.note("No curve: the run holds no image scores of both kinds for this class.")
        )
        return drawn, list(read.cases(class_name))

    def build(self) -> None:
        """Add the tab's components and events to the Gradio context."""
        names = list(self.runs)
        header, rows, classes, curve, cases = self._first()
        run = gr.Dropdown(names, value=names[0], label="Run")
        table = gr.Dataframe(
            value={"headers": header, "data": rows}, headers=header, label="Results in per cent",
            interactive=False, type="array", column_count=len(header), wrap=True, max_height=480,
            show_search="filter", column_widths=_widths(header),
        )  # fmt: skip
        gr.HTML(markup.note("* Tuned on the test labels."))
        chosen = gr.Dropdown(classes, value=classes[0] if classes else None, label="Dataset / class")
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                curves = gr.HTML(curve, label="ROC curves of the image scores")
            with gr.Column(scale=2, min_width=300):
                gallery = gr.Gallery(
                    cases, label="Worst cases", columns=4, object_fit="contain", height="auto",
                    format="jpeg", interactive=False, buttons=["fullscreen"], elem_classes="zsad-gallery",
                )  # fmt: skip
        run.input(
            self.results, [run], [table, chosen, curves, gallery], preprocess=False, api_name="results",
            api_description="Return the table, the classes, and the first class's curves and cases of a run.",
        )  # fmt: skip
        chosen.input(
            self.of_class, [run, chosen], [curves, gallery], preprocess=False, api_name="results_of_class",
            api_description="Return the curves and the worst cases of a class of a run.",
        )  # fmt: skip

    def _first(self) -> tuple[list[str], list[list[str]], list[str], str, list[Any]]:
        read = self.run(next(iter(self.runs)))
        classes = read.classes()
        shown = self._of_class(read, classes[0]) if classes else (markup.note("No cell is finished."), [])
        return *read.table(), classes, *shown


def _widths(header: list[str]) -> list[str | int]:
    """Give names and the setting room to be read; figures are short."""
    wide = {"method": "130px", "dataset": "110px", "class": "150px", "setting": "190px"}
    return [wide.get(name, "85px") for name in header]
