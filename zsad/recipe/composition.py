"""Which parts go together: pairs of parts composed, run untrained, and compared with where they come from.

Everything follows from what is registered. A *side* is one end of a pair: parts as some recipe uses them. A
pair of sides is composed on the recipe that one of them comes from, with the other's parts set there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import yaml

from zsad.errors import ZsadError
from zsad.plugin.host import Host
from zsad.recipe.recipes import PartChoice, Recipe, load_recipe
from zsad.recipe.resolved import resolved_part

Status = Literal["recipe", "runs", "same", "refused", "failed"]

WORDS: dict[Status, str] = {
    "runs": "run with a map of their own",
    "recipe": "a recipe as it is",
    "same": "run with the map of a recipe they come from, or a flat one",
    "refused": "refused",
    "failed": "failed",
}
"""What each status is called."""

REFINER, LEARNER, CONDITIONER = "attention_refiner", "prompt_learner", "prompt_conditioner"


@dataclass(frozen=True)
class Side:
    """Parts that go into a pair together.

    Attributes:
        label: What a table calls it.
        recipe: Name of the recipe that it is taken from.
        choices: Part and options by kind; None for an empty place.
        auxiliary: The auxiliary parts of that recipe that these parts require.
    """

    label: str
    recipe: str
    choices: dict[str, PartChoice | None]
    auxiliary: tuple[PartChoice, ...] = ()

    def overrides(self, base: Recipe) -> list[str]:
        """Return the ``--set`` values that put these parts into another recipe."""
        found: list[str] = []
        present = {choice.use for choice in base.parts.auxiliary}
        for choice in self.auxiliary:
            if choice.use not in present:
                found += [f"auxiliary+={choice.use}", *_options(f"auxiliary.{choice.use}", choice)]
        for kind, part in self.choices.items():
            if part is None:
                found.append(f"{kind}=none")
            else:
                found += [f"{kind}={part.use}", *_options(kind, part)]
        return found

    def requires(self, host: Host) -> frozenset[str]:
        """Return what these parts declare to require."""
        return _requires(host, self.choices)

    def is_in(self, host: Host, recipe: Recipe) -> bool:
        """Whether a recipe has these parts, with the same texts where the options name any."""
        return all(
            _key(host, getattr(recipe.parts, kind)) == _key(host, part) for kind, part in self.choices.items()
        )


@dataclass(frozen=True)
class Pair:
    """What became of two sides.

    Attributes:
        first: Label of one side, a row.
        second: Label of the other, a column.
        status: ``recipe`` (a registered recipe is this pair), ``runs`` (its map differs from those of both
            recipes that the sides come from), ``same`` (it does not, or is flat), ``refused``, or ``failed``
            (with an error that is no sentence for users).
        base: The recipe it was composed on, or the registered one that it is.
        overrides: The ``--set`` values.
        difference: See :func:`difference`; the lesser one of those from the two recipes.
        sentence: Why it was refused, or failed; of two refusals the one that says what the pair itself lacks.
    """

    first: str
    second: str
    status: Status
    base: str
    overrides: tuple[str, ...] = ()
    difference: float | None = None
    sentence: str | None = None


@dataclass(frozen=True)
class Grid:
    """Every row paired with every column, on whose recipe a pair is composed.

    Attributes:
        title: What is crossed with what.
        rows: Sides.
        columns: Sides.
    """

    title: str
    rows: tuple[Side, ...]
    columns: tuple[Side, ...]

    def pairs(self) -> list[tuple[Side, Side]]:
        """Return the pairs, row by row."""
        return [(row, column) for row in self.rows for column in self.columns]


def grids(host: Host) -> list[Grid]:
    """Return attention refiners by prompt sides, and prompt conditioners by prompt learners."""
    recipes = usable_recipes(host)
    conditioners = tuple(side for side in _sides(host, recipes, CONDITIONER) if side.choices[CONDITIONER])
    return [
        Grid("attention refiners by prompt sides", refiners(host, recipes), prompt_sides(host, recipes)),
        Grid("prompt conditioners by prompt learners", conditioners, _sides(host, recipes, LEARNER)),
    ]


def usable_recipes(host: Host) -> dict[str, Recipe]:
    """Return the recipes with text that need no references, those first that a part is best shown in.

    That is: without auxiliary parts, or with stand-ins for them (fidelity ``inspired``), which need no
    download; inductive; no variant of another recipe; without a conditioner; by name.
    """
    found: dict[str, Recipe] = {}
    for name in host.recipes.names():
        try:
            recipe = load_recipe(host, name)
        except ZsadError:  # a third party's broken recipe must not hide the other methods
            continue
        parts = recipe.parts
        complete = all(choice.use in host.parts for choice in parts.chosen())
        if complete and parts.prompt_learner and not parts.reference_store:
            found[name] = recipe
    return dict(sorted(found.items(), key=lambda item: _preference(host, *item)))


def refiners(host: Host, recipes: dict[str, Recipe]) -> tuple[Side, ...]:
    """Return the attention refiners that recipes use, and the plain stream.

    One whose result depends on the batch shows little in a batch of two, and is left out.
    """
    return tuple(
        side
        for side in _sides(host, recipes, REFINER)
        if (part := side.choices[REFINER]) is None or not resolved_part(host, part).batch_dependent
    )


def prompt_sides(host: Host, recipes: dict[str, Recipe]) -> tuple[Side, ...]:
    """Return the prompt sides of recipes: learner and conditioner.

    Fixed sentences count once per file of words; a variant of a recipe counts if its parts are others.
    """
    found: dict[str, Side] = {}
    seen = set[tuple[str | None, ...]]()
    for name, recipe in recipes.items():
        side = _side(host, name, recipe, (LEARNER, CONDITIONER))
        parts = tuple(_use(part) for part in side.choices.values())
        if "@" not in name or parts not in seen:
            found.setdefault(side.label, side)
        seen.add(parts)
    return tuple(found.values())


def _preference(host: Host, name: str, recipe: Recipe) -> tuple[bool, bool, bool, bool, str]:
    parts = recipe.parts
    needs_more = bool(parts.auxiliary) and recipe.fidelity != "inspired"
    transductive = any(resolved_part(host, choice).transductive for choice in parts.chosen())
    return needs_more, transductive, "@" in name, parts.prompt_conditioner is not None, name


def _sides(host: Host, recipes: dict[str, Recipe], kind: str) -> tuple[Side, ...]:
    """Return a side for each part that recipes use as ``kind``, as the first of them has it."""
    found: dict[str | None, Side] = {}
    for name, recipe in recipes.items():
        part: PartChoice | None = getattr(recipe.parts, kind)
        if (use := _use(part)) not in found:
            found[use] = _side(host, name, recipe, (kind,))
    return tuple(found.values())


def _side(host: Host, name: str, recipe: Recipe, kinds: tuple[str, ...]) -> Side:
    choices: dict[str, PartChoice | None] = {kind: getattr(recipe.parts, kind) for kind in kinds}
    parts = [part for part in choices.values() if part is not None]
    needs = _requires(host, choices)
    auxiliary = (part for part in recipe.parts.auxiliary if resolved_part(host, part).provides & needs)
    label = " + ".join(_label(host, part) for part in parts)
    return Side(label or "none", name, choices, tuple(auxiliary))


def _requires(host: Host, choices: dict[str, PartChoice | None]) -> frozenset[str]:
    parts = (part for part in choices.values() if part is not None)
    return frozenset[str]().union(*(resolved_part(host, part).requires for part in parts))


def _use(part: PartChoice | None) -> str | None:
    return None if part is None else part.use


def _label(host: Host, part: PartChoice) -> str:
    texts = ", ".join(text.rpartition(":")[2] for text in _texts(host, part))
    return f"{part.use} ({texts})" if texts else part.use


def _texts(host: Host, part: PartChoice) -> list[str]:
    """Return the resources that a part's options name, if it learns nothing: they tell two of it apart."""
    resolved = resolved_part(host, part)
    if resolved.spec.learnable or resolved.options is None:
        return []
    return [value for _, value in resolved.options if isinstance(value, str) and ":" in value]


