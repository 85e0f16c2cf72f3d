"""Import strings and resource strings, by which a plugin names things without importing them."""

from __future__ import annotations

import importlib
import importlib.resources
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zsad.errors import ZsadError


def cause(error: BaseException) -> str:
    """Return ``"ErrorType: message"`` on one line."""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def load_object(reference: str) -> Any:
    """Import what an import string names.

    Args:
        reference: ``"package.module:attribute"``; the attribute may be dotted.

    Raises:
        ZsadError: If the string has another form, or the import fails in whatever way.
    """
    module_name, attributes = _split(reference, "package.module:attribute")
    found: Any = _import(module_name, f"cannot import '{reference}'")
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            raise ZsadError(
                f"cannot import '{reference}': module '{module_name}' has no '{attributes}'"
            ) from None
    return found


def read_resource(reference: str) -> str:
    """Read a text file that lies in a package.

    Args:
        reference: ``"package:file.yaml"``, or ``"package:folder/file.yaml"``.

    Raises:
        ZsadError: If the string has another form, or the file cannot be read as UTF-8 text.
    """
    package, name = _split(reference, "package:file")
    _import(package, f"cannot read '{reference}'")
    try:
        return importlib.resources.files(package).joinpath(*name.split("/")).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ZsadError(f"cannot read '{reference}': package '{package}' has no file '{name}'") from None
    except (OSError, TypeError, UnicodeDecodeError) as error:
        raise ZsadError(f"cannot read '{reference}': {cause(error)}") from error


@contextmanager
def resource_path(reference: str) -> Iterator[Path]:
    """Give a file that lies in a package a path, also where the package is no folder.

    Args:
        reference: As for :func:`read_resource`.

    Raises:
        ZsadError: If the string has another form, or there is no such package.
    """
    package, name = _split(reference, "package:file")
    _import(package, f"cannot read '{reference}'")
    with importlib.resources.as_file(importlib.resources.files(package).joinpath(*name.split("/"))) as path:
        yield path


def _split(reference: str, form: str) -> tuple[str, str]:
    module, colon, rest = reference.partition(":")
    if not (colon and rest) or not all(part.isidentifier() for part in module.split(".")):
        raise ZsadError(f"'{reference}' does not have the form '{form}'")
    return module, rest


def _import(module: str, failure: str) -> Any:
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise ZsadError(f"{failure}: {cause(error)}") from error
