"""Whatever goes wrong in a callback: one sentence in the page, the traceback in the server's log."""

from __future__ import annotations

import functools
import html
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import isgeneratorfunction
from typing import Any, TypeVar, cast

import gradio as gr

from zsad.errors import ZsadError
from zsad_demo.guard.log import failed

F = TypeVar("F", bound=Callable[..., Any])


def page_error(sentence: str) -> gr.Error:
    """Return the error that shows a sentence in the page; markup in it is shown as it is written."""
    return gr.Error(html.escape(sentence, quote=False), title="This did not work", print_exception=False)


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn any exception into one that the page shows as a sentence.

    Raises:
        gr.Error: In the place of what was raised.
    """
    try:
        yield
    except (gr.Error, GeneratorExit):
        raise
    except ZsadError as error:
        raise page_error(str(error).replace("--image-size", "image size")) from None
    except MemoryError:
        raise page_error("this machine has not enough memory for that; send a smaller image") from None
    except Exception as error:
        failed("a callback failed", error)
        raise page_error("the server failed at this; its log says why") from None


def callback(function: F) -> F:
    """Decorate a callback so that whatever it raises becomes one sentence in the page."""
    if isgeneratorfunction(function):

        @functools.wraps(function)
        def generate(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with one_sentence():
                yield from function(*args, **kwargs)

        return cast(F, generate)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with one_sentence():
            return function(*args, **kwargs)

    return cast(F, call)
