"""Drawn good parts and defects, which a few-shot method has to tell apart."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_auc_score

from zsad.detect.detector import Detector
from zsad_plugins.drawn.procedural import generate


def check_good_parts_tell(detector: Detector) -> None:
    """Check that four good parts tell defects from other good parts, and shuffled labels nothing."""
    drawn = [generate(7, index, size=160, families=["leather"]) for index in range(40)]
    good = [one.image for one in drawn if not one.mask.any()]
    bad = [one for one in drawn if one.mask.any()]
    detector.remember(good[:4])
    found = detector.predict([*good[4:], *(one.image for one in bad)])
    labels = [0] * len(good[4:]) + [1] * len(bad)
    assert roc_auc_score(labels, found.score.numpy()) > 0.7
    shuffled = np.random.default_rng(0).permutation(labels)
    assert abs(roc_auc_score(shuffled, found.score.numpy()) - 0.5) < 0.25
