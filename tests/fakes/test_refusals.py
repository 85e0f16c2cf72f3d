"""Recipes whose parts do not fit are refused before anything is computed."""

from __future__ import annotations

import pytest

from zsad.errors import InputError


def test_side_inputs_are_gone_behind_a_two_phase_part(detector) -> None:
    with pytest.raises(InputError, match=r"'fake.box_filter'.*'auxiliary:boxes'.*two-phase"):
        detector("fake-musc", "auxiliary+=fake.boxes", "post_processors+=fake.box_filter")


def test_a_box_filter_before_the_two_phase_part_is_fine(detector, samples) -> None:
    steps = "[standard.softmax, standard.upsample, standard.fuse, fake.box_filter, fake.smooth_scores]"
    found = detector("fake-filo", f"post_processors={steps}")
    plain = detector("fake-filo").predict(samples)
    smoothed = found.predict(samples)
    assert (smoothed.anomaly_map == plain.anomaly_map).all()
    assert smoothed.trace == (*plain.trace, "fake.smooth_scores")
    assert smoothed.score[1] != plain.score[1]


def test_a_conditioner_needs_a_learner(detector) -> None:
    with pytest.raises(InputError, match="no prompt_learner"):
        detector("fake-musc", "prompt_conditioner=fake.dynamic")


def test_a_term_needs_its_side_input(detector) -> None:
    with pytest.raises(InputError, match=r"'fake.d_attention'.*'auxiliary:similarity'.*'fake.similarity'"):
        detector("clip-baseline", "attention_refiner=fake.d_attention")


def test_a_tap_outside_the_tower_is_named(detector) -> None:
    with pytest.raises(InputError, match=r"readout.taps of 'clip-baseline': block 9 is outside"):
        detector("clip-baseline", "readout.taps=[9]")
    with pytest.raises(InputError, match=r"part 'standard.self_attention': block 9 is outside"):
        detector("clip-baseline@vv", "attention_refiner.start=9")
