"""A self-contained page of a batch: every picture is inside, and nothing is fetched."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from zsad.detect.provenance import DetectorInfo
from zsad.recipe.recipes import Display
from zsad_demo import markup


def report_page(
    noun: str,
    info: DetectorInfo,
    display: Display,
    pictures: Sequence[tuple[str, float, bytes]],
    failed: Sequence[tuple[str, str]],
) -> str:
    """Return the page.

    Args:
        noun: Object noun of all images.
        info: What stands behind the numbers.
        display: The fixed range of the maps.
        pictures: Name, score and overlay (JPEG) of each image, in their order.
        failed: Name and reason of the images that were left out.
    """
    environment = Environment(loader=PackageLoader("zsad_demo", "."), autoescape=True)
    return environment.get_template("batch_report.html.j2").render(
        noun=noun,
        bar=Markup(markup.colour_bar(display)),
        standing=Markup(markup.definitions(markup.standing(info))),
        css=Markup(markup.CSS),
        images=[(name, score, _data_uri(picture)) for name, score, picture in pictures],
        failed=failed,
    )


def _data_uri(picture: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(picture).decode()
