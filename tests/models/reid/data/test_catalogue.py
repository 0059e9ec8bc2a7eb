"""Every published data set: found, ordered, counted and refused alike."""

import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from models.errors import InputError
from models.reid.data import catalogue
from models.reid.data.samples import Dataset
from tests.models.reid.miniatures import BUILDERS

ANY = {"any_counts": True}
each = pytest.mark.parametrize("name", BUILDERS)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of all miniatures; nothing changes them."""
    return {name: build(tmp_path_factory.mktemp(name)) for name, build in BUILDERS.items()}


@each
def test_its_own_folder_and_the_one_above_are_the_same_data_set(
    built: dict[str, Path], name: str
) -> None:
    here = built[name]
    assert catalogue.load(name, here, ANY) == catalogue.load(name, str(here.parent), ANY)
    assert catalogue.load(name, here, ANY).root == here


@each
def test_training_people_are_numbered_without_holes_and_all_images_exist(
    built: dict[str, Path], name: str
) -> None:
    dataset = catalogue.load(name, built[name], ANY)
    assert sorted({s.person_id for s in dataset.train}) == list(range(dataset.n_train_people))
    for sample in (*dataset.train, *dataset.query, *dataset.gallery):
        assert sample.paths
        assert all(path.is_file() for path in sample.paths)
        assert sample.camera >= 0
    assert dataset.video == any(len(s.paths) > 1 for s in dataset.train)


@each
def test_queries_have_answers_in_other_cameras_and_train_shares_no_image_with_the_test(
    built: dict[str, Path], name: str
) -> None:
    dataset = catalogue.load(name, built[name], ANY)
    seen = {(s.person_id, s.camera) for s in dataset.gallery}
    for sample in dataset.query:
        assert any(
            person == sample.person_id and camera != sample.camera for person, camera in seen
        )
    assert not _paths(dataset, "train") & (_paths(dataset, "query") | _paths(dataset, "gallery"))


@each
def test_the_order_in_which_folders_are_listed_changes_nothing(
    built: dict[str, Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = catalogue.load(name, built[name], ANY)
    scandir = os.scandir

    @contextmanager
    def backwards(folder: Path) -> Iterator[list[Any]]:
        with scandir(folder) as entries:
            yield sorted(entries, key=lambda entry: entry.name, reverse=True)

    monkeypatch.setattr(os, "scandir", backwards)
    assert catalogue.load(name, built[name], ANY) == expected


@each
def test_a_part_of_a_data_set_is_refused_with_what_was_expected(
    built: dict[str, Path], name: str
) -> None:
    with pytest.raises(InputError, match="any_counts") as caught:
        catalogue.load(name, built[name], {})
    assert str(built[name]) in str(caught.value)
    assert "\n" not in str(caught.value)


@each
def test_a_folder_without_the_data_set_is_named_with_what_was_looked_for(
    built: dict[str, Path], name: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="looked for") as caught:
        catalogue.load(name, tmp_path, ANY)
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(InputError, match="is not a folder"):
        catalogue.load(name, tmp_path / "nowhere", ANY)


@each
def test_what_is_hidden_or_no_image_is_passed_over(
    built: dict[str, Path], name: str, fresh: Callable[[str], Path]
) -> None:
    here = fresh(name)
    for folder in [
        path for path in here.rglob("*") if path.is_dir() and any(path.glob("*.[jp][pn]g"))
    ]:
        (folder / "Thumbs.db").touch()
        (folder / "._0002_c1s1_000451_03.jpg").touch()
    loaded, expected = (catalogue.load(name, folder, ANY) for folder in (here, built[name]))
    for role in ("train", "query", "gallery"):
        assert [p.name for s in getattr(loaded, role) for p in s.paths] == [
            p.name for s in getattr(expected, role) for p in s.paths
        ]


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[str], Path]:
    """Builds a miniature that a test may change."""
    return lambda name: BUILDERS[name](tmp_path)


def test_a_data_set_travels_between_processes(built: dict[str, Path]) -> None:
    dataset = catalogue.load("mars", built["mars"], ANY)
    assert pickle.loads(pickle.dumps(dataset)) == dataset
    assert len({*dataset.query, *dataset.query}) == len(dataset.query)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="did you mean mars") as caught:
        catalogue.load("marz", ".", {})
    assert all(name in str(caught.value) for name in catalogue.CATALOGUE)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("mars", {"galery": "official"}, ("galery", "any_counts, gallery")),
        ("mars", {"gallery": "all"}, ("gallery", "official", "without_query")),
        ("ilids_vid", {"split": 10}, ("split", "10")),
        ("market1501", {"query": 3}, ("query", "single")),
        (
            "folder",
            {"kind": "tracklets", "names": "pair"},
            ("kind: tracklets needs names: folders",),
        ),
        ("folder", {"any_counts": True}, ("any_counts", "kind, names, use")),
    ],
)
def test_options_that_are_unknown_or_out_of_range_say_what_is_valid(
    name: str, options: dict[str, Any], words: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        catalogue.load(name, tmp_path, options)
    assert all(word in str(caught.value) for word in ("data.options", *words))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("market1501", {}, 1),
        ("ilids_vid", {}, 10),
        ("prid2011", {"split": 3}, 10),
        ("cuhk03", {}, 1),
        ("cuhk03", {"protocol": "classic"}, 20),
    ],
)
def test_the_splits_of_a_published_result_are_counted(
    name: str, options: dict[str, Any], expected: int
) -> None:
    assert catalogue.n_splits(name, options) == expected


def test_the_table_has_a_row_for_each_data_set() -> None:
    rows = catalogue.table().splitlines()
    assert len(rows) == 2 + len(catalogue.CATALOGUE)
    assert len({row.count("|") for row in rows}) == 1
    assert all(f"`{name}`" in row for name, row in zip(catalogue.CATALOGUE, rows[2:], strict=True))


def test_the_page_tells_of_each_data_set_where_to_get_it_and_its_options() -> None:
    blocks = catalogue.page().split("\n\n")[1:]
    assert [block.split()[0] for block in blocks] == list(catalogue.CATALOGUE)
    for block, entry in zip(blocks, catalogue.CATALOGUE.values(), strict=True):
        assert entry.where and entry.where in block
        for key in entry.options.model_fields:
            assert f"\n  {key}=" in block
    assert "gallery=official   one of official, without_query" in blocks[4]


def _paths(dataset: Dataset, role: str) -> set[Path]:
    return {path for sample in getattr(dataset, role) for path in sample.paths}
