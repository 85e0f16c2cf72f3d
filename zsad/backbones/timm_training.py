"""What timm's pretrained weights were trained on, as far as their tags say it. No torch here."""

from __future__ import annotations

IMAGENET_LABELS = "ImageNet-{} with its labels"

DATA = {
    "lvd142m": "LVD-142M (142 million curated web images, without labels)",
    "lvd1689m": "LVD-1689M (1.7 billion curated web images, without labels)",
    "sat493m": "SAT-493M (493 million satellite images, without labels)",
    "openai": "OpenAI's WIT (400 million image-text pairs)",
    "laion2b": "LAION-2B (image-text pairs)",
    "laion400m": "LAION-400M (image-text pairs)",
    "laiona": "LAION-Aesthetics (image-text pairs)",
    "datacompxl": "DataComp-1B (image-text pairs)",
    "datacomp1b": "DataComp-1B (image-text pairs)",
    "dfn2b": "DFN-2B (image-text pairs)",
    "dfn5b": "DFN-5B (image-text pairs)",
    "metaclip": "MetaCLIP's image-text pairs",
    "metaclip2": "MetaCLIP 2's image-text pairs",
    "merged2b": "Merged-2B (image-text pairs)",
    "webli": "WebLI (image-text pairs)",
    "yfcc15m": "YFCC-15M (image-text pairs)",
    "yfcc100m": "YFCC-100M",
    "jft": "JFT (labels)",
    "ig1b": "Instagram-1B (hashtags)",
    "radio": "distilled from several models, whose data RADIO's card names",
    "sa1b": "SA-1B (masks of anything)",
    "in12k": IMAGENET_LABELS.format("12k"),
    "in21k": IMAGENET_LABELS.format("21k"),
    "in22k": IMAGENET_LABELS.format("22k"),
    "in1k": IMAGENET_LABELS.format("1k"),
}
"""Words of timm's tags, and the datasets they stand for."""

UNLABELLED = {"dino": "DINO", "mae": "masked autoencoding", "fcmae": "masked autoencoding"}
"""Whole tags of models that saw ImageNet-1k without its labels, and the way they were trained."""


def trained_on(tag: str) -> str:
    """Return in words what the weights of a tag were trained on, "not stated" where the tag does not say.

    A tag names the datasets in the order of training, as in ``laion2b_ft_in12k_in1k``.
    """
    if tag in UNLABELLED:
        return f"ImageNet-1k without its labels ({UNLABELLED[tag]})"
    found: list[str] = []
    words = tag.split("_")
    for before, word in zip(["", *words], words, strict=False):
        if word in DATA:
            labels = before != "mim" or "with its labels" not in DATA[word]  # masked image modelling
            found.append(
                DATA[word] if labels else DATA[word].replace("with its labels", "without its labels")
            )
    return (
        ", then ".join(dict.fromkeys(found)) if found else f"not stated (timm's tag {tag or 'has no name'})"
    )