def _key(host: Host, part: PartChoice | None) -> tuple[str, list[str]] | None:
    return None if part is None else (part.use, _texts(host, part))


def _options(path: str, part: PartChoice) -> Iterator[str]:
    for name, value in part.options.items():
        flow = yaml.safe_dump([value], default_flow_style=True, width=float("inf"), sort_keys=False)
        yield f"{path}.{name}={flow.strip()[1:-1]}"


def as_markdown(grid: Grid, pairs: Sequence[Pair]) -> str:
    """Return a grid as a Markdown table, with its sides' recipes before it and its refusals behind it.

    Args:
        grid: The grid.
        pairs: What became of its pairs, row by row.
    """
    notes: list[str] = []
    lines = [_line("", *(side.label for side in grid.columns)), _line(*["---"] * (len(grid.columns) + 1))]
    for number, row in enumerate(grid.rows):
        found = pairs[number * len(grid.columns) :][: len(grid.columns)]
        cells = [_cell(pair, column, notes) for pair, column in zip(found, grid.columns, strict=True)]
        lines.append(_line(f"**{row.label}**", *cells))
    rows, columns = (
        ", ".join(f"{side.label} from `{side.recipe}`" for side in sides)
        for sides in (grid.rows, grid.columns)
    )
    origin = f"Rows: {rows}.\n\nColumns: {columns}."
    listed = "\n".join(f"{number}. {note}" for number, note in enumerate(notes, start=1))
    heading = f"## {grid.title[0].upper()}{grid.title[1:]}"
    return "\n\n".join(filter(None, [heading, origin, "\n".join(lines), counted(pairs), listed]))


def counted(pairs: Sequence[Pair]) -> str:
    """Return how many pairs came out how, as a sentence."""
    counts = Counter(pair.status for pair in pairs)
    listed = ", ".join(f"{counts[status]} {words}" for status, words in WORDS.items() if counts[status])
    return f"{len(pairs)} pairs: {listed}."


def _cell(pair: Pair, column: Side, notes: list[str]) -> str:
    if pair.status == "recipe":
        return f"= `{pair.base}`"
    if pair.status == "runs":
        return f"{pair.difference:.3f}" + ("" if pair.base == column.recipe else f" on `{pair.base}`")
    if pair.sentence is None:
        return pair.status
    if pair.sentence not in notes:
        notes.append(pair.sentence)
    return f"{pair.status} ({notes.index(pair.sentence) + 1})"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
