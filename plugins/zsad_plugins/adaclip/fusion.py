"""Hybrid semantic fusion: the image feature takes in the centres of anomalous patches."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.errors import InputError
from zsad.parts import BuildContext
from zsad.values import ABNORMAL, NORMAL, Conditioning, Features, Scores, ScoreSet
from zsad_plugins.adaclip.kmeans import cluster_means, kmeans_labels
from zsad_plugins.adaclip.options import FusionOptions
from zsad_plugins.standard.options import CosineOptions
from zsad_plugins.standard.scorers import CosineScorer, image_probability


def mean_logits(scores: Scores) -> Tensor:
    """Return the mean over the taps of their logits, [B, 2, h, w].

    Raises:
        InputError: The score sets are no logits, or differ in their grids.
    """
    if any(entry.kind != "logits" for entry in scores.sets):
        raise InputError("AdaCLIP averages logits; leave out standard.softmax before it")
    if len({entry.values.shape for entry in scores.sets}) != 1:
        raise InputError("AdaCLIP averages score sets of one grid; choose a refiner whose taps share it")
    return torch.stack([entry.values for entry in scores.sets]).mean(0)


class SemanticFusion:
    """Scores tokens by cosine, and the image by a x h + (1 - a) x g'.

    h is the normalised mean of the centres of k clusters, into which the patches with the highest abnormal
    probability fall; the features of all taps, side by side, are what is clustered.
    """

    def __init__(self, options: FusionOptions, context: BuildContext) -> None:
        self.options, self.seed = options, context.seed
        self.cosine = CosineScorer(CosineOptions(temperature=options.temperature))

    def cluster(self, features: Features, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Cluster the most anomalous patches.

        Args:
            features: Token sets in the joint space, all on one grid.
            logits: [B, 2, h, w], mean over the taps.

        Returns:
            h, [B, C], and the labels [B, n] of the chosen patches, the most anomalous first.
        """
        # The logits' difference has the order of the softmax, also where that saturates.
        excess = (logits[:, ABNORMAL] - logits[:, NORMAL]).flatten(1)
        count = min(self.options.clusters * self.options.patches_per_cluster, excess.shape[1])
        clusters = min(self.options.clusters, count)
        chosen = excess.argsort(dim=1, descending=True, stable=True)[:, :count]
        rows = torch.arange(len(chosen), device=chosen.device)[:, None]
        tokens = [F.normalize(entry.tokens, dim=-1)[rows, chosen] for entry in features.token_sets]
        labels = kmeans_labels(torch.cat(tokens, dim=-1).detach(), clusters, self.seed)
        centers, counts = cluster_means(torch.stack(tokens).mean(0), labels, clusters)
        # Empty clusters, of images with hardly any structure, do not count.
        return F.normalize(centers.sum(1) / (counts > 0).sum(1, keepdim=True), dim=-1), labels

    def __call__(self, features: Features, conditioning: Conditioning) -> Scores:
        """Return logits per token set and the image score.

        Raises:
            InputError: The token sets are windows, or differ in their grids.
        """
        scores = self.cosine(features, conditioning)
        clustered, _ = self.cluster(features, mean_logits(scores))
        weight = self.options.weight
        image = weight * clustered + (1 - weight) * F.normalize(features.image_feature, dim=-1)
        fused = replace(features, image_feature=image)
        score = image_probability(fused, conditioning.text_features, self.options.temperature)
        return Scores(scores.sets).with_image_score(score, "adaclip.semantic_fusion: image feature, clusters")


class MeanLogits:
    """Replaces the taps' logits by their mean."""

    def __init__(self, options: None, context: BuildContext) -> None:
        pass

    def __call__(self, scores: Scores, features: Features) -> Scores:
        """Return the scores with one set.

        Raises:
            InputError: The score sets are no logits, or differ in their grids.
        """
        return replace(scores, sets=(ScoreSet("mean", mean_logits(scores), "logits"),))
