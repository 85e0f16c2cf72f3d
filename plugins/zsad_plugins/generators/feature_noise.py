"""Noise on patch features inside a Perlin mask (Rolih et al., SuperSimpleNet, ICPR 2024)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from zsad.errors import InputError
from zsad.values import Features, Grid, TokenSet
from zsad_plugins.generators.options import FeatureNoiseOptions
from zsad_plugins.generators.perlin import perlin_mask

_SEEDS = 2**62


class FeatureNoise:
    """Adds Gaussian noise to the patch tokens of some images where a Perlin mask is true.

    All token sets on the grid get the same mask and noise of their own. Class tokens, image features and
    window tokens stay those of the normal image: a loss on image scores that come from them is misled.
    """

    def __init__(self, options: FeatureNoiseOptions) -> None:
        self.options = options

    def __call__(self, features: Features, random: torch.Generator) -> tuple[Features, Tensor]:
        """Return features and masks [B, h, w]; see :class:`zsad.training.generators.FeatureGenerator`.

        Raises:
            InputError: There are no tokens on a grid, or grids of several sizes.
        """
        grids = {entry.layout for entry in features.token_sets if isinstance(entry.layout, Grid)}
        if len(grids) != 1:
            have = "patch tokens on several grids" if grids else "no patch tokens on a grid"
            raise InputError(
                f"generator 'feature-noise' needs patch tokens on one grid; this method has {have}"
            )
        (grid,) = grids
        masks = torch.from_numpy(np.stack([self._mask(grid, random) for _ in range(len(features))]))
        sets = tuple(self._noisy(entry, masks, random) for entry in features.token_sets)
        device = features.image_feature.device
        return replace(features, token_sets=sets), masks.to(device)

    def _mask(self, grid: Grid, random: torch.Generator) -> np.ndarray:
        seed = torch.randint(_SEEDS, (), generator=random, device=random.device)
        own = np.random.default_rng(int(seed))
        if own.random() < self.options.clean:
            return np.zeros((grid.height, grid.width), np.bool_)
        shape = (grid.height, grid.width)
        return perlin_mask(own, shape, self.options.octaves, self.options.threshold)

    def _noisy(self, entry: TokenSet, masks: Tensor, random: torch.Generator) -> TokenSet:
        if not isinstance(entry.layout, Grid):
            return entry
        tokens = entry.tokens
        noise = torch.randn(tokens.shape, generator=random, device=random.device).to(tokens)
        if self.options.relative:
            noise = noise * tokens.square().mean(dim=(1, 2), keepdim=True).sqrt()
        inside = masks.flatten(1).unsqueeze(-1).to(tokens.device)
        return replace(entry, tokens=torch.where(inside, tokens + self.options.sigma * noise, tokens))
