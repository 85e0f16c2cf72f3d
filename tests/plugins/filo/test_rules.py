"""Boxes, cells, kernels and the blur, by themselves."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from zsad_plugins.filo.boxes import BoxRules, Detections, padded
from zsad_plugins.filo.mmci import KERNELS, FoldedConvolution, fold
from zsad_plugins.filo.options import DetectorOptions
from zsad_plugins.filo.places import cell, centre, inside
from zsad_plugins.filo.post_processors import blur


def test_six_kernels_are_one() -> None:
    torch.manual_seed(0)
    six = [nn.Conv2d(5, 3, sides, padding=(sides[0] // 2, sides[1] // 2)) for sides in KERNELS.values()]
    image = torch.randn(2, 5, 9, 8)
    bias = torch.stack([each.bias for each in six]).sum(0)
    one = F.conv2d(image, fold(each.weight for each in six), bias, padding=3)
    torch.testing.assert_close(one, sum(each(image) for each in six), atol=1e-5, rtol=0)
    assert FoldedConvolution(5, 3).weight.shape == (3, 5, 7, 7)
    torch.manual_seed(0)
    small = FoldedConvolution(5, 3, 3)
    torch.manual_seed(0)
    _, *drawn = (
        nn.Conv2d(5, 3, shape) for shape in ((3, 3), (1, 1), (3, 3))
    )  # the sum itself, those that fit
    x = torch.randn(1, 5, 6, 6)
    wanted = drawn[0](x) + F.conv2d(x, drawn[1].weight, drawn[1].bias, padding=1)
    torch.testing.assert_close(small(x), wanted)


def test_blur_is_that_of_torchvision(require) -> None:
    try:
        from torchvision.transforms.functional import gaussian_blur
    except ImportError:
        require("torchvision", "is not installed")
    maps = torch.rand(2, 11, 13, generator=torch.Generator().manual_seed(0))
    for size, sigma in ((3, 4.0), (5, 1.0)):
        torch.testing.assert_close(blur(maps, size, sigma), gaussian_blur(maps, size, sigma))


def table(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(rows)


def test_boxes_and_cells_of_images_that_are_no_squares() -> None:
    found = Detections(torch.tensor([[0.5, 0.5, 0.5, 0.5]]), torch.tensor([0.9]), ("damage",))
    rows = BoxRules(DetectorOptions()).table(found, ("damage",), (40, 80))
    assert rows[0, :4].tolist() == [20, 10, 60, 30]
    assert torch.equal(inside(rows, (40, 80), "clipped"), inside(rows, (40, 80), "wrapped"))
    assert inside(rows, (40, 80), "clipped").nonzero().aminmax(dim=0).max.tolist() == [29, 59]
    # Wide: in the last third across, in the first third down.
    for cells in ("integer", "thirds"):
        assert cell((70, 5), (40, 80), cells) == 2 and cell((5, 35), (40, 80), cells) == 6
        assert cell((5, 70), (80, 40), cells) == 6


def test_the_best_box() -> None:
    boxes = table((0, 0, 2, 2, 0.7799, 1), (4, 4, 8, 8, 0.7701, 1), (0, 0, 0, 0, 0.9, 0))
    assert centre(boxes, "cut") == (6.0, 6.0)
    assert centre(boxes, "full") == (1.0, 1.0)
    assert centre(boxes[2:], "cut") is None
    assert centre(boxes[:0], "full") is None


@pytest.mark.parametrize(
    ("point", "integer", "thirds"),
    [
        ((259, 259), 4, 4),
        ((172, 0), 0, 0),
        ((172.5, 300), None, 3),
        ((300, 344.5), None, 4),
        ((517.5, 10), None, 2),
        ((-3, 600), None, 6),
    ],
)
def test_cells(point, integer, thirds) -> None:
    assert cell(point, (518, 518), "integer") == integer
    assert cell(point, (518, 518), "thirds") == thirds


def test_a_box_over_the_edge() -> None:
    box = table((-2, 3, 4, 6, 0.5, 1), (0.5, 0.5, 0.2, 0.2, 0.9, 0))
    assert not inside(box, (10, 10), "wrapped").any()
    clipped = inside(box, (10, 10), "clipped")
    assert int(clipped.sum()) == 12 and bool(clipped[3:6, :4].all())
    beyond = table((7, 7, 14, 14, 0.5, 1))
    assert torch.equal(inside(beyond, (10, 10), "wrapped"), inside(beyond, (10, 10), "clipped"))


def test_what_counts_as_an_anomaly() -> None:
    words = ("damage", "Odd colour")
    substring, whole = BoxRules(DetectorOptions()), BoxRules(DetectorOptions(match="words"))
    assert substring.accepts("undamaged", words) and not whole.accepts("undamaged", words)
    assert not substring.accepts("odd colour", words) and whole.accepts("odd colour", words)
    assert not substring.accepts("", words) and not whole.accepts("", words)


def test_without_a_fitting_box_the_best_of_all_is_kept_without_a_phrase() -> None:
    boxes = table((0.5, 0.5, 0.9, 0.9), (0.2, 0.2, 0.1, 0.1))
    kept = BoxRules(DetectorOptions()).kept(Detections(boxes, torch.tensor([0.1, 0.2]), ("defect", "damage")))
    assert kept.phrases == ("",) and kept.scores.tolist() == pytest.approx([0.2])
    # A confident box that is too large for the image keeps its phrase.
    kept = BoxRules(DetectorOptions()).kept(Detections(boxes, torch.tensor([0.8, 0.2]), ("defect", "damage")))
    assert kept.phrases == ("defect",)


def test_a_detector_that_finds_nothing() -> None:
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0), ())
    assert BoxRules(DetectorOptions()).table(nothing, ("damage",), (100, 100)).shape == (0, 6)
    assert padded([torch.zeros(0, 6)], 3).shape == (1, 3, 6)
