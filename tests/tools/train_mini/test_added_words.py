"""Learning of added words: nothing else moves, and the losses are what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tools.train_mini.added_sentences import Meaning, meaning
from tools.train_mini.added_words import WordLearner, WordPlan, WordReader, naming, retrieval
from tools.train_mini.evidence import Evidence, evidence_of
from tools.train_mini.extend import main
from tools.train_mini.losses import STATE_SCALE
from tools.train_mini.word_figures import WordMeasure, table
from zsad.backbones.clip import state_digest
from zsad_plugins.drawn.procedural import HELD_OUT_DEFECTS
from zsad_plugins.mini.added_rows import FILE, begun, read_added_rows
from zsad_plugins.mini.backbone import read_mini
from zsad_plugins.mini.tokenizer import RowTokenizer
from zsad_plugins.mini.words import Added, read_words

PLAN = WordPlan(steps=3, words=12, images=2, rate=0.01)


@pytest.fixture(scope="session")
def model():
    return read_mini()[0]


@pytest.fixture(scope="session")
def reader(model) -> WordReader:
    ids = read_mini()[1]
    return WordReader(model, ids, begun(read_words(), RowTokenizer(ids, 77).rows_of, 128))


@pytest.fixture(scope="session")
def evidence(model, pool) -> Evidence:
    return evidence_of(model, pool)


def entry(*about: str) -> Added:
    return Added(("word",), ("scratch",), about)


@pytest.mark.parametrize(
    ("about", "said"),
    [
        (("defects", "scratch", "before"), Meaning("abnormal", True, "scratch")),
        (("defects", "hole", "after"), Meaning("abnormal", False, "hole")),
        (("defects on a family", "skin", "blob", "after"), Meaning("abnormal", False, "blob", "skin")),
        (("states", "normal", "before"), Meaning("normal", True)),
        (("nouns",), None),
        (("others",), None),
    ],
)
def test_meaning(about, said) -> None:
    assert meaning(entry(*about)) == said


def test_regions_are_mean_tokens_of_defects(evidence) -> None:
    features, about = evidence.regions()
    expected = []
    for place, kinds in enumerate(evidence.kinds):
        for slot, kind in enumerate(kinds):
            if kind is not None:
                weights = evidence.cover[place, slot].double().numpy()
                mean = weights @ evidence.tokens[place, 1].double().numpy() / weights.sum()
                expected.append(mean / np.linalg.norm(mean))
    assert len(about) == len(expected) > 3
    np.testing.assert_allclose(features[1].numpy(), np.stack(expected), atol=1e-5)
    kind, family = about[0]
    assert any(kind in evidence.kinds[place] for place in evidence.showing(kind, family))
    assert set(evidence.showing(kind, family)) <= set(evidence.showing(kind)) <= set(evidence.showing(None))


def log_shares(logits):
    return logits - math.log(np.exp(logits - logits.max()).sum()) - logits.max()


def test_retrieval_and_naming_equal_loops() -> None:
    draw = torch.Generator().manual_seed(0)
    words, regions = (F.normalize(torch.randn(n, 6, generator=draw), dim=-1) for n in (3, 5))
    named = torch.tensor([[1, 0, 1, 0, 0], [0, 1, 0, 0, 0], [1, 1, 1, 1, 0]], dtype=torch.bool)
    names = F.normalize(torch.randn(3, 4, 6, generator=draw), dim=-1)
    kinds = torch.tensor([2, 0, 3])
    own = torch.tensor([[0, 2], [1, 1], [3, 0]])
    found = naming(words, regions[own], kinds, names)
    normal = F.normalize(torch.randn(2, 6, generator=draw), dim=-1)
    candidates = torch.cat([regions, normal])
    total_retrieval = total_naming = 0.0
    for w in range(3):
        shares = log_shares(STATE_SCALE * (candidates @ words[w]).double().numpy())
        places = np.flatnonzero(named[w].numpy())
        total_retrieval -= shares[places].mean() / 3
        bank = names[w].clone()
        bank[kinds[w]] = words[w]
        for r in own[w]:
            total_naming -= log_shares(STATE_SCALE * (bank @ regions[r]).double().numpy())[kinds[w]] / 6
    assert float(retrieval(words, candidates, named)) == pytest.approx(total_retrieval, rel=1e-4)
    assert float(found) == pytest.approx(total_naming, rel=1e-4)


def test_only_rows_of_words_that_images_show_move(model, reader, evidence) -> None:
    before = state_digest(model.state_dict())
    learner = WordLearner(reader, evidence, PLAN)
    learner.run(lambda step, means: None)
    assert state_digest(model.state_dict()) == before
    finished = learner.finished()
    rows, start = finished.rows(reader.embedding), reader.added.rows(reader.embedding)
    moved = set((rows != start).any(dim=1).nonzero().flatten().tolist())
    assert moved and moved <= set(finished.places.tolist())
    for place in finished.places.tolist():
        said = meaning(reader.added.words.added[place])
        assert said is not None and said.state == "abnormal" and said.defect not in HELD_OUT_DEFECTS
        assert evidence.showing(said.defect, said.family)
    # Rounded to 127 steps of the largest value of a row.
    error = (rows[learner.places] - learner.learned.detach()).abs().amax(dim=1)
    assert bool((error <= 0.51 * learner.learned.detach().abs().amax(dim=1) / 127).all())


def test_learning_lowers_the_losses_and_repeats(reader, evidence) -> None:
    def run() -> tuple[list[dict[str, float]], torch.Tensor]:
        seen: list[dict[str, float]] = []
        learner = WordLearner(reader, evidence, WordPlan(steps=40, words=24, rate=0.01))
        learner.run(lambda step, means: seen.append(dict(means)), every=10)
        return seen, learner.rows().detach()

    seen, rows = run()
    assert len(seen) == 4
    assert seen[-1]["types"] < seen[0]["types"]
    assert torch.equal(run()[1], rows)


def test_the_tool_writes_a_file_and_says_figures(tmp_path, capsys) -> None:
    words = "--images 24 --steps 2 --measured 24 --workers 1"
    assert main([*words.split(), "--out", str(tmp_path)]) == 0
    added = read_added_rows(tmp_path / FILE)
    assert len(added.places) > 50
    said = capsys.readouterr().out
    assert f"{len(added.places)} of {len(added.counts)} rows learned" in said
    assert "| words | figure | learned | at their start | unknown | known words |" in said


def test_figures_of_a_word_that_says_what_a_known_one_says_are_the_known_ones(reader, evidence) -> None:
    """With every row at its start, a figure is the same whichever way the rows were given."""
    measure = WordMeasure(reader, evidence)
    start = reader.added.rows(reader.embedding)
    found = measure.figures(start)
    assert found == measure.figures(start.clone())
    assert {"normal states", "abnormal states", "names of defects", "nouns"} <= set(found)
    for pixels, finds in found.values():
        assert pixels is None or 0 <= pixels <= 1
        assert finds is None or 0 <= finds <= 1
    assert table({"a": found}).startswith("| words | figure | a |")
