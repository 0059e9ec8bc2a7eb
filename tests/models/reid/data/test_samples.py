"""Labels, counts, and the people held out to select a model."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InputError
from models.reid.data.samples import (
    UNLABELLED,
    Dataset,
    Frames,
    Sample,
    ask_first_camera,
    check_counts,
    counts,
    hold_out,
    relabel,
    train_also_on,
)


def _dataset(seen: list[list[int]]) -> Dataset:
    """`seen[person][camera]`: how many images of the person in the camera."""
    train = tuple(
        Sample((Path(f"{person}_{camera}_{k}.jpg"),), person, camera)
        for person, images in enumerate(seen)
        for camera, n in enumerate(images)
        for k in range(n)
    )
    return Dataset("some", Path("here"), train, (), (), False)


people = st.lists(
    st.lists(st.integers(0, 3), min_size=2, max_size=3).filter(any), min_size=2, max_size=9
)


@settings(max_examples=150)
@given(seen=people, fraction=st.floats(0, 0.9), seed=st.integers(0, 2**31))
def test_held_out_people_never_train_and_every_query_has_an_answer(
    seen: list[list[int]], fraction: float, seed: int
) -> None:
    dataset = _dataset(seen)
    n_eligible = sum(sum(n > 0 for n in images) > 1 for images in seen)
    n_held = max(2, round(fraction * len(seen)))
    if n_held > n_eligible or n_held >= len(seen):
        with pytest.raises(InputError, match="cannot be held out"):
            hold_out(dataset, fraction, seed)
        return
    held = hold_out(dataset, fraction, seed)
    assert held == hold_out(dataset, fraction, seed)

    owner = {sample.paths: sample.person_id for sample in dataset.train}
    training = {owner[s.paths] for s in held.train}
    validating = {s.person_id for s in held.query}
    assert len(validating) == n_held
    assert not training & validating
    assert {s.person_id for s in held.gallery} == validating
    assert sorted({s.person_id for s in held.train}) == list(range(len(seen) - n_held))
    assert sorted(s.paths for s in (*held.train, *held.query, *held.gallery)) == sorted(owner)
    for query in held.query:
        assert any(
            s.person_id == query.person_id and s.camera != query.camera for s in held.gallery
        )
    assert len({(s.person_id, s.camera) for s in held.query}) == len(held.query)


def test_other_seeds_hold_out_other_people() -> None:
    dataset = _dataset([[2, 2]] * 20)
    assert (
        len(
            {
                frozenset(s.person_id for s in hold_out(dataset, 0.2, seed).query)
                for seed in range(5)
            }
        )
        > 1
    )


def test_people_can_be_held_out_by_their_numbers() -> None:
    dataset = _dataset([[2, 2], [3, 0], [2, 2], [2, 2]])
    held = hold_out(dataset, 0.0, 0, people=(3, 0))
    assert {s.person_id for s in held.query} == {s.person_id for s in held.gallery} == {0, 3}
    assert len(held.train) == 3 + 4 and held.n_train_people == 2
    with pytest.raises(
        InputError, match=r"^data\.held_out: person 1 of .* by two cameras, or is not"
    ):
        hold_out(dataset, 0.0, 0, people=(0, 1))
    with pytest.raises(InputError, match=r"numbers go from 0 to 3$"):
        hold_out(dataset, 0.0, 0, people=(9,))


def test_a_share_can_be_drawn_from_some_people_only() -> None:
    dataset = _dataset([[2, 2]] * 10)
    pool = (1, 2, 3, 5, 7)
    drawn = [held(hold_out(dataset, 0.3, seed, pool=pool)) for seed in range(6)]
    assert all(len(people) == 3 and people <= set(pool) for people in drawn)
    assert len(set(drawn)) > 1


def test_people_by_their_numbers_are_filled_up_to_the_share_from_a_pool() -> None:
    dataset = _dataset([[2, 2]] * 10)
    found = held(hold_out(dataset, 0.4, 0, people=(0, 9), pool=(2, 3, 4, 9)))
    assert len(found) == 4 and {0, 9} < found <= {0, 9, 2, 3, 4}
    assert held(hold_out(dataset, 0.2, 0, people=(0, 9, 1), pool=(2, 3))) == {0, 1, 9}


def held(data: Dataset) -> frozenset[int]:
    return frozenset(sample.person_id for sample in data.query)


def test_a_pool_that_is_too_small_or_names_nobody_is_one_line() -> None:
    dataset = _dataset([[2, 2]] * 9 + [[3, 0]])
    with pytest.raises(
        InputError, match=r"^data\.held_out_pool: 3 people are to be drawn from 1; "
    ):
        hold_out(dataset, 0.5, 0, people=(0, 1), pool=(1, 4))
    with pytest.raises(InputError, match=r"^data\.held_out_pool: person 9 of here is not seen by"):
        hold_out(dataset, 0.5, 0, pool=(1, 9))


def test_a_camera_with_one_image_answers_and_does_not_ask() -> None:
    held = hold_out(_dataset([[1, 3], [1, 3], [1, 3]]), 0.1, 0)
    assert {s.camera for s in held.query} == {1}
    assert {s.camera for s in held.gallery} == {0, 1}


def test_labels_keep_the_order_of_the_ids() -> None:
    samples = [Sample((Path("a"),), person, 0) for person in (9, 2, 9, 7)]
    assert [s.person_id for s in relabel(samples)] == [2, 0, 2, 1]


def test_a_first_camera_asks_the_others_and_people_of_one_camera_distract() -> None:
    query, gallery = ask_first_camera(_dataset([[2, 1, 1], [0, 1, 1], [0, 0, 2]]).train)
    assert [(s.person_id, s.camera) for s in query] == [(0, 0), (0, 0), (1, 1)]
    assert [(s.person_id, s.camera) for s in gallery] == [(0, 1), (0, 2), (1, 2), (2, 2), (2, 2)]


def test_frames_are_paths_made_when_asked_for() -> None:
    frames = Frames(Path("here"), ("a.jpg", "b.jpg", "c.jpg"))
    assert list(frames) == [Path("here/a.jpg"), Path("here/b.jpg"), Path("here/c.jpg")]
    assert frames[-1] == Path("here/c.jpg")
    assert list(frames[1:]) == [Path("here/b.jpg"), Path("here/c.jpg")]
    assert len(frames) == 3
    assert Path("here/b.jpg") in frames


def test_counts_name_the_roles_and_wrong_ones_are_all_reported() -> None:
    found = counts(_dataset([[2, 1], [1, 1]]))
    assert found["train people"] == 2
    assert found["train images"] == 5
    check_counts(Path("here"), found, {"train images": 5})
    with pytest.raises(
        InputError, match=r"here: .*train people 2 \(expected 3\), query images 0 \(expected 9\)"
    ):
        check_counts(Path("here"), found, {"train people": 3, "train images": 5, "query images": 9})


def test_unlabelled_pictures_join_a_training_as_nobody() -> None:
    labelled = _dataset([[1, 1], [1, 1]])
    unlabelled = replace(labelled, train=(replace(labelled.train[0], person_id=UNLABELLED),))
    joined = train_also_on(labelled, [unlabelled, labelled])
    people = [sample.person_id for sample in joined.train]
    assert people == [0, 0, 1, 1, UNLABELLED, 2, 2, 3, 3]
    assert [sample.source for sample in joined.train] == [0, 0, 0, 0, 1, 2, 2, 2, 2]
    assert joined.n_train_people == 4
    assert relabel(joined.train) == joined.train


def test_unlabelled_pictures_are_never_held_out() -> None:
    data = _dataset([[1, 2]] * 6)
    nobody = tuple(replace(sample, person_id=UNLABELLED) for sample in data.train[:4])
    held = hold_out(replace(data, train=(*data.train, *nobody)), 0.5, 0)
    assert sum(sample.person_id == UNLABELLED for sample in held.train) == 4
    assert all(sample.person_id >= 0 for sample in (*held.query, *held.gallery))
