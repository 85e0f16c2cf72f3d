"""The tab References, which is there only where a method takes reference images."""

from __future__ import annotations

from collections.abc import Mapping

import gradio as gr

from zsad_demo import markup


def build(methods: Mapping[str, str]) -> None:
    """List the methods that take reference images.

    Args:
        methods: Their summaries by name, from :func:`zsad_demo.catalogue.methods_with_references`.
    """
    gr.HTML(
        markup.note("These methods compare an image with reference images; give them on the command line.")
        + markup.definitions(methods)
    )
