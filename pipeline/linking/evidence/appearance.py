"""Evidence of appearance: log odds that two tracklets are one person, from their embeddings.

The cosine of two embeddings is compared with the cosine at even odds. Both depend on the quality of
the crops: a small, blurred or covered person is less similar to themselves (and no more similar to
others). So a tracklet of few good crops has a *clarity* below 1, and its cosines are expected to be
smaller by that factor. Everything is bilinear in the two tracklets, so the mean evidence between
two groups needs only the sum of each: see `Appearance`.
"""

import math
from dataclasses import dataclass

import numpy as np

from pipeline.records import Array, Embedded

MAX_LOG_ODDS = 8.0
CHUNK = 4096
HALF_CLEAR = 0.1
"""Summed crop quality at which half of a cosine is left (fitted on two rendered worlds)."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A logistic curve from cosine to log odds.

    Attributes:
        even: cosine at even odds in each camera, (C,).
        scale: difference of the cosine that adds 1 to the log odds, above 0.
    """

    even: Array
    scale: float


@dataclass(frozen=True, slots=True)
class Appearance:
    """n tracklets as rows whose products are log odds.

    The evidence between tracklets i and j is rows[i] @ bilinear_partner(rows[j]), not clipped. Its
    weighted mean over two groups is the product of their weighted sums over the product of their
    summed weights.

    Attributes:
        rows: (n, D + 2) float32.
        weight: (n,) float32, 0 where there is no appearance.
    """

    rows: Array
    weight: Array

    @staticmethod
    def of(embedded: list[Embedded], camera: Array, curve: Curve) -> "Appearance":
        """Convert embeddings to rows whose products are log odds.

        Args:
            embedded: n tracklets.
            camera: their cameras, (n,) int.
            curve: log odds of a cosine.

        Returns:
            Their appearance.
        """
        if not embedded or not len(embedded[0].embedding):
            no_rows = np.zeros((len(embedded), 2), np.float32)
            no_weight = np.zeros(len(embedded), np.float32)
            return Appearance(no_rows, no_weight)
        vectors = np.stack([e.embedding for e in embedded])
        clear = clarity(embedded)
        sharpness = 1 / np.sqrt(curve.scale)
        even = curve.even[camera] / 2
        columns = [vectors, (even * clear)[:, None], clear[:, None]]
        rows = np.concatenate(columns, axis=1, dtype=np.float32, casting="same_kind")
        rows *= np.float32(sharpness)
        is_seen = vectors.any(axis=1)
        rows[~is_seen] = 0
        weight = np.where(is_seen, clear, 0).astype(np.float32)
        return Appearance(rows, weight)

    def odds(self, first: Array, second: Array) -> Array:
        """Return the log odds of pairs.

        Args:
            first: indices of tracklets, (m,).
            second: indices of others, (m,).

        Returns:
            Log odds, (m,), at most `MAX_LOG_ODDS` either way; nan where there is no appearance.
        """
        product = products(self.rows, first, second, np.float64)
        odds = np.clip(product, -MAX_LOG_ODDS, MAX_LOG_ODDS)
        are_seen = (self.weight[first] > 0) & (self.weight[second] > 0)
        return np.where(are_seen, odds, np.nan)

    def between(self, first: Array, second: Array) -> Array:
        """Return the log odds of all pairs of two groups.

        Args:
            first: indices of one group, (n,).
            second: indices of the other, (m,).

        Returns:
            Log odds, (n, m), at most `MAX_LOG_ODDS` either way; 0 where there is no appearance.
        """
        rows = self.rows[first].astype(np.float64)
        partners = bilinear_partner(self.rows[second])
        product = rows @ partners.T
        return np.minimum(np.maximum(product, -MAX_LOG_ODDS), MAX_LOG_ODDS)


def products(rows: Array, first: Array, second: Array, dtype: type[np.floating]) -> Array:
    """Return the evidence of pairs, without more memory than `CHUNK` pairs take.

    Args:
        rows: (n, D + 2), as in `Appearance`.
        first: indices of rows, (m,).
        second: indices of their partners, (m,).
        dtype: precision of the products.

    Returns:
        Log odds, (m,) float64, not clipped.
    """
    found = np.zeros(len(first))
    for low in range(0, len(first), CHUNK):
        part = slice(low, low + CHUNK)
        some = rows[first[part]].astype(dtype, copy=False)
        partners = bilinear_partner(rows[second[part]])
        found[part] = np.einsum("nd,nd->n", some, partners)
    return found


def bilinear_partner(rows: Array) -> Array:
    """Return the other side of the products of `Appearance.rows`.

    Args:
        rows: (..., D + 2).

    Returns:
        The rows with the last two columns exchanged and negated, (..., D + 2).
    """
    vectors = rows[..., :-2]
    even = rows[..., -2:-1]
    clear = rows[..., -1:]
    return np.concatenate([vectors, -clear, -even], axis=-1)


def clarity(embedded: list[Embedded]) -> Array:
    """Return the clarity of tracklets, from the quality of their crops.

    Args:
        embedded: n tracklets.

    Returns:
        Clarity, (n,), 0..1; 1 for embeddings without crops.
    """
    quality = []
    for tracklet in embedded:
        has_crops = len(tracklet.crop_quality) > 0
        quality.append(tracklet.crop_quality.sum() if has_crops else np.inf)
    return clarity_of(np.array(quality))


def clarity_of(quality: Array) -> Array:
    """Return the clarity for a summed crop quality.

    Args:
        quality: (n,), 0 or more.

    Returns:
        The share of a cosine that is left, (n,), 0..1.
    """
    return np.asarray(1 / (1 + HALF_CLEAR / np.maximum(quality, 1e-3)))


def to_probability(log_odds: float) -> float:
    """Convert log odds to a probability, 0..1."""
    limited = min(max(log_odds, -40.0), 40.0)
    return 1 / (1 + math.exp(-limited))


def to_log_odds(probability: float) -> float:
    """Convert a probability, 0..1, to log odds, which are finite at 0 and 1."""
    limited = min(max(probability, 1e-12), 1 - 1e-12)
    return float(np.log(limited / (1 - limited)))
