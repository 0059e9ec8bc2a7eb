"""DukeMTMC-reID's names and clocks."""

from pathlib import Path

import numpy as np
import pytest

from models.errors import InputError
from models.reid.data.dukemtmc import STARTS, Options, load
from models.reid.data.samples import counts
from tests.models.reid import miniatures


def test_the_miniature_loads_with_distractors_that_have_ids(tmp_path: Path) -> None:
    dataset = load(
        miniatures.dukemtmc(tmp_path, n_train_people=3, n_test_people=2, n_cameras=2),
        Options(any_counts=True),
    )
    assert counts(dataset) == {
        "train people": 3,
        "train images": 12,
        "query people": 2,
        "query images": 4,
        "gallery people": 3,
        "gallery images": 9,
        "junk images": 0,
    }
    assert dataset.gallery[-1].person_id == 7000
    assert dataset.query[0].frame == 46000 + 40 * 3


def test_frames_are_the_cameras_own_or_on_the_common_clock(tmp_path: Path) -> None:
    here = miniatures.dukemtmc(tmp_path)
    own, common = (
        load(here, Options(any_counts=True, clock=clock)) for clock in ("camera", "common")
    )
    for a, b in zip(own.train + own.gallery, common.train + common.gallery, strict=True):
        assert b.frame == a.frame + STARTS[a.camera] - 1
    assert {s.camera for s in own.gallery} == {0, 1, 2, 7}


@pytest.mark.parametrize(
    "name", ["0002_c1s1_000451_03.jpg", "0002_c9_f0046985.jpg", "0002_c0_f0046985.jpg"]
)
def test_an_image_of_another_data_set_is_named(name: str, tmp_path: Path) -> None:
    here = miniatures.dukemtmc(tmp_path)
    miniatures.write(here / "bounding_box_train" / name, 0, 0, np.random.default_rng(0))
    with pytest.raises(InputError, match=f"bounding_box_train.*{name}"):
        load(here, Options(any_counts=True))
