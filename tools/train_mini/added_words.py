"""Learn the rows of added words from drawn images; everything that ``mini`` has learned stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.train_mini import losses
from tools.train_mini.added_sentences import Meaning, meaning
from tools.train_mini.evidence import Evidence
from tools.train_mini.losses import STATE_SCALE
from tools.train_mini.pool import Array
from tools.train_mini.sentences import DEFECT_WORDS, bare
from tools.train_mini.words import NORMAL
from zsad.backbones.text import TextTower
from zsad_plugins.drawn.procedural import HELD_OUT_DEFECTS
from zsad_plugins.mini.added_rows import AddedRows
from zsad_plugins.mini.model import MiniModel
from zsad_plugins.mini.tokenizer import RowTokenizer

OBJECT = "object"
OBJECT_CHANCE = 0.5
"""How often a sentence says "object" instead of the image's noun."""
REGIONS = 8
"""Defects that a word is told from other types' on, in one step."""
PATCHES = 1024
"""Patches that are drawn in one step for their normal ones."""
SENTENCES = 24
"""Sentences of known words per defect type, and per state, whose features the learner draws from."""


@dataclass(frozen=True)
class WordPlan:
    """How rows are learned.

    Attributes:
        steps: Optimiser steps.
        words: Words per step.
        images: Images per word that show what it names.
        rate: Highest learning rate, falling to 0 as a cosine.
        anchor: Weight of the squared distance of a row from where it began, relative to its length.
        seed: Seed of everything random.
    """

    steps: int = 250
    words: int = 96
    images: int = 2
    rate: float = 0.002
    anchor: float = 0.1
    seed: int = 0


class WordReader:
    """The frozen text tower over rows of both editions.

    Attributes:
        added: The added rows, as they begin.
        tokenizer: Reads the words of both editions.
    """

    def __init__(self, model: MiniModel, ids: Tensor, added: AddedRows) -> None:
        self.added = added
        self.embedding = model.text.token_embedding.detach()
        self.tokenizer = RowTokenizer(ids, model.shape.context_length, added.words)
        weights = replace(model.text_weights(), token_embedding=self.embedding)
        self.tower = TextTower(weights, model.shape.text_profile(), self.tokenizer)

    def features(self, texts: Sequence[str], rows: Tensor) -> Tensor:
        """Return normalised features [n, C] of texts.

        Args:
            texts: Sentences.
            rows: [added, D], the added rows.
        """
        table = torch.cat([self.embedding[:-2], rows, self.embedding[-2:]])
        ids = self.tokenizer.rows(texts)
        return F.normalize(self.tower(table[ids], self.tower.end_positions(ids)).float(), dim=-1)


