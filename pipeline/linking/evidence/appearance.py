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
    """A logistic curve: the cosine that is even odds, in each camera (C,), and how much more is
    odds of e to 1.
    """

    even: Array
    scale: float


@dataclass(frozen=True, slots=True)
class Appearance:
    """n tracklets as rows whose products are log odds.

    rows (n, D + 2) float32 and weight (n,) float32, 0 where there is no appearance: the evidence
    between tracklets i and j is rows[i] @ bilinear_partner(rows[j]), and its mean over two groups,
    weighted, is the product of their weighted sums over the product of their summed weights. Not
    clipped.
    """

    rows: Array
    weight: Array

    @staticmethod
    def of(embedded: list[Embedded], camera: Array, curve: Curve) -> "Appearance":
        """Bring tracklets of cameras (n,) into the form whose products are log odds."""
        if not embedded or not len(embedded[0].embedding):
            return Appearance(
                np.zeros((len(embedded), 2), np.float32), np.zeros(len(embedded), np.float32)
            )
        vectors = np.stack([e.embedding for e in embedded])
        clear = clarity(embedded)
        sharpness = 1 / np.sqrt(curve.scale)
        even = curve.even[camera] / 2
        columns = [vectors, (even * clear)[:, None], clear[:, None]]
        rows = np.concatenate(columns, axis=1, dtype=np.float32, casting="same_kind")
        rows *= np.float32(sharpness)
        seen = vectors.any(axis=1)
        rows[~seen] = 0
        return Appearance(rows, np.where(seen, clear, 0).astype(np.float32))

    def odds(self, i: Array | int, j: Array | int) -> Array:
        """Log odds of pairs, clipped; nan where there is no appearance."""
        first, second = np.atleast_1d(i), np.atleast_1d(j)
        product = products(self.rows, first, second, np.float64)
        seen = (self.weight[first] > 0) & (self.weight[second] > 0)
        return np.where(seen, np.clip(product, -MAX_LOG_ODDS, MAX_LOG_ODDS), np.nan).reshape(
            np.shape(i)
        )

    def between(self, i: Array, j: Array) -> Array:
        """Log odds of tracklets (n,) and (m,), each with each, clipped, (n, m); 0 where there is no
        appearance.
        """
        product = self.rows[i].astype(np.float64) @ bilinear_partner(self.rows[j]).T
        return np.minimum(np.maximum(product, -MAX_LOG_ODDS), MAX_LOG_ODDS)


def products(rows: Array, i: Array, j: Array, dtype: type[np.floating]) -> Array:
    """Evidence (m,) of pairs of rows (n, D + 2), worked out in `dtype`. Millions of pairs take no
    more memory than `CHUNK`.
    """
    found = np.zeros(len(i))
    for low in range(0, len(i), CHUNK):
        part = slice(low, low + CHUNK)
        found[part] = np.einsum(
            "nd,nd->n", rows[i[part]].astype(dtype, copy=False), bilinear_partner(rows[j[part]])
        )
    return found


def bilinear_partner(rows: Array) -> Array:
    """The other side of the product of `Appearance.rows`: the last two columns change places and
    sign.
    """
    return np.concatenate([rows[..., :-2], -rows[..., -1:], -rows[..., -2:-1]], axis=-1)


def clarity(embedded: list[Embedded]) -> Array:
    """What is left of a cosine for each tracklet's quality, (n,) in 0..1; 1 for embeddings that
    came without crops.
    """
    return clarity_of(
        np.array([e.crop_quality.sum() if len(e.crop_quality) else np.inf for e in embedded])
    )


def clarity_of(quality: Array) -> Array:
    """What is left of a cosine of tracklets whose crops have this quality in all."""
    return np.asarray(1 / (1 + HALF_CLEAR / np.maximum(quality, 1e-3)))


def to_probability(log_odds: float) -> float:
    """Log odds -> probability."""
    return 1 / (1 + math.exp(-min(max(log_odds, -40.0), 40.0)))


def to_log_odds(chance: float) -> float:
    """Probability -> log odds, finite at 0 and 1."""
    chance = min(max(chance, 1e-12), 1 - 1e-12)
    return float(np.log(chance / (1 - chance)))
