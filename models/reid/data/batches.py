"""Which samples make up the batches of an epoch: plain lists, from the people, the settings, a seed
and the epoch.

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
    rng = np.random.default_rng(
        [seed, epoch, 0, 1]
    )  # 1: apart from the draws of the clips, [seed, epoch, position] (and a 0)
    if settings.sampler == "sources":
        return _sources(np.zeros_like(targets) if sources is None else sources, settings, rng)
    if (targets == UNLABELLED).any():
        raise InputError("pictures without labels need batches.sampler: sources")
    return _SAMPLERS[settings.sampler](targets, settings, rng)


def _groups(people: np.ndarray, settings: BatchSettings, rng: np.random.Generator) -> Batches:
    left = [_cut(rng, own, settings.n_each) for own in _by_person(people, settings)]
    batches: Batches = []
    while len(left) >= settings.n_people:
        chosen = rng.choice(len(left), settings.n_people, replace=False)
        batches.append([index for person in chosen for index in left[person].pop()])
        left = [groups for groups in left if groups]
    return batches


def _cut(rng: np.random.Generator, own: np.ndarray, n_each: int) -> Batches:
    """Samples of one person, shuffled, in groups of n_each: at least one group."""
    if len(own) < n_each:
        return [rng.choice(own, n_each).tolist()]
    shuffled = rng.permutation(own).tolist()
    return [shuffled[i : i + n_each] for i in range(0, len(own) - n_each + 1, n_each)]


def _identities(people: np.ndarray, settings: BatchSettings, rng: np.random.Generator) -> Batches:
    by_person = _by_person(people, settings)
    n_people, n_each = settings.n_people, settings.n_each
    order = rng.permutation(len(by_person))
    drawn = [
        rng.choice(by_person[i], n_each, replace=len(by_person[i]) < n_each).tolist() for i in order
    ]
    return [
        list(chain(*drawn[i : i + n_people])) for i in range(0, len(drawn) - n_people + 1, n_people)
    ]


def _shuffled(people: np.ndarray, settings: BatchSettings, rng: np.random.Generator) -> Batches:
    size = settings.n_people * settings.n_each
    order = rng.permutation(len(people)).tolist()
    return [order[i : i + size] for i in range(0, len(order), size) if len(order) - i > 1]


def _sources(sources: np.ndarray, settings: BatchSettings, rng: np.random.Generator) -> Batches:
    size = settings.n_people * settings.n_each
    n_batches = max(1, len(sources) // size)
    _, counts = np.unique(sources, return_counts=True)
    shares = np.sqrt(counts) / np.sqrt(counts).sum()
    # how many of each data set all batches up to one have taken: whole numbers whose means are the
    # shares
    taken = np.rint(np.outer(np.arange(n_batches + 1), shares * size)).astype(int)
    batches: Batches = [[] for _ in range(n_batches)]
    for column, source in enumerate(np.unique(sources)):
        order = _rounds(np.flatnonzero(sources == source), taken[-1, column], rng)
        for number in range(n_batches):
            batches[number] += order[taken[number, column] : taken[number + 1, column]]
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
    by_person = np.split(order, np.flatnonzero(np.diff(people[order])) + 1)
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