class WordLearner:
    """Learns the rows of the words that say something of drawn images."""

    def __init__(self, reader: WordReader, evidence: Evidence, plan: WordPlan) -> None:
        self.reader, self.evidence, self.plan = reader, evidence, plan
        self.rng = np.random.default_rng((plan.seed, 17))
        self.generator = torch.Generator().manual_seed(plan.seed)
        self.start = reader.added.begin(reader.embedding)
        self.regions, about = evidence.regions()
        self.meanings: dict[int, Meaning] = {}
        self.showing: dict[int, list[int]] = {}
        self.named: dict[int, Tensor] = {}
        for place, entry in enumerate(reader.added.words.added):
            said = meaning(entry)
            # Words for good states were learned too, and said it no better than where they began.
            if said is None or said.state == "normal" or said.defect in HELD_OUT_DEFECTS:
                continue
            showing = evidence.showing(said.defect, said.family)
            named = torch.tensor(
                [said.defect in (None, kind) and said.family in (None, family) for kind, family in about]
            )
            if showing and bool(named.any()):
                self.meanings[place], self.showing[place], self.named[place] = said, showing, named
        self.types = tuple(sorted({kind for kind, _ in about}))
        self.places = torch.tensor(list(self.meanings))
        self.learned = nn.Parameter(self.start[self.places].clone())
        with torch.no_grad():
            self.names = torch.stack([self._bank(type_sentences(kind)) for kind in self.types])
            self.normal = self._bank(NORMAL)

    def rows(self) -> Tensor:
        """Return all added rows [added, D] as they are now."""
        return self.start.index_copy(0, self.places, self.learned)

    def run(self, report: Callable[[int, Mapping[str, float]], None], every: int = 50) -> None:
        """Learn; ``report`` gets the step and the mean losses since the last report."""
        plan = self.plan
        optimiser = torch.optim.Adam([self.learned], lr=plan.rate, betas=(0.9, 0.98))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, plan.steps)
        seen: dict[str, list[float]] = {}
        for step in range(1, plan.steps + 1):
            parts = self._losses()
            optimiser.zero_grad(set_to_none=True)
            torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            for name, value in parts.items():
                seen.setdefault(name, []).append(float(value.detach()))
            if step % every == 0 or step == plan.steps:
                report(step, {name: sum(values) / len(values) for name, values in seen.items()})
                seen.clear()

    def finished(self) -> AddedRows:
        """Return the added rows with what was learned."""
        return self.reader.added.with_learned(self.places, self.learned.detach())

    def _losses(self) -> dict[str, Tensor]:
        """Return the losses of one step's words."""
        places = [int(place) for place in self.rng.choice(list(self.meanings), self.plan.words)]
        shown = [self.rng.choice(self.showing[place], self.plan.images) for place in places]
        texts = [
            self._sentence(place, self.evidence.nouns[images[0]])
            for place, images in zip(places, shown, strict=True)
        ]
        words = self.reader.features(texts, self.rows())
        stream = int(self.rng.integers(2))
        specific = [at for at, place in enumerate(places) if self.meanings[place].defect is not None]
        named = torch.stack([self.named[places[at]] for at in specific])
        kinds = torch.tensor([self.types.index(str(self.meanings[places[at]].defect)) for at in specific])
        regions = self.regions[stream]
        own = torch.multinomial(named.float(), REGIONS, replacement=True, generator=self.generator)
        candidates = torch.cat([regions, self._normal_patches(stream)])
        return {
            "regions": 0.5 * retrieval(words[specific], candidates, named),
            "types": 0.5
            * naming(words[specific], regions[own], kinds, self._drawn(self.names, len(specific))),
            "state": 4 * self._state(words, shown, stream),
            "anchor": self.plan.anchor * self._moved(places),
        }

    def _normal_patches(self, stream: int) -> Tensor:
        """Return tokens [k, C] of patches without a defect, as many as were drawn of ``PATCHES``."""
        count, patches = len(self.evidence.kinds), self.evidence.tokens.shape[2]
        images, at = (torch.from_numpy(self.rng.integers(0, most, PATCHES)) for most in (count, patches))
        normal = self.evidence.cover[images, :, at].amax(dim=1) == 0
        return self.evidence.tokens[images[normal], stream, at[normal]].float()

    def _state(self, words: Tensor, shown: Sequence[Array], stream: int) -> Tensor:
        """Return the focal loss of patches between a word's sentence and one of the normal state."""
        direction = words - self._drawn(self.normal, len(words))
        chosen = torch.from_numpy(np.stack(shown))
        tokens = self.evidence.tokens[chosen, stream].float()  # [W, I, N, C]
        logits = STATE_SCALE * torch.einsum("winc,wc->win", tokens, direction)
        cover = self.evidence.cover[chosen].amax(dim=2)
        return losses.focal(logits.flatten(0, 1), cover.flatten(0, 1))

    def _moved(self, places: Sequence[int]) -> Tensor:
        """Return the mean squared distance of rows from where they began, in lengths of these."""
        chosen = list(places)
        start = self.start[chosen]
        return ((self.rows()[chosen] - start).square().sum(dim=1) / start.square().sum(dim=1)).mean()

    def _sentence(self, place: int, noun: str) -> str:
        form = str(self.rng.choice(self.reader.added.words.added[place].forms))
        template = str(self.rng.choice(self.meanings[place].templates))
        return template.format(word=form, noun=OBJECT if self.rng.random() < OBJECT_CHANCE else noun)

    def _drawn(self, bank: Tensor, count: int) -> Tensor:
        """Return ``count`` draws [count, ..., C] from the last but one axis of a bank."""
        places = torch.from_numpy(self.rng.integers(0, bank.shape[-2], count))
        return bank.index_select(-2, places).movedim(-2, 0)

    def _bank(self, states: Sequence[str]) -> Tensor:
        """Return features [SENTENCES, C] of sentences of known words."""
        texts = []
        for _ in range(SENTENCES):
            state = str(self.rng.choice(states))
            noun = OBJECT if self.rng.random() < OBJECT_CHANCE else str(self.rng.choice(self.evidence.nouns))
            frame = str(self.rng.choice(["{}", "a photo of a {}.", "a {}", "the {}"]))
            texts.append(frame.replace("{}", state.replace("{}", noun)))
        return self.reader.features(texts, self.start)


def retrieval(words: Tensor, regions: Tensor, named: Tensor) -> Tensor:
    """Return the cross entropy of finding the defects that words name among all, and among what is normal.

    Args:
        words: [W, C], normalised.
        regions: [R + K, C], normalised, R of them defects.
        named: [W, R] bool, the defects that each word names, one at least.
    """
    share = torch.log_softmax(STATE_SCALE * words @ regions.T, dim=1)[:, : named.shape[1]]
    return -((share * named).sum(dim=1) / named.sum(dim=1)).mean()


def naming(words: Tensor, regions: Tensor, kinds: Tensor, names: Tensor) -> Tensor:
    """Return the cross entropy of telling the defects that words name from those of other types.

    Args:
        words: [W, C], normalised.
        regions: [W, K, C], normalised, defects that each word names.
        kinds: [W] int64, their type's place among the names.
        names: [W, T, C], normalised sentences of known words; a word stands for its own type's.
    """
    bank = names.scatter(1, kinds[:, None, None].expand(-1, 1, names.shape[2]), words[:, None])
    logits = STATE_SCALE * torch.einsum("wkc,wtc->wkt", regions, bank)
    return F.cross_entropy(logits.flatten(0, 1), kinds.repeat_interleave(regions.shape[1]))


def type_sentences(kind: str) -> list[str]:
    """Return sentences of known words about ``{}`` with a defect of a type."""
    words = DEFECT_WORDS[kind]
    after = [text for phrase in words.after for text in (f"{{}} with {phrase}", bare(phrase))]
    return [*(f"{word} {{}}" for word in words.before), *after]
