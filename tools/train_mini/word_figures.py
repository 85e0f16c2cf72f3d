"""What added words say of drawn images, beside words that were known before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tools.train_mini.added_sentences import Meaning, meaning
from tools.train_mini.added_words import OBJECT, WordReader
from tools.train_mini.evidence import Evidence
from tools.train_mini.measure import auroc
from tools.train_mini.sentences import DEFECT_WORDS, bare
from zsad_plugins.drawn.procedural import defect_phrases
from zsad_plugins.mini.words import Added

FORMS = 2
"""Forms of a word whose sentences are averaged."""
KNOWN_STATES: Mapping[tuple[str, bool], Sequence[str]] = {
    ("normal", True): ("flawless", "perfect", "unblemished"),
    ("abnormal", True): ("damaged", "broken", "defective"),
    ("abnormal", False): ("defect", "damage", "flaw"),
}
"""Words of the first edition to compare with, by state and whether they precede the noun."""
NORMAL = (
    "{noun}",
    "flawless {noun}",
    "perfect {noun}",
    "a photo of a flawless {noun}.",
    "{noun} without defect",
)
ABNORMAL = ("damaged {noun}", "{noun} with defect", "{noun} with damage", "a photo of a damaged {noun}.")
NOUNS_APART = 5
"""Every fifth noun of the table is measured: they differ little."""
HALF = 0.5
"""Cover from which on a patch counts as defective; patches without any count as normal."""

Pair = tuple[float | None, float | None]
"""Pixel AUROC, and the AUROC of finding the defects that a word names; None where nothing can be ranked."""
Figures = dict[str, Pair]
"""By the title of a group of words."""


class WordMeasure:
    """Measures words on the features of drawn images that no word was learned from."""

    def __init__(self, reader: WordReader, evidence: Evidence) -> None:
        self.reader, self.evidence = reader, evidence
        self.tokens = evidence.tokens[:, 0].float()
        self.anywhere = evidence.cover.amax(dim=1)
        regions, about = evidence.regions()
        self.regions, self.about = regions[0], about
        start = reader.added.begin(reader.embedding)
        self.normal, self.abnormal = (
            self._features([[text.format(noun=OBJECT) for text in texts]], start)[0]
            for texts in (NORMAL, ABNORMAL)
        )

    def figures(self, rows: Tensor) -> Figures:
        """Return figures of all added words.

        Args:
            rows: [added, D], the rows to measure them by.
        """
        entries = [(entry, meaning(entry)) for entry in self.reader.added.words.added]
        said = [(entry, found) for entry, found in entries if found is not None and self._shown(found)]
        texts = [
            [text for form in entry.forms[:FORMS] for text in _sentences(form, found)]
            for entry, found in said
        ]
        groups: dict[str, list[Pair]] = {}
        for (_, found), feature in zip(said, self._features(texts, rows), strict=True):
            groups.setdefault(_title(found), []).append(self._of(found, feature))
        groups |= {"nouns": [(figure, None) for figure in self._nouns(rows)]}
        return {title: _means(values) for title, values in groups.items()}

    def known(self) -> Figures:
        """Return the same figures of words of the first edition, one set of them for each added word."""
        start = self.reader.added.begin(self.reader.embedding)
        found: dict[Meaning, Pair] = {}
        groups: dict[str, list[Pair]] = {}
        for said in filter(None, map(meaning, self.reader.added.words.added)):
            if not self._shown(said):
                continue
            if said not in found:
                texts = [_sentences(word, said) for word in _known_words(said)]
                found[said] = _means([self._of(said, feature) for feature in self._features(texts, start)])
            groups.setdefault(_title(said), []).append(found[said])
        nouns = self._states([[OBJECT]], start)
        return {title: _means(values) for title, values in groups.items()} | {"nouns": (nouns[0], None)}

    def _shown(self, said: Meaning) -> list[int]:
        return self.evidence.showing(said.defect, said.family)

    def _of(self, said: Meaning, feature: Tensor) -> Pair:
        if said.state == "normal":
            return self._pixels(self.abnormal - feature, said), None
        pixels = self._pixels(feature - self.normal, said)
        if said.defect is None:
            return pixels, None
        named = [kind == said.defect and said.family in (None, family) for kind, family in self.about]
        return pixels, auroc((self.regions @ feature).numpy(), np.array(named))

    def _pixels(self, direction: Tensor, said: Meaning) -> float | None:
        """Return the AUROC of patches with the defect against those without any."""
        shown = self._shown(said)
        cover = self.anywhere[shown]
        if said.defect is not None:
            slots = [self.evidence.kinds[place].index(said.defect) for place in shown]
            cover = self.evidence.cover[shown, slots]
        scores = self.tokens[shown] @ direction
        defective, normal = cover > HALF, self.anywhere[shown] == 0
        kept = defective | normal
        return auroc(scores[kept].numpy(), defective[kept].numpy())

    def _nouns(self, rows: Tensor) -> list[float | None]:
        entries: list[Added] = [entry for entry in self.reader.added.words.added if entry.about[0] == "nouns"]
        return self._states([entry.forms[:1] for entry in entries[::NOUNS_APART]], rows)

    def _states(self, nouns: Sequence[Sequence[str]], rows: Tensor) -> list[float | None]:
        """Return the pixel AUROC of known states said of each noun, whatever the images show."""
        normal, abnormal = (
            self._features([[text.format(noun=noun[0]) for text in texts] for noun in nouns], rows)
            for texts in (NORMAL, ABNORMAL)
        )
        any_defect = Meaning("abnormal", True)
        return [self._pixels(direction, any_defect) for direction in abnormal - normal]

    def _features(self, texts: Sequence[Sequence[str]], rows: Tensor) -> Tensor:
        """Return a normalised mean feature [n, C] for each group of texts."""
        with torch.no_grad():
            features = self.reader.features([text for group in texts for text in group], rows)
        parts = torch.split(features, [len(group) for group in texts])
        return F.normalize(torch.stack([part.mean(dim=0) for part in parts]), dim=-1)


def table(columns: Mapping[str, Figures]) -> str:
    """Return a Markdown table of figures by the title of a column."""
    titles = list(next(iter(columns.values())))
    lines = [["words", "figure", *columns], ["---", "---", *["---:"] * len(columns)]]
    for place, name in enumerate(("pixel AUROC", "finds what it names")):
        for title in titles:
            values = [figures[title][place] for figures in columns.values()]
            if None not in values:
                lines.append([title, name, *(f"{value:.3f}" for value in values)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _title(said: Meaning) -> str:
    if said.defect is None:
        return f"{said.state} states"
    return "names of defects" if said.family is None else "names on one family"


def _sentences(word: str, said: Meaning) -> list[str]:
    return [template.format(word=word, noun=OBJECT) for template in said.templates]


def _known_words(said: Meaning) -> Iterable[str]:
    if said.defect is None:
        return KNOWN_STATES[said.state, said.before]
    words = DEFECT_WORDS[said.defect] if said.family is None else defect_phrases(said.family, said.defect)
    return dict.fromkeys(words.before if said.before else map(bare, words.after))


def _means(pairs: Sequence[Pair]) -> Pair:
    first, second = ([value for value in values if value is not None] for values in zip(*pairs, strict=True))
    return float(np.mean(first)) if first else None, float(np.mean(second)) if second else None
