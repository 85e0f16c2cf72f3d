"""What frozen towers say of a training set, computed once and kept on disk."""

from zsad.training.cache.build import frozen_image_side, open_cache
from zsad.training.cache.key import StoredPrecision
from zsad.training.cache.store import CachedFeatures

__all__ = ["CachedFeatures", "StoredPrecision", "frozen_image_side", "open_cache"]
