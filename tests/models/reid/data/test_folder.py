"""A user's own people, in folders or by name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import InputError
from models.reid.data.folder import Options, load
from models.reid.data.samples import Sample, counts
from tests.models.reid import miniatures


def _who(samples: tuple[Sample, ...]) -> list[tuple[int, int]]:
    return [(s.person_id, s.camera) for s in samples]


def test_every_image_of_a_tree_is_a_sample_that_trains(tmp_path: Path) -> None:
    dataset = load(miniatures.folder(tmp_path, n_people=11, n_cameras=2, n_frames=2), Options())
    assert _who(dataset.train) == [
        (p, c) for p in range(11) for c in (0, 1) for _ in range(2)
    ]  # person 10 after person 9
    assert not dataset.query
    assert not dataset.gallery
    assert not dataset.video
    assert dataset.train[0].frame == 95


def test_a_tracklet_is_all_frames_of_a_camera_folder_in_the_order_of_their_numbers(
    tmp_path: Path,
) -> None:
    dataset = load(miniatures.folder(tmp_path, n_people=2, n_frames=3), Options(kind="tracklets"))
    assert dataset.video
    assert _who(dataset.train) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [path.name for path in dataset.train[0].paths] == ["95.jpg", "100.jpg", "105.jpg"]
    assert dataset.train[0].frame == 95


def test_a_person_who_came_back_has_a_tracklet_for_each_visit(tmp_path: Path) -> None:
    miniatures.folder(tmp_path, n_people=2, n_cameras=1, n_frames=2)
    for visit in ("second", "third"):
        miniatures.write(
            tmp_path / "person 1" / "door 1" / visit / "7.jpg", 0, 0, np.random.default_rng(0)
        )
    dataset = load(tmp_path, Options(kind="tracklets"))
    assert [(s.person_id, len(s.paths)) for s in dataset.train] == [(0, 2), (0, 1), (0, 1), (1, 2)]


@pytest.mark.parametrize("kind", ["images", "tracklets"])
def test_a_tree_to_test_with_asks_with_each_persons_first_camera(kind: str, tmp_path: Path) -> None:
    dataset = load(
        miniatures.folder(tmp_path, n_people=3, n_cameras=3, n_frames=2),
        Options(kind=kind, use="test"),
    )
    assert not dataset.train
    assert {s.camera for s in dataset.query} == {0}
    assert {s.camera for s in dataset.gallery} == {1, 2}
    assert {s.person_id for s in dataset.query} == {1, 2, 3}


def test_one_name_is_one_person_and_one_camera_in_all_roles(tmp_path: Path) -> None:
    miniatures.folder(tmp_path / "train", n_people=3, n_cameras=1)
    miniatures.folder(tmp_path / "query", n_people=2, n_cameras=2, first_person=4)
    miniatures.folder(tmp_path / "gallery", n_people=3, n_cameras=3, first_person=3)
    dataset = load(tmp_path, Options(kind="tracklets"))
    assert dataset.n_train_people == 3
    assert _who(dataset.query) == [(p, c) for p in (5, 6) for c in (0, 1)]
    assert _who(dataset.gallery) == [(p, c) for p in (4, 5, 6) for c in (0, 1, 2)]


def test_train_and_val_are_enough(tmp_path: Path) -> None:
    miniatures.folder(tmp_path / "train", n_people=3)
    miniatures.folder(tmp_path / "val", n_people=2, first_person=3)
    dataset = load(tmp_path, Options())
    assert counts(dataset)["train people"] == 3
    assert {s.person_id for s in dataset.query} == {s.person_id for s in dataset.gallery} == {4, 5}


@pytest.mark.parametrize(
    ("stem", "frame"),
    [
        ("000123", 123),
        ("0002_c1_f0046985", 46985),
        ("crop_03", -1),
        ("a", -1),
        ("0002_c1s1_000451_03", -1),
    ],
)
def test_only_a_number_alone_or_after_f_is_a_time(stem: str, frame: int, tmp_path: Path) -> None:
    miniatures.write(tmp_path / "ann" / "hall" / f"{stem}.png", 0, 0, np.random.default_rng(0))
    assert [s.frame for s in load(tmp_path, Options()).train] == [frame]


def test_names_say_person_and_camera_and_mark_junk(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in (
        "0007_c2s1_000451_03",
        "0007_c10_f0000600",
        "-1_c1s1_000001_00",
        "0000_c1_f0000000",
    ):
        miniatures.write(tmp_path / f"{name}.jpg", 0, 0, rng)
    dataset = load(tmp_path, Options(names="market"))
    assert [(s.person_id, s.camera, s.frame) for s in dataset.train] == [
        (0, 0, 0),
        (1, 1, -1),
        (1, 9, 600),
    ]
    assert dataset.n_junk == 1


def test_pairs_by_name_ask_with_camera_a(tmp_path: Path) -> None:
    dataset = load(miniatures.pair_folder(tmp_path, 4, 3, 2), Options(names="pair"))
    assert _who(dataset.train) == [(p, c) for p in range(4) for c in (0, 0, 1, 1)]
    assert _who(dataset.query) == [(p, 0) for p in range(3) for _ in range(2)]
    assert _who(dataset.gallery) == [(p, 1) for p in range(3) for _ in range(2)]


def _tree(*names: str) -> Any:
    def make(root: Path) -> None:
        for name in names:
            miniatures.write(root / name, 0, 0, np.random.default_rng(0))

    return make


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (_tree("ann.jpg"), {}, "has no person/camera folders"),
        (_tree("ann/hall/1/a.jpg"), {}, "hall: has no images"),
        (
            _tree("query/ann/hall/1.jpg"),
            {},
            "has query; to test with, it takes val, or query and gallery",
        ),
        (
            _tree("val/a/b/1.jpg", "query/a/b/1.jpg", "gallery/a/c/1.jpg"),
            {},
            "has val, query, gallery",
        ),
        (_tree("ann/hall/1.jpg"), {"use": "test"}, "nobody to test with is seen by two cameras"),
        (
            _tree("train/ann/hall/1.jpg", "val/bob/hall/1.jpg"),
            {},
            "nobody to test with is seen by two cameras",
        ),
        (_tree("ann.jpg"), {"names": "market"}, r"ann\.jpg is not named like 0002_c1"),
        (_tree("0001_c0_f0.jpg"), {"names": "market"}, "cameras count from 1"),
        (_tree("0001_11.jpg"), {"names": "pair"}, "00-04 for camera A"),
        (_tree("0001_c1s1_000451_03.jpg"), {"names": "pair"}, "not named like 0002_07"),
        (_tree(), {"names": "pair"}, "has no images"),
    ],
)
def test_what_is_laid_out_otherwise_says_how_it_should_be(
    make: Any, options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    make(tmp_path)
    with pytest.raises(InputError, match=words) as caught:
        load(tmp_path, Options(**options))
    assert str(tmp_path) in str(caught.value)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: is not a folder"):
        load(tmp_path / "nowhere", Options())


def test_the_real_pairs_load_with_all_their_people(shared_data: Path) -> None:
    dataset = load(shared_data / "reid" / "cuhk03-pair1-labeled", Options(names="pair"))
    assert counts(dataset) == {
        "train people": 743,
        "train images": 7239,
        "query people": 100,
        "query images": 451,
        "gallery people": 100,
        "gallery images": 487,
        "junk images": 0,
    }
