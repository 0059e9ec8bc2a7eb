"""DukeMTMC-VideoReID: tracklets by folder, frames by number, in both ways of naming."""

from pathlib import Path

import numpy as np
import pytest

from models.errors import InputError
from models.reid.data.dukemtmc_video import Options, load
from models.reid.data.samples import counts
from tests.models.reid import miniatures

ANY = Options(any_counts=True)


def test_the_gallery_holds_all_tracklets_of_the_test_and_distractors(tmp_path: Path) -> None:
    dataset = load(miniatures.dukemtmc_video(tmp_path, 3, 2), ANY)
    assert counts(dataset) == {
        "train people": 3,
        "train tracklets": 6,
        "query people": 2,
        "query tracklets": 2,
        "gallery people": 3,
        "gallery tracklets": 6,
        "junk tracklets": 0,
    }
    assert {s.camera for s in dataset.gallery} == {1, 5}
    assert dataset.query[0].frame == 30823 + 300


@pytest.mark.parametrize("form", ["0001C6F{:04d}X{}.jpg", "0001_C6_F{:04d}_X{}.jpg"])
def test_frames_are_in_the_order_of_their_numbers_in_both_forms(form: str, tmp_path: Path) -> None:
    here = miniatures.dukemtmc_video(tmp_path, 1, 1)
    folder = here / "train" / "0001" / "0006"
    for path in folder.iterdir():
        path.unlink()
    for k in (10002, 9, 110):
        miniatures.write(folder / form.format(k, 30000 + k), 0, 5, np.random.default_rng(0))
    sample = load(here, ANY).train[-1]
    assert [path.name for path in sample.paths] == [
        form.format(k, 30000 + k) for k in (9, 110, 10002)
    ]
    assert (sample.camera, sample.frame) == (5, 30009)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("0002_C2_F0009_X30823.jpg", "holds person 1 camera 2, person 2 camera 2"),
        ("0001_C3_F0009_X30823.jpg", "holds person 1 camera 2, person 1 camera 3"),
        ("someone.jpg", "someone.jpg is not named like"),
    ],
)
def test_a_frame_of_someone_else_is_refused(name: str, words: str, tmp_path: Path) -> None:
    here = miniatures.dukemtmc_video(tmp_path)
    miniatures.write(here / "train" / "0001" / "0002" / name, 0, 1, np.random.default_rng(0))
    with pytest.raises(InputError, match=words) as caught:
        load(here, ANY)
    assert str(here / "train" / "0001" / "0002") in str(caught.value)


def test_a_tracklet_in_the_folder_of_another_person_is_refused(tmp_path: Path) -> None:
    here = miniatures.dukemtmc_video(tmp_path)
    (here / "train" / "0001").rename(here / "train" / "0100")
    with pytest.raises(InputError, match="is not of person 0100"):
        load(here, ANY)


def test_a_role_without_people_is_named(tmp_path: Path) -> None:
    here = miniatures.dukemtmc_video(tmp_path)
    (here / "query").rename(here / "queries")
    (here / "query").mkdir()
    with pytest.raises(InputError, match="query: has no folders of people"):
        load(here, ANY)
