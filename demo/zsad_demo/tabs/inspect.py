"""The tab Inspect: one image, one method, and a threshold that moves without asking the model again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from zsad.errors import InputError
from zsad.recipe.recipes import Display
from zsad_demo import markup
from zsad_demo.answers import Question
from zsad_demo.drawing import map_picture, mask_picture
from zsad_demo.engine import Engine
from zsad_demo.errors import callback
from zsad_demo.folders import fresh_folder
from zsad_demo.inspection import (
    Inspection,
    inspect_image,
    middle,
    region_rows,
    thresholded,
    write_files,
)
from zsad_demo.tabs.downloads import save_as
from zsad_demo.tabs.inputs import bring_into_view, image_input, noun_input, size_input, word_inputs
from zsad_demo.uploads import Upload
from zsad_demo.words import Words, parse_image_size, parse_noun, parse_threshold

REGION_HEADERS = ["#", "position", "area", "peak"]
STEPS = 500
"""Places of the threshold slider."""


class InspectTab:
    """Builds the tab and holds its callbacks."""

    def __init__(self, engine: Engine, examples: Sequence[tuple[Path, str]]) -> None:
        self.engine, self.examples = engine, examples
        self.choices = [model.label for model in engine.models.values() if not model.needs_several]

    @callback
    def inspect(
        self,
        image: Mapping[str, Any] | None,
        object_noun: str | None,
        method: str,
        normal_words: str | None,
        abnormal_words: str | None,
        image_size: float | None,
    ) -> tuple[Any, ...]:
        """Judge an image; the first value is what the visitor's session keeps."""
        model = self.engine.model(method)
        words = Words.parse(normal_words, abnormal_words)
        if words and not model.takes_words:
            raise InputError(f"{model.label} takes no words of your own; clear them or choose another method")
        if model.needs_several:
            raise InputError(f"{model.label} compares images with one another; send several under Batch")
        question = Question(model, parse_image_size(image_size, model.image_size), words)
        shown = inspect_image(self.engine, Upload.of(image), parse_noun(object_noun), question)
        return (
            shown,
            map_picture(shown.view_map, shown.display),
            markup.colour_bar(shown.display),
            markup.summary(shown.answer, shown.passes, shown.seconds) + markup.unknown(shown.unknown),
            shown.facts(),
            *self._at(shown, middle(shown.display)),
        )

    @callback
    def threshold(self, shown: Inspection | None, threshold: float) -> tuple[Any, ...]:
        """Redraw contours, mask and regions at a threshold, without a pass through the backbone."""
        return self._at(_present(shown), parse_threshold(threshold))

    @callback
    def files(self, shown: Inspection | None, threshold: float) -> list[str]:
        """Write overlay, map, mask and facts at the image's own size."""
        value = parse_threshold(threshold)
        return [str(path) for path in write_files(_present(shown), value, fresh_folder())]

    def _fresh(self, shown: Inspection) -> tuple[gr.Slider, None]:
        """Put the threshold into the middle of the method's range, and take the former files away."""
        low, high = shown.display.low, shown.display.high
        step = (high - low) / STEPS
        return gr.Slider(minimum=low, maximum=high, step=step, value=middle(shown.display)), None

    def _at(self, shown: Inspection, threshold: float) -> tuple[Any, ...]:
        overlay, mask, regions = thresholded(shown, threshold)
        facts = {
            "map_threshold": threshold,
            "area_share": float(mask.mean()),
            "regions": [region.plain() for region in regions],
        }
        return (shown.view, overlay), mask_picture(mask), region_rows(regions), facts

    def build(self) -> None:
        """Add the tab's components and events to the Gradio context."""
        state = gr.State(None)
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                image = image_input()
                noun = noun_input()
                method = gr.Dropdown(
                    self.choices, value=self.choices[0], label="Method and weights", filterable=True
                )
                with gr.Accordion("Own words and image size", open=False):
                    normal, abnormal = word_inputs()
                    size = size_input()
                run = gr.Button("Inspect", variant="primary")
                gr.Examples(
                    [[str(path), own_noun] for path, own_noun in self.examples],
                    [image, noun],
                    label="Examples",
                    api_visibility="private",
                )
            with gr.Column(scale=2, min_width=300):
                pair = gr.ImageSlider(
                    label="Original and overlay",
                    format="jpeg",
                    interactive=False,
                    max_height=560,
                    elem_id="inspect-answer",
                )
                bar = gr.HTML(markup.colour_bar(Display()), label="Colour scale")
                slider = gr.Slider(
                    0.0, 1.0, value=0.5, step=1 / STEPS, label="Map threshold",
                    info="Moves contours, mask and regions; the model is not asked again.",
                )  # fmt: skip
                summary = gr.HTML(label="Score")
                with gr.Row():
                    anomaly_map = gr.Image(
                        label="Anomaly map",
                        format="jpeg",
                        interactive=False,
                        alt_text="Anomaly map",
                        buttons=["download", "fullscreen"],
                    )
                    mask = gr.Image(
                        label="Mask",
                        format="png",
                        interactive=False,
                        alt_text="Mask at the threshold",
                        buttons=["download", "fullscreen"],
                    )
                regions = gr.Dataframe(
                    headers=REGION_HEADERS, label="Regions above the threshold", interactive=False,
                    column_count=len(REGION_HEADERS), type="array", wrap=True,
                )  # fmt: skip
                with gr.Accordion("Downloads", open=False):
                    make = gr.Button("Make files at the image's own size")
                    files = gr.File(
                        label="Overlay, map (float32), mask, result",
                        file_count="multiple",
                        interactive=False,
                    )
                with gr.Accordion("Everything behind the numbers", open=False):
                    facts = gr.JSON(label="Result")
                    region_facts_json = gr.JSON(label="Threshold")
        save_as(pair, "original", "overlay")
        save_as(anomaly_map, "anomaly-map")
        save_as(mask, "mask")
        redrawn = [pair, mask, regions, region_facts_json]
        bring_into_view(run, "inspect-answer")
        inspected = run.click(
            self.inspect,
            [image, noun, method, normal, abnormal, size],
            [state, anomaly_map, bar, summary, facts, *redrawn],
            preprocess=False,
            api_name="inspect",
            api_description="Judge one uploaded image by one method.",
            concurrency_id=self.engine.device,
            concurrency_limit=1,
            show_progress_on=[pair],
        )
        inspected.success(
            self._fresh, [state], [slider, files], api_visibility="private", show_progress="hidden"
        )
        # Beside an error or another image, what was there would pass for the answer.
        former = [state, anomaly_map, summary, facts, files, *redrawn]
        for event in (inspected.failure, image.change):
            event(
                lambda: [None] * len(former), None, former, api_visibility="private",
                show_progress="hidden", queue=False,
            )  # fmt: skip
        slider.input(
            self.threshold,
            [state, slider],
            redrawn,
            preprocess=False,
            api_name="threshold",
            api_description="Redraw the session's last inspected image at another threshold of its map.",
            queue=False,
            trigger_mode="always_last",
            show_progress="hidden",
        )
        make.click(
            self.files,
            [state, slider],
            [files],
            preprocess=False,
            api_name="files",
            api_description="Write overlay, map, mask and facts of the session's last inspected image.",
            concurrency_limit=1,
        )
        method.change(
            self._words_for, [method], [normal, abnormal], api_visibility="private", show_progress="hidden"
        )

    def _words_for(self, label: str) -> tuple[Any, Any]:
        takes = self.engine.model(label).takes_words
        return gr.update(interactive=takes), gr.update(interactive=takes)


def _present(shown: Inspection | None) -> Inspection:
    if shown is None:
        raise InputError("inspect an image first")
    return shown
