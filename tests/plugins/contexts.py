"""What parts are told that read nothing of a backbone."""

from __future__ import annotations

import torch

from zsad.parts import BuildContext

TEXTLESS = BuildContext(
    vision_width=8,
    embed_dim=4,
    depth=4,
    patch_size=4,
    image_size=16,
    taps=(4,),
    tap_widths=(4,),
    stage="joint",
    text_view=None,
    device=torch.device("cpu"),
    seed=0,
)
