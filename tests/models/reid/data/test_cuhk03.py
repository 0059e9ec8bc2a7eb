"""CUHK03: both protocols from unpacked images, and the unpacking."""

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from models.errors import InputError
from models.reid.data import cuhk03_archive
from models.reid.data.cuhk03 import ARCHIVE, Options, load
from models.reid.data.samples import counts
from tests.models.reid import miniatures


def _options(**values: Any) -> Options:
    return Options(any_counts=True, **values)


@pytest.mark.parametrize(("labels", "n_images"), [("labeled", 4), ("detected", 5)])
def test_the_new_protocol_has_one_query_for_each_person_and_view(
    labels: str, n_images: int, tmp_path: Path
) -> None:
    dataset = load(miniatures.cuhk03(tmp_path, (4, 2), 2), _options(labels=labels))
    assert counts(dataset) == {
        "train people": 4,
        "train images": 4 * n_images,
        "query people": 2,
        "query images": 4,
        "gallery people": 2,
        "gallery images": 2 * (n_images - 2),
        "junk images": 0,
    }
    assert [(s.person_id, s.camera) for s in dataset.query] == [(3, 0), (3, 1), (4, 0), (4, 1)]
    assert {path.parent.name for s in dataset.train for path in s.paths} == {f"images_{labels}"}


def test_in_the_classic_protocol_all_test_images_ask_and_answer(tmp_path: Path) -> None:
    here = miniatures.cuhk03(tmp_path, (4, 2), 2)
    first, last = (load(here, _options(protocol="classic", split=split)) for split in (0, 19))
    assert first.query == first.gallery
    assert {s.person_id for s in first.query} == {1001, 1002}
    assert {s.person_id for s in last.query} == {1004, 1001}
    assert first.n_train_people == 4
    assert {s.camera for s in first.query} == {0, 1}
    assert first.name != last.name


def test_classic_splits_that_torchreid_cached_serve_wherever_they_were_made(tmp_path: Path) -> None:
    here = miniatures.cuhk03(tmp_path)
    expected = load(here, _options(protocol="classic"))
    (here / "testsets.json").unlink()
    query = [
        [f"C:\\old\\images_labeled\\{path.name}", 0, 0] for s in expected.query for path in s.paths
    ]
    (here / "splits_classic_labeled.json").write_text(json.dumps([{"query": query}]))
    assert load(here, _options(protocol="classic")) == expected
    with pytest.raises(InputError, match="has no split 5"):
        load(here, _options(protocol="classic", split=5))
    with pytest.raises(InputError, match=r"testsets\.json: is missing.*cuhk03_archive"):
        load(here, _options(protocol="classic", labels="detected"))


def test_the_size_of_both_protocols_is_checked(tmp_path: Path) -> None:
    here = miniatures.cuhk03(tmp_path)
    with pytest.raises(InputError, match=r"train people 4 \(expected 1367\)"):
        load(here, Options(protocol="classic"))
    with pytest.raises(InputError, match=r"gallery images 6 \(expected 5332\)"):
        load(here, Options(labels="detected"))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    here = miniatures.cuhk03(tmp_path)
    (here / "images_labeled" / "1_004_1_01.png").unlink()
    with pytest.raises(InputError, match=r"1_004_1_01\.png: is missing"):
        load(here, _options())
    (here / "cuhk03_new_protocol_config_detected.mat").unlink()
    with pytest.raises(InputError, match=r"config_detected\.mat: is missing; get it"):
        load(here, _options(labels="detected"))
    (here / "testsets.json").write_text("[[[1]]]")
    with pytest.raises(InputError, match="has no split 0 that can be read"):
        load(here, _options(protocol="classic"))


def test_an_archive_that_is_not_unpacked_says_how(tmp_path: Path) -> None:
    file = tmp_path / "cuhk03" / ARCHIVE
    file.parent.mkdir(parents=True)
    file.touch()
    with pytest.raises(
        InputError, match=rf"python -m models\.reid\.data\.cuhk03_archive {tmp_path / 'cuhk03'}"
    ):
        load(tmp_path, Options())


