"""MSMT17 by its lists, in both versions."""

from pathlib import Path

import pytest

from models.errors import InputError
from models.reid.data.msmt17 import Options, load
from models.reid.data.samples import counts
from tests.models.reid import miniatures

ANY = Options(any_counts=True)


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_the_lists_say_who_is_in_which_role(version: str, tmp_path: Path) -> None:
    dataset = load(miniatures.msmt17(tmp_path, 3, 2, version), ANY)
    assert counts(dataset) == {
        "train people": 3,
        "train images": 18,
        "query people": 2,
        "query images": 4,
        "gallery people": 2,
        "gallery images": 8,
        "junk images": 0,
    }
    assert {s.camera for s in dataset.gallery} == {0, 14}
    assert {s.person_id for s in dataset.query} == {0, 1}  # 0 is an ordinary person here
    assert {path.parent.parent.name for s in dataset.train for path in s.paths} == {
        "train" if version == "V1" else "mask_train_v2"
    }


def test_the_validation_list_trains_when_asked(tmp_path: Path) -> None:
    here = miniatures.msmt17(tmp_path, 3, 2)
    dataset = load(here, Options(any_counts=True, with_validation=True))
    assert counts(dataset)["train images"] == 24
    assert counts(dataset)["train people"] == 3


def test_the_order_of_the_lines_changes_nothing(tmp_path: Path) -> None:
    here = miniatures.msmt17(tmp_path)
    expected = load(here, ANY)
    for file in here.glob("list_*.txt"):
        file.write_text("\n".join(reversed(file.read_text().splitlines())) + "\n")
    assert load(here, ANY) == expected


def test_a_listed_image_that_is_missing_is_named(tmp_path: Path) -> None:
    here = miniatures.msmt17(tmp_path)
    gone = sorted((here / "test" / "0001").iterdir())
    for path in gone:
        path.unlink()
    with pytest.raises(InputError, match=f"{gone[0].name}: is missing, and 1 more"):
        load(here, ANY)


@pytest.mark.parametrize(
    "line",
    ["0000/0000.jpg 0", "0000/0000_000_16_0303morning_0015_0.jpg 0", "0000/0000_000_01_x.jpg"],
)
def test_a_line_that_says_no_camera_or_person_is_refused(line: str, tmp_path: Path) -> None:
    here = miniatures.msmt17(tmp_path)
    (here / "list_query.txt").write_text(line + "\n")
    with pytest.raises(InputError, match=r"list_query\.txt"):
        load(here, ANY)


def test_lists_without_folders_of_images_say_which_are_expected(tmp_path: Path) -> None:
    here = miniatures.msmt17(tmp_path)
    (here / "train").rename(here / "training")
    with pytest.raises(InputError, match="mask_train_v2"):
        load(here, ANY)
