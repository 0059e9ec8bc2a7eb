"""iLIDS-VID: positions in a sorted list, the first half tests."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from models.errors import InputError
from models.reid.data.ilids_vid import SPLITS, Options, load
from tests.models.reid import miniatures


@pytest.mark.parametrize("split", [0, 9])
def test_the_first_half_of_a_row_tests_and_the_second_trains(split: int, tmp_path: Path) -> None:
    here = miniatures.ilids_vid(tmp_path, n_people=8)
    dataset = load(here, Options(split=split, any_counts=True))
    row = loadmat(here / SPLITS)["ls_set"][split].astype(int)
    people = [2 * position - 1 for position in row]  # person001, person003...
    assert (
        [s.person_id for s in dataset.query]
        == [s.person_id for s in dataset.gallery]
        == sorted(people[:4])
    )
    trained = sorted({path.parent.name for s in dataset.train for path in s.paths})
    assert trained == sorted(f"person{person:03d}" for person in people[4:])


def test_camera_1_asks_camera_2_answers_and_both_train(tmp_path: Path) -> None:
    dataset = load(miniatures.ilids_vid(tmp_path), Options(any_counts=True))
    assert {s.camera for s in dataset.query} == {0}
    assert {s.camera for s in dataset.gallery} == {1}
    assert [(s.person_id, s.camera) for s in dataset.train] == [
        (p, c) for c in (0, 1) for p in range(4)
    ]
    assert [path.name for path in dataset.query[0].paths] == sorted(
        path.name for path in dataset.query[0].paths
    )
    assert len(dataset.query[0].paths) == 4


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.ones((10, 6)), "expected \\(10, 8\\)"),
        (np.ones((3, 8)), "expected \\(10, 8\\)"),
        (np.ones((10, 8)), "names a person twice"),
        (np.tile(np.arange(8), (10, 1)), "whole numbers from 1 to 8"),
    ],
)
def test_splits_that_do_not_fit_the_people_are_refused(
    rows: np.ndarray, words: str, tmp_path: Path
) -> None:
    here = miniatures.ilids_vid(tmp_path, n_people=8)
    savemat(here / SPLITS, {"ls_set": rows})
    with pytest.raises(InputError, match=words):
        load(here, Options(any_counts=True))


def test_a_person_of_one_camera_only_is_named(tmp_path: Path) -> None:
    here = miniatures.ilids_vid(tmp_path)
    (here / "i-LIDS-VID/sequences/cam2/person003").rename(here / "person003")
    with pytest.raises(InputError, match="person003 is not in both cameras"):
        load(here, Options(any_counts=True))
