"""Embeddings as vectors: unit length, and the mean of several."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def unit(features: Array) -> Array:
    """Scale vectors to unit length.

    Args:
        features: (..., D), any float.

    Returns:
        (..., D) float32 of unit length; zeros stay zeros.
    """
    length = np.linalg.norm(features, axis=-1, keepdims=True)
    return np.asarray(features / np.where(length > 0, length, 1), np.float32)


def pool(crop_embeddings: Array, quality: Array) -> Array:
    """Average crop embeddings by quality.

    Args:
        crop_embeddings: (k, D), k >= 1.
        quality: (k,) in 0..1.

    Returns:
        (D,) float32 of unit length.
    """
    weights = np.maximum(quality, 1e-3)
    return unit(np.average(crop_embeddings.astype(np.float32), axis=0, weights=weights))
