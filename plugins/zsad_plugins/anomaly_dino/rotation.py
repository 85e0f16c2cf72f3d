"""Images turned about their centre, their borders mirrored."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

Picture = npt.NDArray[np.uint8]


def rotated(image: Picture, degrees: float) -> Picture:
    """Return an image turned counter-clockwise about (W / 2, H / 2), at its own size.

    Output (x, y) reads the input, bilinearly, at (W/2 + c dx - s dy, H/2 + s dx + c dy) with dx = x - W/2,
    dy = y - H/2, c and s the angle's cosine and sine; beyond the border it is mirrored at the centres of the
    outermost pixels. That is OpenCV's ``warpAffine`` by ``getRotationMatrix2D`` under its default border for
    filters (reflect-101), sampled exactly; OpenCV 4 rounds positions to 1/32 of a pixel.

    Args:
        image: [H, W, C] uint8.
        degrees: Angle.
    """
    if degrees % 360 == 0:
        return image
    height, width = image.shape[:2]
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    # grid_sample counts from -1 to 1 between the centres of the outermost pixels.
    across, down = max(width - 1, 1) / 2, max(height - 1, 1) / 2
    dy, dx = torch.meshgrid(torch.arange(height) - height / 2, torch.arange(width) - width / 2, indexing="ij")
    x = (width / 2 + cosine * dx - sine * dy) / across - 1
    y = (height / 2 + sine * dx + cosine * dy) / down - 1
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
    turned = F.grid_sample(
        pixels, torch.stack([x, y], -1)[None], "bilinear", "reflection", align_corners=True
    )
    found: Picture = turned[0].permute(1, 2, 0).round().to(torch.uint8).numpy()
    return found


def full_turn(image: Picture, count: int) -> list[Picture]:
    """Return ``count`` copies of an image, turned by equal steps, the first one as it is."""
    return [rotated(image, 360 * step / count) for step in range(count)]
