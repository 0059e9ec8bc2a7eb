"""Which samples make up the batches of an epoch, from the people, settings, a seed and the epoch.
Everything of an epoch is drawn before it begins and from nothing but the arguments, so two machines
agree on it without talking, and going on in the middle of an epoch is a slice. P is `n_people`, K
is `n_each`.

| sampler | a batch | batches in an epoch |
| --- | --- | --- |
| groups (torchreid, Luo et al. arXiv 1903.07071) | P people, K samples of each | see below |
| identities (open-reid; MARS and PSTA recipes) | the same | n people // P |
| shuffled | P x K samples, whoever they show | n / (P x K), rounded up |
| sources | P x K samples of all data sets | n // (P x K), at least 1 |

- groups: every person's samples are shuffled and cut into groups of K, what is left over waits for
  another epoch; a person with fewer than K is drawn K times with repetition. A batch takes one
  group from each of P people drawn from those who have any left, until fewer than P have. How many
  batches that makes depends on the draws (at most groups // P), so it is the length of the list and
  differs a little between epochs.
- identities: everybody once, K samples drawn without repetition where there are K. People left
  over, fewer than P, wait. Such an epoch is short (MARS: 78 batches of 32), which is why published
  recipes run hundreds of them.
- shuffled: everything once. The last batch is smaller, and dropped if it is a single sample, on
  which batch normalisation cannot train.
- sources: every data set has a share of each batch in proportion to the square root of its number
  of samples, so that a large one does not rule and a small one is not seen a hundred times. Each is
  gone through in shuffled rounds; an epoch is as many samples as there are, of which the large data
  sets have given a part.
"""

from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np

from models.errors import InputError
from models.reid.data.samples import UNLABELLED
from models.reid.settings import BatchSettings

Batches = list[list[int]]


def epoch_batches(
    targets: np.ndarray,
    settings: BatchSettings,
    seed: int,
    epoch: int,
    sources: np.ndarray | None = None,
) -> Batches:
    """The batches of an epoch; same arguments, same batches.

    Args:
        targets: (n,) int, the person of every sample.
        settings: what makes a batch.
        seed: of the training.
        epoch: which one, from 0.
        sources: (n,) int, the data set of every sample; None where there is one.

    Returns:
        Indices into `targets`, batch by batch. In PK batches the K samples of a person are
        neighbours.

    Raises:
        InputError: not one batch can be made.
    """
    if settings.n_people * settings.n_each < 2 or len(targets) < 2:
        raise InputError(
            f"batches of {settings.n_people} x {settings.n_each} from {len(targets)} training"
            " samples: batch normalisation needs two samples in a batch; set batches.n_people or"
            " batches.n_each higher, or give more data"
        )
    # 1: apart from the draws of the clips, [seed, epoch, position] (and a 0)
    rng = np.random.default_rng([seed, epoch, 0, 1])
    if settings.sampler == "sources":
        if sources is None:
            sources = np.zeros_like(targets)
        return _sources(sources, settings, rng)
    if (targets == UNLABELLED).any():
        raise InputError("pictures without labels need batches.sampler: sources")
    return _SAMPLERS[settings.sampler](targets, settings, rng)


def _groups(people: np.ndarray, settings: BatchSettings, rng: np.random.Generator) -> Batches:
    left = [_cut(rng, own, settings.n_each) for own in _by_person(people, settings)]
    batches: Batches = []
    while len(left) >= settings.n_people:
        chosen = rng.choice(len(left), settings.n_people, replace=False)
        batch: list[int] = []
        for person in chosen:
            batch += left[person].pop()
        batches.append(batch)
        left = [groups for groups in left if groups]
    return batches


def _cut(rng: np.random.Generator, own: np.ndarray, n_each: int) -> Batches:
    """Samples of one person, shuffled, in groups of n_each: at least one group."""
    if len(own) < n_each:
        return [rng.choice(own, n_each).tolist()]
    shuffled = rng.permutation(own).tolist()
    return _whole_groups(shuffled, n_each)


def _whole_groups(items: list[Any], size: int) -> list[list[Any]]:
    """The items in groups of `size`; a last group that is not full is left out."""
    begins = range(0, len(items) - size + 1, size)
    return [items[begin : begin + size] for begin in begins]


def _identities(people: np.ndarray, settings: BatchSettings, rng: np.random.Generator) -> Batches:
    by_person = _by_person(people, settings)
    n_each = settings.n_each
    drawn = []
    for person in rng.permutation(len(by_person)):
        own = by_person[person]
        samples = rng.choice(own, n_each, replace=len(own) < n_each)
        drawn.append(samples.tolist())
    groups = _whole_groups(drawn, settings.n_people)
    return [list(chain(*group)) for group in groups]


def _shuffled(people: np.ndarray, settings: BatchSettings, rng: np.random.Generator) -> Batches:
    size = settings.n_people * settings.n_each
    order = rng.permutation(len(people)).tolist()
    batches = [order[begin : begin + size] for begin in range(0, len(order), size)]
    return [batch for batch in batches if len(batch) > 1]


def _sources(sources: np.ndarray, settings: BatchSettings, rng: np.random.Generator) -> Batches:
    size = settings.n_people * settings.n_each
    n_batches = max(1, len(sources) // size)
    names, counts = np.unique(sources, return_counts=True)
    roots = np.sqrt(counts)
    shares = roots / roots.sum()
    # how many of each data set all batches up to one have taken: whole numbers whose means are the
    # shares
    n_before = np.arange(n_batches + 1)
    taken = np.rint(np.outer(n_before, shares * size)).astype(int)
    batches: Batches = [[] for _ in range(n_batches)]
    for column, source in enumerate(names):
        own = np.flatnonzero(sources == source)
        order = _rounds(own, taken[-1, column], rng)
        for number, batch in enumerate(batches):
            begin = taken[number, column]
            end = taken[number + 1, column]
            batch.extend(order[begin:end])
    return batches


def _rounds(indices: np.ndarray, n: int, rng: np.random.Generator) -> list[int]:
    """n of the indices: all of them shuffled, then all again."""
    order: list[int] = []
    while len(order) < n:
        order += rng.permutation(indices).tolist()
    return order[:n]


def _by_person(people: np.ndarray, settings: BatchSettings) -> list[np.ndarray]:
    """Indices of the samples of every person, people in ascending order."""
    order = np.argsort(people, kind="stable")
    is_next = np.diff(people[order]) != 0
    begins = np.flatnonzero(is_next) + 1
    by_person = np.split(order, begins)
    if len(by_person) < settings.n_people:
        raise InputError(
            f"batches of {settings.n_people} people cannot be made from {len(by_person)} training"
            f" people: set batches.n_people to {len(by_person)} or less"
        )
    return by_person


_SAMPLERS: dict[str, Callable[[np.ndarray, BatchSettings, np.random.Generator], Batches]] = {
    "groups": _groups,
    "identities": _identities,
    "shuffled": _shuffled,
}
