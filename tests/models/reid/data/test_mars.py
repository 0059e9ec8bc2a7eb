"""MARS: rows of MATLAB files into tracklets, and the two galleries."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from models.errors import InputError
from models.reid.data.mars import Options, load
from models.reid.data.samples import DISTRACTOR, counts
from tests.models.reid import miniatures

ANY = Options(any_counts=True)


def test_rows_become_tracklets_of_their_images_in_order(tmp_path: Path) -> None:
    dataset = load(miniatures.mars(tmp_path, n_train_people=3, n_test_people=2, n_frames=12), ANY)
    assert counts(dataset) == {
        "train people": 3,
        "train tracklets": 12,
        "query people": 2,
        "query tracklets": 4,
        "gallery people": 3,
        "gallery tracklets": 7,
        "junk tracklets": 1,
    }
    second = dataset.train[1]
    assert [path.name for path in second.paths] == [
        f"0001C1T0002F{k:03d}.jpg" for k in range(1, 13)
    ]
    assert second.paths[0].parent.name == "0001"
    assert (second.person_id, second.camera, second.frame) == (0, 0, -1)
    assert {s.person_id for s in dataset.gallery} == {DISTRACTOR, 2, 4}


def test_queries_stay_in_the_official_gallery_and_leave_the_other(tmp_path: Path) -> None:
    here = miniatures.mars(tmp_path)
    official, without = (
        load(here, Options(any_counts=True, gallery=rule)) for rule in ("official", "without_query")
    )
    assert official.query == without.query
    assert set(official.query) < set(official.gallery)
    assert set(without.gallery) == set(official.gallery) - set(official.query)

    def answered(query: tuple[object, ...], gallery: tuple[object, ...]) -> int:
        seen = {(s.person_id, s.camera) for s in gallery}  # type: ignore[attr-defined]
        return sum(any(p == q.person_id and c != q.camera for p, c in seen) for q in query)  # type: ignore[attr-defined]

    assert answered(official.query, official.gallery) == len(official.query)
    assert (
        answered(without.query, without.gallery) == len(without.query) - 2
    )  # as 140 of the real ones


def test_the_wrong_gallery_size_is_that_of_the_chosen_gallery(tmp_path: Path) -> None:
    here = miniatures.mars(tmp_path)
    with pytest.raises(InputError, match=r"\(expected 11310\)"):
        load(here, Options())
    with pytest.raises(InputError, match=r"\(expected 9330\)"):
        load(here, Options(gallery="without_query"))


def _rows(change: Callable[[np.ndarray], object]) -> Callable[[Path], None]:
    def damage(here: Path) -> None:
        file = here / "info" / "tracks_train_info.mat"
        rows = loadmat(file)["track_train_info"]
        change(rows)
        savemat(file, {"track_train_info": rows})

    return damage


def _query(values: list[int]) -> Callable[[Path], None]:
    return lambda here: savemat(
        here / "info" / "query_IDX.mat", {"query_IDX": np.array([values], np.uint16)}
    )


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            _rows(lambda rows: rows.__setitem__((0, 1), 9)),
            "tracklet of person 1 in camera 1 holds 0001C2T0001F001",
        ),
        (
            _rows(lambda rows: rows.__setitem__((0, 2), 9)),
            "tracklet of person 9 in camera 1 holds 0001C1",
        ),
        (
            _rows(lambda rows: rows.__setitem__((0, 3), 2)),
            "tracklet of person 1 in camera 2 holds 0001C1",
        ),
        (
            _rows(lambda rows: rows.__setitem__((0, 3), 7)),
            "column 4: must hold whole numbers from 1 to 6",
        ),
        (
            _rows(lambda rows: rows.__setitem__((0, 0), 0)),
            "column 1: must hold whole numbers from 1",
        ),
        (_rows(lambda rows: rows.__setitem__((2, 1), 2)), "row 3 ends before it begins"),
        (_query([0]), "query_IDX: must hold whole numbers from 1"),
        (_query([1000]), "query_IDX: must hold whole numbers from 1"),
        (
            lambda here: (here / "bbox_test/0002/0002C1T0001F002.jpg").unlink(),
            "0002C1T0001F002.jpg: is missing",
        ),
        (lambda here: (here / "info/test_name.txt").unlink(), "lacks info/test_name.txt"),
        (
            lambda here: savemat(
                here / "info/tracks_test_info.mat", {"track_test_info": np.ones((3, 3))}
            ),
            "must have 4 columns",
        ),
    ],
)
def test_files_that_contradict_each_other_are_named(
    damage: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    here = miniatures.mars(tmp_path)
    damage(here)
    with pytest.raises(InputError, match=words) as caught:
        load(here, ANY)
    assert str(here) in str(caught.value)
