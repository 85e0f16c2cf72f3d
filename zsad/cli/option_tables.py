"""The options of parts, losses and generators, for people and programs."""

from __future__ import annotations

import json
from typing import Any

from zsad.cli.output import print_table
from zsad.errors import ZsadError
from zsad.plugin.imports import cause, load_object


def print_options(options: list[dict[str, Any]]) -> None:
    """Print what :func:`describe_options` found as a table, or nothing where there are none."""
    if options:
        print()
        rows = [{**option, "option": option["name"], "default": _default(option)} for option in options]
        print_table(rows, ("option", "type", "default", "description"))


def describe_options(reference: str | None) -> list[dict[str, Any]]:
    """Return name, type, default, whether it is required, and description of each field of a model.

    Args:
        reference: Import string of a pydantic model, or None for what has no options.

    Raises:
        ZsadError: If it is not one.
    """
    if reference is None:
        return []
    from pydantic import BaseModel  # a listing does not need it, and it takes longer than the rest
    from pydantic_core import to_jsonable_python

    model = load_object(reference)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise ZsadError(f"'{reference}' is not a pydantic model")
    try:
        return [
            {
                "name": name,
                "type": _type_name(field.annotation),
                "default": None
                if field.is_required()
                else to_jsonable_python(field.get_default(call_default_factory=True)),
                "required": field.is_required(),
                "description": field.description,
            }
            for name, field in model.model_fields.items()
        ]
    except (TypeError, ValueError) as error:
        raise ZsadError(f"the options '{reference}' cannot be described: {cause(error)}") from error


def _type_name(annotation: Any) -> str:
    if isinstance(annotation, type) and not getattr(annotation, "__args__", None):
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def _default(option: dict[str, Any]) -> str:
    """Return the default as ``--set`` takes it."""
    if option["required"]:
        return "(required)"
    return option["default"] if isinstance(option["default"], str) else json.dumps(option["default"])
