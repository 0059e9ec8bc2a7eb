"""Batches have their structure, their number and nothing hidden."""

from collections import Counter
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InputError
from models.reid.data.batches import Batches, epoch_batches
from models.reid.data.samples import UNLABELLED
from models.reid.settings import BatchSettings

PK = ("groups", "identities")
SAMPLERS = (*PK, "shuffled")


def made(
    targets: list[int], sampler: str, n_people: int, n_each: int, seed: int = 0, epoch: int = 0
) -> Batches:
    chosen = BatchSettings.model_validate(
        {"sampler": sampler, "n_people": n_people, "n_each": n_each}
    )
    return epoch_batches(np.array(targets), chosen, seed, epoch)


def people(counts: list[int], seed: int = 0) -> list[int]:
    """Targets of people with so many samples each, mixed."""
    targets = [person for person, count in enumerate(counts) for _ in range(count)]
    return [int(t) for t in np.random.default_rng(seed).permutation(targets)]


some_people = st.lists(st.integers(1, 9), min_size=4, max_size=10).map(people)


@pytest.mark.parametrize("sampler", PK)
@settings(max_examples=60)
@given(
    targets=some_people,
    n_people=st.integers(1, 4),
    n_each=st.integers(2, 5),
    seed=st.integers(0, 5),
)
def test_a_batch_is_so_many_neighbouring_samples_of_each_of_so_many_people(
    sampler: str, targets: list[int], n_people: int, n_each: int, seed: int
) -> None:
    batches = made(targets, sampler, n_people, n_each, seed)
    assert batches
    for batch in batches:
        shown = np.array(targets)[batch].reshape(n_people, n_each)
        assert (shown == shown[:, :1]).all() and len(set(shown[:, 0].tolist())) == n_people


@pytest.mark.parametrize("sampler", PK)
@settings(max_examples=60)
@given(targets=some_people)
def test_a_person_with_enough_samples_shows_none_twice(sampler: str, targets: list[int]) -> None:
    times, counts = Counter(chain(*made(targets, sampler, 2, 3))), Counter(targets)
    assert all(n == 1 for index, n in times.items() if counts[targets[index]] >= 3)


@settings(max_examples=60)
@given(targets=some_people, n_people=st.integers(1, 4))
def test_groups_stop_when_fewer_people_than_a_batch_needs_have_any_left(
    targets: list[int], n_people: int
) -> None:
    groups = {person: max(n // 3, 1) for person, n in Counter(targets).items()}
    batches = made(targets, "groups", n_people, 3)
    used = Counter(targets[batch[i]] for batch in batches for i in range(0, len(batch), 3))
    assert all(used[person] <= n for person, n in groups.items())
    assert sum(used[person] < n for person, n in groups.items()) < n_people


@pytest.mark.parametrize(("n_people", "expected"), [(625, 78), (89, 11)])
def test_an_epoch_of_identities_shows_everybody_once(n_people: int, expected: int) -> None:
    targets = people([5] * n_people)
    batches = made(targets, "identities", 8, 4)  # as many people as in MARS and PRID-2011
    shown = Counter(targets[index] for index in chain(*batches))
    assert len(batches) == expected
    assert len(shown) == 8 * expected and set(shown.values()) == {4}


@settings(max_examples=60)
@given(targets=st.lists(st.integers(0, 3), min_size=2, max_size=40))
def test_shuffled_shows_everything_once_but_a_single_leftover(targets: list[int]) -> None:
    batches = made(targets, "shuffled", 2, 2)
    shown = list(chain(*batches))
    assert len(shown) == len(set(shown)) == len(targets) - (len(targets) % 4 == 1)
    assert all(len(batch) == 4 for batch in batches[:-1]) and 2 <= len(batches[-1]) <= 4


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_epoch_is_drawn_from_seed_and_number_alone(sampler: str) -> None:
    targets = people([4, 5, 6, 7, 8, 9])
    first = made(targets, sampler, 3, 2, seed=1, epoch=2)
    np.random.default_rng(0).random()
    assert made(targets, sampler, 3, 2, seed=1, epoch=2) == first
    assert (
        made(targets, sampler, 3, 2, seed=1, epoch=3)
        != first
        != made(targets, sampler, 3, 2, seed=2, epoch=2)
    )


@pytest.mark.parametrize("sampler", PK)
def test_person_ids_need_not_be_consecutive(sampler: str) -> None:
    batches = made([7, 7, 3, 3, 900, 900], sampler, 3, 2)
    assert [sorted(batch) for batch in batches] == [[0, 1, 2, 3, 4, 5]]


@pytest.mark.parametrize("sampler", PK)
def test_too_few_people_is_an_error_that_says_what_to_set(sampler: str) -> None:
    with pytest.raises(InputError, match=r"set batches\.n_people to 2 or less"):
        made([0, 0, 1, 1], sampler, 3, 2)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(
    ("targets", "n_people", "n_each"), [([0, 1], 1, 1), ([0], 2, 2), ([], 2, 2)]
)
def test_a_batch_of_one_sample_is_an_error(
    sampler: str, targets: list[int], n_people: int, n_each: int
) -> None:
    with pytest.raises(InputError, match="needs two samples in a batch"):
        made(targets, sampler, n_people, n_each)


def test_batches_of_sources_hold_each_data_set_by_the_root_of_its_size() -> None:
    sources = np.repeat([0, 1, 2], [900, 400, 100])
    targets = np.zeros(1400, int)
    chosen = BatchSettings(sampler="sources", n_people=60, n_each=1)
    drawn = epoch_batches(targets, chosen, 0, 0, sources)
    counts = np.array([np.bincount(sources[batch], minlength=3) for batch in drawn])
    assert len(drawn) == 23 and (counts == [30, 20, 10]).all()


def test_a_small_source_is_gone_through_in_rounds() -> None:
    sources = np.repeat([0, 1], [1000, 10])
    chosen = BatchSettings(sampler="sources", n_people=20, n_each=1)
    drawn = epoch_batches(np.zeros(1010, int), chosen, 0, 0, sources)
    seen = np.bincount(np.concatenate(drawn), minlength=1010)
    assert seen[:1000].max() == 1
    assert np.ptp(seen[1000:]) <= 1 and seen[1000:].min() >= 1


def test_pictures_without_labels_need_batches_of_sources() -> None:
    targets = np.array([0, 0, 1, 1, UNLABELLED])
    with pytest.raises(InputError, match=r"need batches\.sampler: sources"):
        epoch_batches(targets, BatchSettings(n_people=2, n_each=2), 0, 0)
