"""From features of a data set's samples to scores: which steps, in which form. The command
`evaluate` and training share it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from models.reid.data.samples import Sample
from models.reid.evaluation import ranking
from models.reid.evaluation.distances import Array
from models.reid.evaluation.ranking import Ranking, Scores


@dataclass(frozen=True)
class Protocol:
    """metric: of `distances`. ap, over: of `ranking`. single_shot: CUHK03's single gallery shot,
    drawn with `seed`.
    """

    metric: str = "cosine"
    ap: str = "precision"
    over: str = "valid"
    single_shot: bool = False
    seed: int = 0


def labels(query: Sequence[Sample], gallery: Sequence[Sample]) -> tuple[Array, Array, Array, Array]:
    """Ids of queries and gallery, cameras of queries and gallery, as `ranking.rank` takes them."""
    return (
        np.array([s.person_id for s in query]),
        np.array([s.person_id for s in gallery]),
        np.array([s.camera for s in query]),
        np.array([s.camera for s in gallery]),
    )


def score(
    apart: Array | Iterable[Array],
    query: Sequence[Sample],
    gallery: Sequence[Sample],
    protocol: Protocol,
    top: int = 0,
) -> tuple[Scores, Ranking]:
    """Scores of distances (Q, G), or of blocks of their rows, small is alike; and the ranking they
    come from.

    Raises InputError when no query has an answer.
    """
    known = labels(query, gallery)
    if protocol.single_shot:  # goes over the distances twice
        whole = apart if isinstance(apart, np.ndarray) else np.concatenate(list(apart))
        generator = np.random.default_rng(protocol.seed)
        scores = ranking.single_shot_scores(
            whole, *known, generator, ap=protocol.ap, over=protocol.over
        )
        return scores, ranking.rank(whole, *known, top=top)
    found = ranking.rank(apart, *known, top=top)
    return found.scores(protocol.ap, protocol.over), found
