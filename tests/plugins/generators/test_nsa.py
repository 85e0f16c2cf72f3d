"""Blending without a seam solves the Poisson equation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import spsolve

from tests.plugins.generators.images import make, material
from zsad_plugins.generators.nsa import seamless


@pytest.mark.parametrize("shape", [(3, 3), (8, 13), (21, 6)])
def test_against_a_sparse_solver(shape) -> None:
    rng = np.random.default_rng(0)
    patch, place = rng.uniform(0, 255, (2, *shape, 3))
    found = seamless(patch, place)
    rows, columns = shape
    number = np.arange(rows * columns).reshape(shape)
    system = sparse.lil_matrix((rows * columns, rows * columns))
    right = np.zeros((rows * columns, 3))
    for row in range(rows):
        for column in range(columns):
            own = number[row, column]
            system[own, own] = 1
            right[own] = place[row, column]
            if 0 < row < rows - 1 and 0 < column < columns - 1:
                beside = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
                system[own, own] = 4
                right[own] = 4 * patch[row, column] - sum(patch[at] for at in beside)
                for at in beside:
                    system[own, number[at]] = -1
    wanted = spsolve(system.tocsr(), right).reshape(*shape, 3)
    assert np.abs(found - wanted).max() < 1e-8


def test_a_patch_onto_itself_is_itself() -> None:
    patch = material(12, 9).astype(float)
    assert np.allclose(seamless(patch, patch), patch)
    # Brightness is taken from the place, structure from the patch.
    assert np.allclose(seamless(patch, patch + 30), patch + 30)


def test_the_border_of_a_blended_patch_has_no_seam() -> None:
    rows, columns = np.mgrid[:64, :64]
    image = np.repeat((rows * 3 + columns)[..., None], 3, axis=-1).astype(np.uint8)
    smooth = np.clip(image.astype(int), 0, 255)
    for seed in range(10):
        changed, _ = make("nsa", image, seed, resize=(1, 1), patches=1)
        # On an even slope a patch differs by brightness alone, which blending takes away.
        assert np.abs(changed.astype(int) - smooth).max() <= 1