def _contents() -> tuple[dict[Any, Any], dict[str, np.ndarray]]:
    """What cuhk-03.mat holds as h5py shows it, references being numbers, and the images that must
    come out, RGB.
    """
    rng = np.random.default_rng(0)
    archive: dict[Any, Any] = {}
    images = {}

    def put(value: np.ndarray) -> int:
        archive[len(archive) + 1000] = value
        return len(archive) + 999

    for labels in ("labeled", "detected"):
        pairs = []
        for pair, n in enumerate((2, 1), start=1):
            cells = np.zeros((10, n), np.int64)  # people x 10 in MATLAB
            for number in range(n):
                for i in range(10):
                    image = rng.integers(0, 256, (6 + i, 4, 3)).astype(np.uint8)
                    empty = (i + number) % 5 > 1
                    cells[i, number] = put(
                        np.zeros(2, np.uint64) if empty else image.transpose(2, 1, 0)
                    )
                    if not empty:
                        images[
                            f"images_{labels}/{pair}_{number + 1:03d}_{1 + i // 5}_{i + 1:02d}.png"
                        ] = image
            pairs.append(put(cells))
        archive[labels] = np.array([pairs])
    archive["testsets"] = np.array([[put(np.array([[1.0, 2.0], [2.0, 1.0]])) for _ in range(20)]])
    return archive, images


def _check(here: Path, images: dict[str, np.ndarray]) -> None:
    assert sorted(str(path.relative_to(here)) for path in here.rglob("*.png")) == sorted(images)
    for name, image in images.items():
        np.testing.assert_array_equal(cv2.imread(str(here / name))[:, :, ::-1], image)
    dataset = load(here, _options(protocol="classic", split=3))
    assert {s.person_id for s in dataset.query} == {1002, 2001}
    assert not list(here.glob("*.partial*"))


def test_unpacking_writes_the_images_and_splits_that_load_reads(tmp_path: Path) -> None:
    archive, images = _contents()
    (tmp_path / "images_labeled.partial").mkdir()
    (tmp_path / "images_labeled.partial" / "cut short.png").touch()
    cuhk03_archive.write(archive, tmp_path)
    _check(tmp_path, images)


def test_what_is_unpacked_is_not_unpacked_again(tmp_path: Path) -> None:
    archive, _ = _contents()
    cuhk03_archive.write(archive, tmp_path)
    mine = tmp_path / "images_labeled" / "1_001_1_01.png"
    mine.write_bytes(b"mine")
    cuhk03_archive.write(archive, tmp_path)
    assert mine.read_bytes() == b"mine"


def test_without_h5py_unpacking_is_one_line_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ARCHIVE).parent.mkdir()
    (tmp_path / ARCHIVE).touch()
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert cuhk03_archive.main([str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "pip install h5py" in told
    assert told.count("\n") == 1


def test_a_real_hdf5_file_is_unpacked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    h5py = pytest.importorskip(
        "h5py", reason="h5py is optional: it is needed to unpack CUHK03 and for Keras's files"
    )
    archive, images = _contents()
    (tmp_path / "cuhk03" / ARCHIVE).parent.mkdir(parents=True)
    with h5py.File(tmp_path / "cuhk03" / ARCHIVE, "w") as file:
        made: dict[int, Any] = {}
        for key, value in archive.items():
            if isinstance(key, int) and key not in made and value.dtype != np.int64:
                made[key] = file.create_dataset(f"#refs#/{key}", data=value).ref
        for key, value in archive.items():
            if key not in made:
                refs = np.array(
                    [[made[int(k)] for k in row] for row in value], dtype=h5py.ref_dtype
                )
                made[key] = file.create_dataset(
                    f"#refs#/{key}" if isinstance(key, int) else key, data=refs
                ).ref
    assert cuhk03_archive.main([str(tmp_path)]) == 0
    assert str(tmp_path / "cuhk03") in capsys.readouterr().out
    _check(tmp_path / "cuhk03", images)
    (tmp_path / "cuhk03" / ARCHIVE).write_bytes(b"no HDF5")
    assert cuhk03_archive.main([str(tmp_path)]) == 2
    assert "cannot be unpacked" in capsys.readouterr().err
