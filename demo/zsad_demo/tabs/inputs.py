"""Inputs that several tabs have."""

from __future__ import annotations

import gradio as gr

from zsad_demo.words import DEFAULT_NOUN, MAX_IMAGE_SIZE, MAX_NOUN


def image_input() -> gr.Image:
    """Return an image to upload, paste or take; its event gets the file, not decoded."""
    return gr.Image(
        label="Image",
        sources=["upload", "clipboard", "webcam"],
        type="filepath",
        image_mode=None,
        format="png",
        height=300,
        alt_text="The image to judge",
    )


def bring_into_view(button: gr.Button, name: str) -> None:
    """Have a button scroll to the component of an ``elem_id`` where a small screen does not show it.

    Gradio's ``scroll_to_output`` goes to the first output, and that is the session's state.
    """
    script = f"() => document.getElementById('{name}').scrollIntoView({{block: 'nearest'}})"
    button.click(None, js=script, api_visibility="private")


def noun_input() -> gr.Textbox:
    """Return the object noun."""
    return gr.Textbox(
        label="Object noun", placeholder=DEFAULT_NOUN, max_length=MAX_NOUN, max_lines=1,
        info="What the image shows, for example metal nut.",
    )  # fmt: skip


def word_inputs() -> tuple[gr.Textbox, gr.Textbox]:
    """Return sentences for the normal and the abnormal state."""
    normal = gr.Textbox(
        label="Own normal words",
        lines=2,
        placeholder="a clean {}",
        info="One sentence a line; {} is the object.",
    )
    abnormal = gr.Textbox(label="Own abnormal words", lines=2, placeholder="a scratched {}")
    return normal, abnormal


def size_input() -> gr.Number:
    """Return the image size."""
    return gr.Number(
        label="Image size in pixels", value=None, minimum=0, maximum=MAX_IMAGE_SIZE, precision=0,
        info="Side of the model's square input; empty for the method's own.",
    )  # fmt: skip
