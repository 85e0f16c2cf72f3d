"""The tab Batch: many images or a zip archive under one method, sorted by score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import gradio as gr

from zsad.errors import InputError
from zsad.recipe.recipes import Display
from zsad_demo import markup
from zsad_demo.answers import Question
from zsad_demo.batch import LIMITS, Batch, run_batch, write_files
from zsad_demo.drawing import decoded
from zsad_demo.engine import Engine
from zsad_demo.errors import callback
from zsad_demo.folders import fresh_folder
from zsad_demo.tabs.inputs import bring_into_view, noun_input, size_input
from zsad_demo.uploads import Upload
from zsad_demo.words import parse_image_size, parse_noun

HEADERS = ["rank", "image", "score", "map maximum", "left out because"]
WIDTHS: list[str | int] = ["65px", "260px", "85px", "130px", "200px"]
NOTHING = markup.note("Nothing judged yet.")
GALLERY = 60
"""Pictures that the page shows; the report has all of them."""


@dataclass(eq=False)
class Stop:
    """A visitor's wish to stop, which a running batch looks at after every pass.

    Gradio's own cancelling would drop what the running pass still answers.
    """

    asked: bool = False


class BatchTab:
    """Builds the tab and holds its callbacks."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @callback
    def batch(
        self,
        images: Sequence[Mapping[str, Any]] | None,
        object_noun: str | None,
        method: str,
        image_size: float | None,
        stop: Stop,
    ) -> Iterator[tuple[Any, ...]]:
        """Judge images; after every pass, yield what there is. The first value is the session's."""
        if stop.asked:  # while it waited for its turn
            raise InputError("stopped before the first image")
        model = self.engine.model(method)
        question = Question(model, parse_image_size(image_size, model.image_size))
        if images and not isinstance(images, list | tuple):
            raise InputError("the images have to be a list of uploaded files")
        uploads = [Upload.of(payload) for payload in images or ()]
        with closing(run_batch(self.engine, uploads, parse_noun(object_noun), question)) as running:
            for batch in running:
                stopped = stop.asked and batch.seen < batch.total
                yield (batch, _progress(batch, stopped), *_answers(batch))
                if stopped:
                    return

    @callback
    def files(self, batch: Batch | None) -> list[str]:
        """Write the table as CSV and everything as a self-contained page."""
        if batch is None or not batch.judged:
            raise InputError("judge some images first")
        return [str(path) for path in write_files(batch, fresh_folder())]

    def build(self) -> None:
        """Add the tab's components and events to the Gradio context."""
        state, stop = gr.State(None), gr.State(Stop())
        choices = list(self.engine.models)
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                images = gr.File(
                    label=f"Images, or a zip archive (at most {LIMITS.files})", file_count="multiple",
                    height=180,
                )  # fmt: skip
                noun = noun_input()
                method = gr.Dropdown(choices, value=choices[0], label="Method and weights")
                with gr.Accordion("Image size", open=False):
                    size = size_input()
                with gr.Row():
                    run = gr.Button("Judge all", variant="primary")
                    halt = gr.Button("Stop")
            with gr.Column(scale=2, min_width=300):
                progress = gr.HTML(NOTHING, label="Progress", elem_id="batch-answer")
                gallery = gr.Gallery(
                    label="Most anomalous first", columns=4, object_fit="contain", height="auto",
                    format="jpeg", interactive=False, buttons=["fullscreen"], elem_classes="zsad-gallery",
                )  # fmt: skip
                bar = gr.HTML(markup.colour_bar(Display()), label="Colour scale")
                table = gr.Dataframe(
                    headers=HEADERS, label="Scores", interactive=False, type="array",
                    column_count=len(HEADERS), wrap=True, column_widths=WIDTHS,
                )  # fmt: skip
                with gr.Accordion("Downloads", open=False):
                    make = gr.Button("Make the table and the report")
                    files = gr.File(label="Table (CSV), report (HTML)", file_count="multiple",
                                    interactive=False)  # fmt: skip
        # Beside other images, what was there would pass for their answer.
        images.change(
            self._nothing, None, [state, progress, gallery, table, files], api_visibility="private",
            show_progress="hidden", queue=False,
        )  # fmt: skip
        bring_into_view(run, "batch-answer")
        armed = run.click(
            self._arm, [stop], [files], api_visibility="private", queue=False, show_progress="hidden"
        )
        judged = armed.then(
            self.batch,
            [images, noun, method, size, stop],
            [state, progress, gallery, table, bar],
            preprocess=False,
            api_name="batch",
            api_description="Judge uploaded images, or zip archives of them, by one method.",
            concurrency_id=f"{self.engine.device}-batch",
            concurrency_limit=1,
            show_progress_on=[progress],
        )
        judged.failure(
            self._nothing, None, [state, progress, gallery, table, files], api_visibility="private",
            show_progress="hidden", queue=False,
        )  # fmt: skip
        halt.click(self._stop, [stop], None, api_visibility="private", queue=False, show_progress="hidden")
        make.click(
            self.files,
            [state],
            [files],
            preprocess=False,
            api_name="batch_files",
            api_description="Write the session's last batch as CSV and as a self-contained page.",
            concurrency_limit=2,
        )

    def _arm(self, stop: Stop) -> None:
        stop.asked = False  # and the files of the batch before go

    def _nothing(self) -> tuple[Any, ...]:
        """Take away what was there: beside an error, it would pass for the answer."""
        return None, NOTHING, None, None, None

    def _stop(self, stop: Stop) -> None:
        stop.asked = True


def _progress(batch: Batch, stopped: bool) -> str:
    share = 100 * batch.seen / max(1, batch.total)
    bar = (
        f'<progress max="{max(1, batch.total)}" value="{batch.seen}" '
        f'aria-label="images judged">{share:.0f} %</progress>'
    )
    if stopped:
        return markup.note(f"Stopped after {batch.seen} of {batch.total} images; these are kept.")
    return markup.note(_progress_text(batch)) + bar + markup.unknown(batch.unknown)


def _progress_text(batch: Batch) -> str:
    left_out = f", {len(batch.failed)} left out" if batch.failed else ""
    waiting = batch.seen - len(batch.judged)
    hint = "; the method answers when it has seen all of them" if waiting else ""
    return f"{batch.seen} of {batch.total} images{left_out}{hint}."


def _answers(batch: Batch) -> tuple[Any, ...]:
    pictures = [
        (decoded(one.overlay), f"{rank}. {one.score:.4f} {one.name}")
        for rank, one in enumerate(batch.ranked()[:GALLERY], start=1)
    ]
    rows = [
        [
            str(row.get("rank", "")),
            row["image"],
            *(f"{row[name]:.4f}" if name in row else "" for name in ("score", "map_maximum")),
            row["error"],
        ]
        for row in batch.rows()
    ]
    return pictures, rows, markup.colour_bar(batch.display)
