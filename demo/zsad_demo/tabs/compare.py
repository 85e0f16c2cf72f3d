"""The tab Compare: one image under up to four methods, in as few passes as they allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from zsad.errors import InputError
from zsad.recipe.recipes import Display
from zsad_demo import markup
from zsad_demo.comparison import MOST, Comparison, compare, compared
from zsad_demo.drawing import overlay_picture
from zsad_demo.engine import Engine
from zsad_demo.errors import callback
from zsad_demo.inspection import resized_map
from zsad_demo.tabs.downloads import save_as
from zsad_demo.tabs.inputs import bring_into_view, image_input, noun_input, size_input
from zsad_demo.uploads import Upload
from zsad_demo.words import parse_image_size, parse_noun

HEADERS = ["method", "score", "map range", "setting", "fidelity", "weights", "ms"]
WIDTHS: list[str | int] = ["130px", "75px", "85px", "165px", "120px", "150px", "55px"]


class CompareTab:
    """Builds the tab and holds its callbacks."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.choices = [model.label for model in engine.models.values() if not model.needs_several]

    @callback
    def compare(
        self,
        image: Mapping[str, Any] | None,
        object_noun: str | None,
        methods: Sequence[str] | None,
        image_size: float | None,
    ) -> tuple[Any, ...]:
        """Judge an image by several methods; the first value is what the visitor's session keeps."""
        size = parse_image_size(image_size, 0) or None
        shown = compare(self.engine, Upload.of(image), parse_noun(object_noun), methods or (), size)
        first, second = list(shown.answers)[:2]
        return (
            shown,
            _pictures(shown),
            _bars(shown),
            _passes(shown),
            _rows(shown),
            compared(shown, first, second),
            markup.difference_bar(first, second),
            shown.facts(),
        )

    @callback
    def difference(self, shown: Comparison | None, first: str, second: str) -> tuple[Any, str]:
        """Draw how two of the compared maps differ, without asking a model."""
        if shown is None:
            raise InputError("compare an image first")
        return compared(shown, first, second), markup.difference_bar(first, second)

    def build(self) -> None:
        """Add the tab's components and events to the Gradio context."""
        state = gr.State(None)
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                image = image_input()
                noun = noun_input()
                methods = gr.Dropdown(
                    self.choices, value=self.choices[:2], multiselect=True, max_choices=MOST,
                    label=f"Methods (two to {MOST})",
                )  # fmt: skip
                with gr.Accordion("Image size", open=False):
                    size = size_input()
                run = gr.Button("Compare", variant="primary")
            with gr.Column(scale=2, min_width=300):
                passes = gr.HTML(label="Passes")
                gallery = gr.Gallery(
                    label="Overlays", columns=2, object_fit="contain", height="auto", format="jpeg",
                    interactive=False, buttons=["download", "fullscreen"], elem_classes="zsad-gallery",
                    elem_id="compare-answer",
                )  # fmt: skip
                bars = gr.HTML(markup.colour_bar(Display()), label="Colour scale")
                table = gr.Dataframe(
                    headers=HEADERS, label="Methods", interactive=False, type="array",
                    column_count=len(HEADERS), wrap=True, column_widths=WIDTHS,
                )  # fmt: skip
                with gr.Row():
                    first = gr.Dropdown(self.choices[:1], label="Difference: this method (red)")
                    second = gr.Dropdown(self.choices[1:2], label="minus this one (blue)")
                picture = gr.Image(
                    label="Difference", format="png", interactive=False, elem_classes="zsad-limited",
                    alt_text="Difference of two maps", buttons=["download", "fullscreen"],
                )  # fmt: skip
                difference_bar = gr.HTML(label="Colour scale of the difference")
                with gr.Accordion("Everything behind the numbers", open=False):
                    facts = gr.JSON(label="Result")
        save_as(picture, "difference")
        bring_into_view(run, "compare-answer")
        done = run.click(
            self.compare,
            [image, noun, methods, size],
            [state, gallery, bars, passes, table, picture, difference_bar, facts],
            preprocess=False,
            api_name="compare",
            api_description=f"Judge one uploaded image by two to {MOST} methods in shared passes.",
            concurrency_id=self.engine.device,
            concurrency_limit=1,
            show_progress_on=[gallery],
        )
        done.success(
            self._choices, [state], [first, second], api_visibility="private", show_progress="hidden"
        )
        # Beside an error or another image, what was there would pass for the answer.
        for event in (done.failure, image.change):
            event(
                lambda: [None] * 7, None, [state, gallery, passes, table, picture, difference_bar, facts],
                api_visibility="private", show_progress="hidden", queue=False,
            )  # fmt: skip
        for chosen in (first, second):
            chosen.input(
                self.difference,
                [state, first, second],
                [picture, difference_bar],
                preprocess=False,
                api_name="difference" if chosen is first else None,
                api_visibility="public" if chosen is first else "private",
                api_description="Draw how two maps of the session's last comparison differ.",
                queue=False,
                show_progress="hidden",
            )

    def _choices(self, shown: Comparison) -> tuple[gr.Dropdown, gr.Dropdown]:
        labels = list(shown.answers)
        return gr.Dropdown(labels, value=labels[0]), gr.Dropdown(labels, value=labels[1])


def _pictures(shown: Comparison) -> list[tuple[Any, str]]:
    height, width = shown.view.shape[:2]
    return [
        (
            overlay_picture(shown.view, resized_map(answer.anomaly_map, height, width), answer.display),
            f"{label}: {answer.score:.4f}",
        )
        for label, answer in shown.answers.items()
    ]


def _bars(shown: Comparison) -> str:
    """Return one colour scale for all methods, or one each where their fixed ranges differ."""
    by_range: dict[Display, list[str]] = {}
    for label, answer in shown.answers.items():
        by_range.setdefault(answer.display, []).append(label)
    if len(by_range) == 1:
        return markup.colour_bar(next(iter(by_range)))
    return "".join(
        markup.note(", ".join(labels)) + markup.colour_bar(display, f"map of {', '.join(labels)}")
        for display, labels in by_range.items()
    )


def _passes(shown: Comparison) -> str:
    return markup.note(
        f"{shown.passes} backbone pass{'es' * (shown.passes != 1)} for {len(shown.answers)} methods, "
        f"{1000 * shown.seconds:.0f} ms; one method at a time would take {shown.separate_passes}."
    ) + markup.unknown(shown.unknown)


def _rows(shown: Comparison) -> list[list[str]]:
    return [
        [
            label,
            f"{answer.score:.4f}",
            f"{answer.display.low:g} to {answer.display.high:g}",
            answer.info.setting,
            answer.info.fidelity,
            "; ".join(
                f"{part}: {found.trained_on}" for part, found in answer.info.weights.parts.items()
            ) or "nothing learned",
            f"{1000 * answer.seconds:.0f}",
        ]
        for label, answer in shown.answers.items()
    ]  # fmt: skip
