"""Market-1501's layout, clock, junk, distractors and both kinds of query."""

import time
from pathlib import Path

import numpy as np
import pytest

from models.errors import InputError
from models.reid.data.market1501 import COUNTS, STARTS, Options, load
from models.reid.data.samples import DISTRACTOR, counts, hold_out
from tests.models.reid import miniatures

ANY = Options(any_counts=True)


def test_the_miniature_loads_with_its_junk_dropped_and_its_distractors_kept(tmp_path: Path) -> None:
    dataset = load(
        miniatures.market(
            tmp_path, n_train_people=3, n_test_people=2, n_cameras=2, n_distractors=2, n_junk=3
        ),
        ANY,
    )
    assert counts(dataset) == {
        "train people": 3,
        "train images": 12,
        "query people": 2,
        "query images": 4,
        "gallery people": 3,
        "gallery images": 10,
        "junk images": 3,
    }
    assert {s.person_id for s in dataset.query} == {1, 3}
    assert sum(s.person_id == DISTRACTOR for s in dataset.gallery) == 2
    assert {s.camera for s in dataset.train} == {0, 1}
    assert [s.paths[0].name for s in dataset.query] == sorted(
        s.paths[0].name for s in dataset.query
    )


@pytest.mark.parametrize(
    ("name", "camera", "frame"),
    [
        ("0002_c1s1_000451_03.jpg", 0, 451),
        ("0002_c1s2_000451_03.jpg", 0, 72681 + 451),
        ("0002_c6s4_030952_01.jpg", 5, 87551 + 131268 + 95817 + 30952),
        ("0002_c3s3_000001_01.jpg", 2, 161708 + 161769 + 1),
        ("0002_c4s6_000000_01.jpg.jpg", 3, 72107 + 72373 + 74810 + 74541 + 74910),
    ],
)
def test_frames_of_all_sequences_of_a_camera_are_on_one_clock(
    name: str, camera: int, frame: int, tmp_path: Path
) -> None:
    here = miniatures.market(tmp_path, n_train_people=0, n_cameras=1)
    miniatures.write(here / "bounding_box_train" / name, 2, camera, np.random.default_rng(0))
    (sample,) = load(here, ANY).train
    assert (sample.camera, sample.frame) == (camera, frame)


def test_a_cameras_first_sequence_starts_its_clock() -> None:
    assert [len(starts) for starts in STARTS] == [6, 3, 3, 6, 3, 4]
    assert all(starts[0] == 0 for starts in STARTS)


def test_a_query_of_all_images_has_those_of_its_person_and_camera(tmp_path: Path) -> None:
    here = miniatures.market(tmp_path, n_images=2)
    single, multi = (
        load(here, Options(any_counts=True, query=query)) for query in ("single", "multi")
    )
    assert [(s.person_id, s.camera, s.frame) for s in multi.query] == [
        (s.person_id, s.camera, s.frame) for s in single.query
    ]
    for sample in multi.query:
        assert len(sample.paths) == 3
        assert {path.parent.name for path in sample.paths} == {"gt_bbox"}
        assert {path.name[:7] for path in sample.paths} == {
            f"{sample.person_id:04d}_c{sample.camera + 1}"
        }


def test_more_distractors_join_the_gallery_when_asked(tmp_path: Path) -> None:
    here = miniatures.market(tmp_path, n_distractors=2)
    plain, more = (
        load(here, Options(any_counts=True, distractors=distractors))
        for distractors in (False, True)
    )
    assert len(more.gallery) == len(plain.gallery) + 2
    assert more.gallery[-1].paths[0].parent.name == "images"


@pytest.mark.parametrize(
    "name",
    ["person.jpg", "0005_c2_f0046985.jpg", "0002_c7s1_000451_03.jpg", "0002_c2s4_000451_03.jpg"],
)
def test_an_image_that_is_none_of_market_is_named(name: str, tmp_path: Path) -> None:
    here = miniatures.market(tmp_path)
    miniatures.write(here / "query" / name, 0, 0, np.random.default_rng(0))
    with pytest.raises(InputError, match=name) as caught:
        load(here, ANY)
    assert "query" in str(caught.value)


def test_a_missing_and_an_empty_folder_are_named(tmp_path: Path) -> None:
    here = miniatures.market(tmp_path)
    (here / "query").rename(here / "queries")
    with pytest.raises(InputError, match=r"Market-1501-v15\.09\.15: lacks query"):
        load(tmp_path, ANY)
    (here / "query").mkdir()
    with pytest.raises(InputError, match="query: has no images"):
        load(tmp_path, ANY)
    (here / "gt_bbox").rename(here / "drawn")
    with pytest.raises(InputError, match="lacks gt_bbox"):
        load(tmp_path, Options(any_counts=True, query="multi"))


def test_the_real_data_set_is_complete_and_loads_fast(shared_data: Path) -> None:
    started = time.process_time()
    dataset = load(shared_data / "reid", Options())
    assert time.process_time() - started < 4  # 0.6 s on an idle core
    assert counts(dataset) == COUNTS | {"gallery people": 751}
    assert max(s.frame for s in dataset.train) == 427946
    assert {s.camera for s in dataset.train} == set(range(6))
    held = hold_out(dataset, 0.1, 1)
    assert held.n_train_people == 676
    assert len({s.person_id for s in held.query}) == 75


def test_the_real_data_set_short_of_one_image_is_refused(shared_data: Path, tmp_path: Path) -> None:
    real = shared_data / "reid" / "Market-1501-v15.09.15"
    for name in ("bounding_box_train", "bounding_box_test"):
        (tmp_path / name).symlink_to(real / name)
    (tmp_path / "query").mkdir()
    for path in sorted((real / "query").iterdir())[1:]:
        (tmp_path / "query" / path.name).symlink_to(path)
    with pytest.raises(InputError, match=r"query images 3367 \(expected 3368\)"):
        load(tmp_path, Options())
