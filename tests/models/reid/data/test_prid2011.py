"""PRID 2011: the 178 people, splits that are derived and splits from a file."""

import json
from pathlib import Path

import pytest

from models.errors import InputError
from models.reid.data.prid2011 import PEOPLE, Options, derive, load
from tests.models.reid import miniatures


def test_the_people_are_the_178_of_the_custom() -> None:
    assert len(PEOPLE) == 178
    assert (PEOPLE[0], PEOPLE[-1]) == ("person_0001", "person_0198")
    assert "person_0006" not in PEOPLE


def test_derived_splits_are_halves_that_never_change() -> None:
    splits = [derive(list(PEOPLE), split) for split in range(10)]
    for train, test in splits:
        assert len(train) == len(test) == 89
        assert sorted(train + test) == list(PEOPLE)
    assert len({tuple(test) for _, test in splits}) == 10
    assert splits[0][1][:4] == ["person_0002", "person_0003", "person_0004", "person_0008"]
    assert derive(list(PEOPLE[::-1]), 3) == splits[3]


def test_camera_a_asks_camera_b_answers_and_people_with_few_frames_are_left_out(
    tmp_path: Path,
) -> None:
    dataset = load(miniatures.prid2011(tmp_path), Options(any_counts=True))
    assert {s.camera for s in dataset.query} == {0}
    assert {s.camera for s in dataset.gallery} == {1}
    assert [s.person_id for s in dataset.query] == [s.person_id for s in dataset.gallery]
    used = {path.parent.name for s in (*dataset.train, *dataset.query) for path in s.paths}
    assert used == {f"person_{number:04d}" for number in (1, 2, 3, 4, 5, 7, 8, 9)}
    assert len(dataset.train) == 8


def test_a_file_of_splits_decides(tmp_path: Path) -> None:
    here = miniatures.prid2011(tmp_path)
    file = tmp_path / "splits_prid2011.json"
    split = {"train": ["person_0002", "person_0001"], "test": ["person_0009", "person_0006"]}
    file.write_text(json.dumps([{}, split]))
    dataset = load(here, Options(split=1, splits=str(file), any_counts=True))
    assert [s.person_id for s in dataset.query] == [6, 9]
    assert [(s.person_id, s.camera, s.paths[0].parent.name) for s in dataset.train] == [
        (0, 0, "person_0001"),
        (1, 0, "person_0002"),
        (0, 1, "person_0001"),
        (1, 1, "person_0002"),
    ]
    with pytest.raises(InputError, match=r"train people 2 \(expected 89\)"):
        load(here, Options(split=1, splits=str(file)))
    with pytest.raises(InputError, match="has no split 0"):
        load(here, Options(split=0, splits=str(file), any_counts=True))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be read"),
        ("[]", "has no split 0"),
        ("3", "has no split 0"),
        ('[{"train": ["person_0001"], "test": ["person_0001"]}]', "a person twice"),
        ('[{"train": [], "test": ["person_0001"]}]', "is empty"),
        ('[{"train": ["person_0001"], "test": ["person_0099"]}]', "person_0099: cannot be listed"),
        ('[{"train": ["person_0001"], "test": ["../cam_a"]}]', "not named like"),
    ],
)
def test_a_file_of_splits_that_cannot_be_used_says_why(
    content: str, words: str, tmp_path: Path
) -> None:
    here = miniatures.prid2011(tmp_path)
    file = tmp_path / "splits.json"
    file.write_text(content)
    with pytest.raises(InputError, match=words):
        load(here, Options(splits=str(file), any_counts=True))


def test_a_missing_file_of_splits_is_named(tmp_path: Path) -> None:
    here = miniatures.prid2011(tmp_path)
    with pytest.raises(InputError, match=r"nowhere\.json: cannot be read"):
        load(here, Options(splits=str(tmp_path / "nowhere.json"), any_counts=True))
