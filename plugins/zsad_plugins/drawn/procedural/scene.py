"""What is in front of the camera: colours, relief, gloss, the object's outline, print and removable parts."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np

from zsad_plugins.drawn.procedural.canvas import Canvas, Field


@dataclass(slots=True)
class Surface:
    """A material over the whole plane.

    Attributes:
        albedo: Colour without light, [S, S, 3], 0..1.
        height: Relief in plane units, [S, S].
        gloss: Strength of mirror reflection, 0 (matt) to 1.
        material: Its name in captions; empty where the family decides.
    """

    albedo: Field
    height: Field
    gloss: float = 0.1
    material: str = ""


@dataclass(slots=True)
class Part:
    """Something that can be missing: its window of the plane and how far it covers what lies beneath."""

    rows: slice
    columns: slice
    cover: Field


@dataclass(slots=True)
class Scene:
    """A scene while it is drawn, and afterwards while a defect changes it.

    Attributes:
        canvas: The plane.
        albedo: Colour without light, [S, S, 3], 0..1.
        height: Relief in plane units, [S, S].
        gloss: Strength of mirror reflection, [S, S].
        region: Share of each pixel that belongs to the object, [S, S]; all ones for full-frame materials.
        ground: Colour and relief of what lies behind the object.
        beneath: Colour and relief of what lies under the removable parts.
        parts: What can be missing.
        ink: Share of each pixel that is printed, [S, S], if anything is.
        blank: Colour without the print.
        ink_colour: Colour of the print, [3] or [S, S, 3].
        angle: Direction of the structure, radians.
        accents: Colours that foreign matter of this scene has (a circuit film knows only two tones).
        flat: True for scans and films: no light falls on the relief.
        grey: True if the camera sees no colour.
        material: Name of the object's material in captions; empty where the family decides.
        taken: Where defects lie already, so that a second one keeps away.
    """

    canvas: Canvas
    albedo: Field
    height: Field
    gloss: Field
    region: Field
    ground: tuple[Field, Field] | None = None
    beneath: tuple[Field, Field] | None = None
    parts: list[Part] = field(default_factory=list)
    ink: Field | None = None
    blank: Field | None = None
    ink_colour: Field | None = None
    angle: float = 0.0
    accents: list[Field] = field(default_factory=list)
    flat: bool = False
    grey: bool = False
    material: str = ""
    taken: list[tuple[float, float]] = field(default_factory=list)

    def twin(self) -> Scene:
        """Return a copy whose pixels can be changed; what defects only read is shared."""
        other = copy.copy(self)
        other.albedo, other.height = self.albedo.copy(), self.height.copy()
        other.gloss, other.region = self.gloss.copy(), self.region.copy()
        other.taken = list(self.taken)
        return other

    def paint(
        self,
        area: Canvas,
        cover: Field,
        albedo: Field,
        *,
        height: Field | None = None,
        gloss: float | None = None,
        solid: bool = False,
    ) -> None:
        """Lay something over a window of the scene.

        Args:
            area: The window.
            cover: Share of each pixel that is covered, [h, w].
            albedo: Colour, [3] or [h, w, 3].
            height: New relief, [h, w]; unchanged if not given.
            gloss: New gloss; unchanged if not given.
            solid: True if what is laid belongs to the object.
        """
        where = (area.rows, area.columns)
        block = self.albedo[where]
        block += cover[..., None] * (albedo - block)
        if height is not None:
            relief = self.height[where]
            relief += cover * (height - relief)
        if gloss is not None:
            shine = self.gloss[where]
            shine += cover * (gloss - shine)
        if solid:
            outline = self.region[where]
            np.maximum(outline, cover, out=outline)

    def print_on(self, ink: Field, ink_colour: Field) -> None:
        """Print over the whole scene and remember how; call it last, nothing may lie over a print."""
        if self.ink is not None and self.blank is not None and self.ink_colour is not None:
            share = ink[..., None]
            earlier = np.broadcast_to(self.ink_colour, self.albedo.shape)
            self.ink_colour = (earlier * (1 - share) + share * ink_colour).astype(np.float32)
            self.ink = np.maximum(self.ink, ink)
        else:
            self.blank, self.ink, self.ink_colour = self.albedo.copy(), ink, ink_colour
        self.albedo += ink[..., None] * (ink_colour - self.albedo)

    def remember_beneath(self) -> None:
        """Note the present state as what shows when a part drawn later is missing."""
        self.beneath = (self.albedo.copy(), self.height.copy())

    def add_part(self, area: Canvas, cover: Field) -> None:
        """Note a removable part."""
        self.parts.append(Part(area.rows, area.columns, cover))


def full_frame(canvas: Canvas, surface: Surface, angle: float = 0.0) -> Scene:
    """Return a scene that a material fills from edge to edge."""
    shape = (canvas.size, canvas.size)
    gloss = np.full(shape, surface.gloss, dtype=np.float32)
    ones = np.ones(shape, dtype=np.float32)
    return Scene(canvas, surface.albedo, surface.height, gloss, ones, angle=angle, material=surface.material)
