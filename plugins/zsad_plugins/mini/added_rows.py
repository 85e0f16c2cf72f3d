"""Rows of the token embedding for the words of the second edition: means of known rows, or learned ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from zsad.errors import ZsadError
from zsad_plugins.mini.words import Words, read_words

FILE = "words.safetensors"
TABLE_KEY = "mini_words"
"""The metadata entry that holds the hash of the table that the file was made of."""
STEPS = 127


@dataclass(frozen=True)
class AddedRows:
    """What the second edition adds to the token embedding.

    Attributes:
        words: The words.
        counts: [n] uint8, how many known rows each added one begins at the mean of.
        leans: [counts.sum()] int16, these rows, one added row after the other.
        places: [k] int16, added rows that were learned; the others stay at their mean.
        learned: [k, D] int8, the learned rows in units of their scale.
        scales: [k] float16.
    """

    words: Words
    counts: Tensor
    leans: Tensor
    places: Tensor
    learned: Tensor
    scales: Tensor

    def begin(self, embedding: Tensor) -> Tensor:
        """Return where every added row begins, [n, D], for the rows [rows, D] of the first edition."""
        counts = self.counts.long()
        owner = torch.repeat_interleave(torch.arange(len(counts)), counts)
        sums = torch.zeros(len(counts), embedding.shape[1], dtype=embedding.dtype)
        return sums.index_add_(0, owner, embedding[self.leans.long()]) / counts[:, None]

    def rows(self, embedding: Tensor) -> Tensor:
        """Return the added rows, [n, D], for the rows [rows, D] of the first edition."""
        added = self.begin(embedding)
        added[self.places.long()] = self.learned.to(added.dtype) * self.scales.to(added.dtype)[:, None]
        return added

    def extend(self, embedding: Tensor) -> Tensor:
        """Return the rows of both editions, [rows + n, D]: the added ones before start and end."""
        return torch.cat([embedding[:-2], self.rows(embedding), embedding[-2:]])

    def unlearned(self) -> AddedRows:
        """Return the same with every row at its mean."""
        return replace(self, places=self.places[:0], learned=self.learned[:0], scales=self.scales[:0])

    def with_learned(self, places: Tensor, rows: Tensor) -> AddedRows:
        """Return the same with learned rows in place of any others.

        Args:
            places: [k], which of the added rows they are.
            rows: [k, D]; each is rounded to 127 steps from 0 to its largest value.
        """
        scales = (rows.abs().amax(dim=1) / STEPS).half()
        learned = (rows / scales.float()[:, None]).round().clamp(-STEPS, STEPS).to(torch.int8)
        return replace(self, places=places.to(torch.int16), learned=learned, scales=scales)


def begun(words: Words, rows_of: Callable[[str], Sequence[int]], width: int) -> AddedRows:
    """Return added rows that nothing was learned of.

    Args:
        words: The words.
        rows_of: From a word of the first edition to its rows.
        width: Channels of a row.
    """
    rows = [[row for word in entry.leans for row in rows_of(word)] for entry in words.added]
    return AddedRows(
        words,
        torch.tensor([len(found) for found in rows], dtype=torch.uint8),
        torch.tensor([row for found in rows for row in found], dtype=torch.int16),
        torch.zeros(0, dtype=torch.int16),
        torch.zeros(0, width, dtype=torch.int8),
        torch.zeros(0, dtype=torch.float16),
    )


def read_added_rows(path: Path | None = None) -> AddedRows:
    """Read the added rows, by default the shipped ones.

    Raises:
        ZsadError: The file was made of another table.
    """
    if path is None:
        with as_file(files("zsad_plugins.mini") / FILE) as shipped:
            return read_added_rows(shipped)
    words = read_words()
    with safe_open(path, framework="pt") as file:
        made_of = (file.metadata() or {}).get(TABLE_KEY)
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    if made_of != words.digest:
        raise ZsadError(f"{path} was made of another table of words; make it anew: see the card of mini")
    return AddedRows(words, **stored)


def write_added_rows(path: Path, added: AddedRows, notes: dict[str, str] | None = None) -> None:
    """Write added rows.

    Args:
        path: Where to.
        added: The rows.
        notes: Further metadata, such as seed and command.
    """
    tensors = {name: getattr(added, name) for name in ("counts", "leans", "places", "learned", "scales")}
    save_file(tensors, path, metadata={TABLE_KEY: added.words.digest, **(notes or {})})
