"""From embeddings to evidence: cosine similarity, and the log odds that two tracklets are one person.

First version: a logistic curve whose middle (`even_similarity`, the cosine at which same and different are equally likely)
and width (`similarity_scale`) are settings. A curve fitted to the site will replace the two numbers, not the seam.
"""

import numpy as np

from pipeline.config import LinkingConfig
from pipeline.records import Array, Embedded

MAX_LOG_ODDS = 8.0


def similarity(embedded: list[Embedded]) -> Array:
    """Cosine similarities (n, n) float64; nan where either has no appearance."""
    if not embedded or not len(embedded[0].embedding):
        return np.full((len(embedded), len(embedded)), np.nan)
    rows = np.stack([e.embedding for e in embedded]).astype(np.float64)
    seen = np.linalg.norm(rows, axis=1) > 0
    return np.where(seen[:, None] & seen[None, :], rows @ rows.T, np.nan)


def log_odds(similarities: Array, config: LinkingConfig) -> Array:
    """Evidence of appearance, natural log of the odds, nan where there is none."""
    return np.clip((similarities - config.even_similarity) / config.similarity_scale, -MAX_LOG_ODDS, MAX_LOG_ODDS)


def probability(log_odds: float) -> float:
    """Log odds -> probability."""
    return float(1 / (1 + np.exp(-np.clip(log_odds, -40, 40))))


def odds(chance: float) -> float:
    """Probability -> log odds, finite at 0 and 1."""
    chance = min(max(chance, 1e-12), 1 - 1e-12)
    return float(np.log(chance / (1 - chance)))
