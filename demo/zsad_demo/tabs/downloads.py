"""Names under which browsers save the pictures of a page; Gradio calls all of them ``image``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData


def save_as(component: gr.Image | gr.ImageSlider, *names: str) -> None:
    """Have the pictures of a component saved under names of their own.

    Gradio writes a stub file beside the source of every class of components, so this is none.

    Args:
        component: Shows the pictures.
        names: A name per picture, without suffix.
    """
    shown = component.postprocess

    def named(value: Any) -> Any:
        data = shown(value)
        for name, picture in zip(names, _pictures(data), strict=False):
            picture.orig_name = f"{name}{Path(picture.path or '').suffix.replace('.jpeg', '.jpg')}"
        return data

    component.postprocess = named  # type: ignore[method-assign]


def _pictures(data: Any) -> Iterator[ImageData]:
    pictures = data.root if hasattr(data, "root") else (data,)
    return (picture for picture in pictures or () if isinstance(picture, ImageData))
