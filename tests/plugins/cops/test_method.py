"""CoPS as a whole: on mini, in batches, with weights of either training set."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from zsad.errors import InputError


def test_mini_gives_finite_maps_that_are_not_constant(untrained, mini, samples) -> None:
    detector = untrained("cops", backbone=mini)
    # The joint space of mini is wider than its token embeddings.
    assert isinstance(detector.part("prompt_conditioner").project, torch.nn.Linear)
    prediction = detector.predict(samples)
    assert prediction.anomaly_map.isfinite().all() and prediction.score.isfinite().all()
    assert (prediction.anomaly_map.flatten(1).std(1) > 0).all()
    assert prediction.score.unique().numel() == len(samples)


def differences(detector, samples) -> list[float]:
    together, alone = detector.predict(samples), [detector.predict([sample]) for sample in samples]
    maps = torch.cat([each.anomaly_map for each in alone])
    scores = torch.cat([each.score for each in alone])
    return [float((together.anomaly_map - maps).abs().max()), float((together.score - scores).abs().max())]


def test_an_image_does_not_depend_on_its_neighbours(untrained, samples) -> None:
    detector = untrained("cops", 'readout.taps=["1/2", "1"]', "scorer.peak=tap_mean")
    assert not detector.recipe.batch_dependent
    assert max(differences(detector, samples)) < 1e-5


def test_the_official_extent_of_the_min_max_depends_on_the_batch_and_says_so(untrained, samples) -> None:
    detector = untrained("cops", "scorer.extent=batch")
    assert detector.recipe.batch_dependent
    assert max(differences(detector, samples)) > 1e-3
    # Batches of one, as in the official protocol, are the default.
    one, default = detector.predict(samples[:1]), untrained("cops").predict(samples[:1])
    torch.testing.assert_close(one.anomaly_map, default.anomaly_map)


def test_what_is_tuned_goes_with_the_training_set(untrained) -> None:
    found = {}
    for method in ("cops", "cops@mvtec"):
        recipe = untrained(method).recipe
        (pooling,), (scorer,) = recipe.of_kind("feature_adapter"), recipe.of_kind("scorer")
        assert recipe.fidelity == "official-code"
        found[method] = (pooling.options.kernel, scorer.options.alpha, scorer.options.beta)
        # A resolved recipe holds the numbers themselves.
        assert {"alpha", "beta", "trained_on"} <= {
            key for part in recipe.as_dict()["parts"] for key in part["options"]
        }
    assert found == {"cops": (5, 0.26, 0.9), "cops@mvtec": (3, 0.35, 1.0)}


def test_a_number_of_the_users_wins(untrained) -> None:
    options = untrained("cops", "scorer.trained_on=mvtec", "scorer.beta=0.5").part("scorer").options
    assert (options.alpha, options.beta) == (0.35, 0.5)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("feature_adapter.kernel=4", "cops.pooling.*'kernel' cannot be 4.*odd number"),
        ("scorer.trained_on=imagenet", "cops.scorer.*'trained_on' cannot be 'imagenet'.*'visa' or 'mvtec'"),
        ("scorer.alpha=2", "'alpha' cannot be 2.*less than or equal to 1"),
        ("prompt_conditioner.samples=0", "cops.synthesis.*'samples' cannot be 0"),
        ("prompt_conditioner.swapp=true", "cops.synthesis.*'swapp' is not known.*did you mean 'swap'"),
        ("scorer.rescaling=twice", "'rescaling' cannot be 'twice'"),
    ],
)
def test_wrong_options_are_named(untrained, override, said) -> None:
    with pytest.raises(InputError, match=said):
        untrained("cops", override)


def test_listings_import_no_torch() -> None:
    code = "import sys, zsad_plugins.cops, zsad_plugins.cops.options; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
