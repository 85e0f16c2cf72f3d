"""Heights of solids over their signed distance: bevelled plates and domes."""

from __future__ import annotations

import numpy as np

from zsad_plugins.drawn.procedural.canvas import Field


def bevelled(distance: Field, width: float, rise: float) -> Field:
    """Return the height of a plate with a rounded edge: 0 at the outline, ``rise`` from ``width`` inwards."""
    t = np.clip(distance * (-1.0 / width), 0, 1)
    height: Field = rise * t * (2 - t)
    return height


def domed(distance: Field, width: float, rise: float) -> Field:
    """Return the height of a round bar or a dome: a quarter circle from the outline to ``width`` inwards."""
    t = 1.0 - np.clip(distance * (-1.0 / width), 0, 1)
    # 0.97 keeps the slope at the outline finite.
    height: Field = rise * (np.sqrt(1.0 - 0.97 * t * t) - 0.17)
    return height
