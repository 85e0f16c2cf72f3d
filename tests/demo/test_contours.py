from __future__ import annotations

import numpy as np
from scipy import ndimage

from zsad_demo.contours import contours


def test_an_empty_mask_has_no_contour() -> None:
    assert not contours(np.zeros((8, 8), np.bool_)).any()


def test_contours_are_the_inner_edge_and_leave_the_border_of_the_image_out() -> None:
    rng = np.random.default_rng(1)
    mask = ndimage.binary_dilation(rng.random((40, 60)) > 0.99, iterations=5)
    eroded = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=2, border_value=1)
    inner = (slice(2, -2), slice(2, -2))
    np.testing.assert_array_equal(contours(mask)[inner], (mask & ~eroded)[inner])
    assert not contours(np.ones((10, 10), np.bool_)).any()
