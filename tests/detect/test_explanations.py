"""Verdicts in sentences: every word is a fact of the map, the score and the thresholds."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from zsad.detect.explaining import Explainer
from zsad.detect.explanations import Name, area_words, explain, measured
from zsad.detect.predictions import FailedImage, ImageResult
from zsad.detect.regions import Region, find_regions, mask_at
from zsad.detect.verdicts import Level

IMAGE, PIXEL = Level(0.5, 0.1), Level(0.4, 0.05)
CELLS = ("top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right")


def result(values: np.ndarray, score: float = 0.7) -> ImageResult:
    return ImageResult(Path("part.png"), "1:a", score, values.astype(np.float32), None)


def words(found: ImageResult, image: Level | None = IMAGE) -> str:
    return Explainer(image, PIXEL, None).explain(found).sentence


@pytest.mark.parametrize(("cell", "word"), list(enumerate(CELLS)))
@pytest.mark.parametrize("size", [(90, 90), (60, 150), (31, 47)])
def test_a_blob_in_each_of_nine_cells_is_called_by_it(cell: int, word: str, size: tuple[int, int]) -> None:
    values, (row, column) = np.zeros(size), divmod(cell, 3)
    y, x = ((2 * place + 1) * side // 6 for place, side in zip((row, column), size, strict=True))
    values[y - 2 : y + 3, x - 1 : x + 3] = 0.9
    explained = Explainer(IMAGE, PIXEL, None).explain(result(values))
    (found,) = explained.regions
    assert found.region.position == word
    assert f"of the map: {word}, " in explained.sentence


def test_a_centre_on_a_boundary_is_in_the_cell_right_of_or_below_it() -> None:
    values = np.zeros((9, 9))
    values[2:4, 5:7] = 1  # centred at row 3 of 9 and column 6 of 9
    assert find_regions(mask_at(values, 0.5), values)[0].position == "right"


def test_every_number_of_the_sentence_is_one_that_was_computed() -> None:
    values = np.zeros((40, 50))
    values[2:6, 3:9], values[30:33, 40:45] = 0.6, 0.875
    sentence = words(result(values, 0.625))
    assert sentence == (
        "anomalous (confidence 0.777): the score 0.625 lies 0.125 above the threshold 0.5; 2 regions reach "
        "the threshold 0.4 of the map: bottom right, 0.75 % of the image, peak 0.875 (0.475 above); top "
        "left, 1.2 % of the image, peak 0.6 (0.2 above)."
    )
    share = [float(text) for text in re.findall(r"([\d.]+) % of", sentence)]
    assert share == [100 * 15 / 2000, 100 * 24 / 2000]


def test_a_normal_image_says_that_there_is_no_region() -> None:
    sentence = words(result(np.full((8, 8), 0.1), 0.25))
    assert sentence == (
        "normal (confidence 0.075): the score 0.25 lies 0.25 below the threshold 0.5; no region above the "
        "threshold 0.4 of the map."
    )


def test_scores_and_peaks_at_their_thresholds_are_said_to_be_there() -> None:
    values = np.zeros((10, 10))
    values[5, 5] = 0.5
    explained = Explainer(Level(0.5), Level(0.5), None).explain(result(values, 0.5))
    assert explained.sentence == (
        "anomalous: the score 0.5 lies exactly at the threshold 0.5; 1 region reaches the threshold 0.5 of "
        "the map: centre, 1 % of the image, peak 0.5 (exactly at it)."
    )


def test_without_an_image_threshold_there_is_no_verdict() -> None:
    assert words(result(np.zeros((4, 4)), 0.25), None).startswith(
        "no threshold set: the score is 0.25; no region"
    )


def test_only_the_highest_regions_are_described() -> None:
    values = np.zeros((9, 90))
    for place in range(5):
        values[4, 10 + 15 * place] = 0.5 + 0.05 * place
    explained = Explainer(IMAGE, PIXEL, None).explain(result(values))
    assert len(explained.regions) == 5 and explained.sentence.count("peak 0.") == 3
    assert explained.sentence.startswith("anomalous") and explained.sentence.endswith(
        "; and 2 of lower peaks."
    )
    assert "5 regions reach" in explained.sentence


def test_names_are_said_and_unnamed_is_too() -> None:
    region = Region("left", 0.02, 0.9, (0.5, 0.1), (0, 0, 4, 4))
    (found,) = measured([region], PIXEL)
    named = [type(found)(region, found.margin, Name(phrase, 0.3, 4.0)) for phrase in ("a dent", None)]
    assert explain(0.7, IMAGE, PIXEL, named[:1]).sentence.endswith("(0.5 above), most like 'a dent'.")
    assert explain(0.7, IMAGE, PIXEL, named[1:]).sentence.endswith("(0.5 above), unnamed.")
    assert "unnamed" not in explain(0.7, IMAGE, PIXEL, [found]).sentence  # nothing was compared
    assert named[1].plain()["phrase"] is None and "phrase" not in found.plain()
    assert found.plain()["margin"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("share", "said"),
    [(1.0, "100 %"), (0.5, "50 %"), (0.034, "3.4 %"), (0.0002, "0.02 %"), (0.00009, "below 0.01 %")],
)
def test_areas_in_words(share: float, said: str) -> None:
    assert area_words(share) == said


def test_a_failed_image_stays_failed() -> None:
    failed = FailedImage(Path("a.png"), "cannot read")
    assert list(Explainer(IMAGE, PIXEL, None).explained([failed])) == [failed]
