from __future__ import annotations

import numpy as np
from scipy import ndimage

from zsad_demo.contours import contours


def test_an_empty_mask_has_no_contour() -> None:
    assert not contours(np.zeros((8, 8), np.bool_)).any()


def test_contours_are_the_inner_edge_without_the_border_of_the_image() -> None:
    rng = np.random.default_rng(1)
    mask = ndimage.binary_dilation(rng.random((40, 60)) > 0.99, iterations=5)
    eroded = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=2, border_value=1)
    inner = (slice(2, -2), slice(2, -2))
    np.testing.assert_array_equal(contours(mask)[inner], (mask & ~eroded)[inner])
    half = np.zeros((10, 12), np.bool_)
    half[:5] = True
    np.testing.assert_array_equal(contours(half).any(1), [row in (3, 4) for row in range(10)])


def test_a_mask_of_the_whole_image_has_the_border_as_contour() -> None:
    edge = contours(np.ones((9, 12), np.bool_))
    assert edge.sum() == 9 * 12 - 5 * 8 and not edge[2:-2, 2:-2].any()
    assert contours(np.ones((3, 3), np.bool_)).all()
