"""CUHK03 (Li et al., CVPR 2014): 1467 people, each in one of five pairs of cameras, boxes detected
or labelled by hand.

The release is one file, `cuhk03_release/cuhk-03.mat` (HDF5). `python -m
models.reid.data.cuhk03_archive FOLDER` unpacks it once, in the form that torchreid made usual, so
its folders are read as well: `images_labeled/` and `images_detected/` with
`1_001_1_01.png`: pair, person in the pair, view, image. Reading these needs no HDF5. A camera here
  is a view, 0 or 1.

Two protocols. `new` (Zhong et al., CVPR 2017): 767 people train, 700 test, one query each and
camera; by `cuhk03_new_protocol_config_{labeled,detected}.mat`, which its authors publish.
`classic`: 20 splits, 1367 people train, 100 test; every test image asks and every one answers (the
rule of the same camera keeps the view apart), and the score is the CMC with one gallery image for
each person drawn anew, the mean over draws and splits: `single gallery shot` in the evaluation.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from models import documents, files
from models.errors import InputError
from models.reid.data.layout import (
    OfficialOptions,
    checked,
    flat,
    locate,
    match,
    matrices,
    require,
    whole_numbers,
)
from models.reid.data.samples import Dataset, Frames, Sample, relabel

FOLDERS = ("cuhk03", "CUHK03")
ARCHIVE = "cuhk03_release/cuhk-03.mat"
TESTSETS = "testsets.json"
NAME = re.compile(r"([1-5])_(\d{3})_([12])_(\d{2})\.")
EXAMPLE = "CUHK03's 1_001_1_01.png"
N_CLASSIC_SPLITS = 20
CLASSIC_COUNTS = {"train people": 1367, "query people": 100, "gallery people": 100}
NEW_COUNTS = {"train people": 767, "query people": 700, "query images": 1400, "gallery people": 700}
IMAGES = {
    "labeled": {"train images": 7368, "gallery images": 5328},
    "detected": {"train images": 7365, "gallery images": 5332},
}


class Options(OfficialOptions):
    """Protocol and boxes."""

    protocol: Literal["new", "classic"] = "new"
    labels: Literal["labeled", "detected"] = "labeled"
    """Boxes drawn by hand, or by a detector (the harder ones)."""
    split: Annotated[int, Field(ge=0, lt=N_CLASSIC_SPLITS)] = 0
    """Of the classic protocol; the new one has a single split."""

    @property
    def n_splits(self) -> int:
        """Classic results are means over 20."""
        return N_CLASSIC_SPLITS if self.protocol == "classic" else 1


def load(root: Path, options: Options) -> Dataset:
    """Read CUHK03, unpacked, from its own folder or the one above; raises InputError where it is
    not as published.
    """
    folder = f"images_{options.labels}"
    for here in (root, *(root / name for name in FOLDERS)):
        if (here / ARCHIVE).is_file() and not (here / folder).is_dir():
            raise InputError(
                f"{here / ARCHIVE}: unpack it first: python -m models.reid.data.cuhk03_archive"
                f" {here}"
            )
    here = locate(root, FOLDERS, [folder])
    if options.protocol == "new":
        return checked(
            _new(here, here / folder, options.labels), options, NEW_COUNTS | IMAGES[options.labels]
        )
    return checked(_classic(here, here / folder, options), options, CLASSIC_COUNTS)


def _new(here: Path, folder: Path, labels: str) -> Dataset:
    file = here / f"cuhk03_new_protocol_config_{labels}.mat"
    if not file.is_file():
        raise InputError(
            f"{file}: is missing; get it from the authors of the protocol"
            " (zhunzhong07/person-re-ranking on GitHub)"
        )
    keys = ("filelist", "labels", "train_idx", "query_idx", "gallery_idx")
    listed, people, *roles = matrices(file, *keys)
    names = [_text(cell) for cell in listed.ravel()]
    ids = whole_numbers(people.ravel(), 0, 10**6, f"{file}: labels")
    if len(ids) != len(names):
        raise InputError(f"{file}: has {len(names)} names and {len(ids)} labels; get it again")
    chosen = []
    needed = []
    for key, numbers in zip(keys[2:], roles, strict=True):
        rows = whole_numbers(numbers.ravel(), 1, len(names), f"{file}: {key}") - 1
        chosen.append(rows)
        needed.append(Frames(folder, tuple(names[row] for row in rows)))
    require(needed)

    def samples(rows: NDArray[np.int64]) -> tuple[Sample, ...]:
        found = []
        for row in sorted(rows, key=names.__getitem__):
            _, camera, _ = _parse(folder, names[row])
            found.append(Sample(Frames(folder, (names[row],)), int(ids[row]), camera))
        return tuple(found)

    train, query, gallery = map(samples, chosen)
    return Dataset(f"cuhk03 new {labels}", here, relabel(train), query, gallery, False)


def _classic(here: Path, folder: Path, options: Options) -> Dataset:
    testset = _testset(here, options)
    samples, _ = flat(folder, _parse)
    train = [s for s in samples if s.person_id not in testset]
    test = tuple(s for s in samples if s.person_id in testset)
    return Dataset(
        f"cuhk03 classic {options.labels} split {options.split}",
        here,
        relabel(train),
        test,
        test,
        False,
    )


def _testset(here: Path, options: Options) -> set[int]:
    """Test people of a classic split, from our unpacking or else from torchreid's cached splits, by
    their file names.
    """
    ours, theirs = here / TESTSETS, here / f"splits_classic_{options.labels}.json"
    file = ours if ours.is_file() or not theirs.is_file() else theirs
    try:
        split: Any = documents.from_json(files.read_text(file))[options.split]
        if file == ours:
            return {_person(int(pair), int(number)) for pair, number in split}
        return {_parse(file, re.split(r"[/\\]", item[0])[-1])[0] for item in split["query"]}
    except OSError:
        raise InputError(
            f"{ours}: is missing: the classic splits are in cuhk-03.mat: python -m"
            f" models.reid.data.cuhk03_archive {here}"
        ) from None
    except InputError:
        raise
    except (ValueError, TypeError, KeyError, IndexError):
        raise InputError(
            f"{file}: has no split {options.split} that can be read; remove it and unpack again"
        ) from None


def _parse(folder: Path, name: str) -> tuple[int, int, int]:
    pair, number, view, _ = (int(part) for part in match(NAME, folder, name, EXAMPLE).groups())
    return _person(pair, number), view - 1, -1


def _person(pair: int, number: int) -> int:
    """One number for the person, 1001 to 5999, that still reads as pair and number in the pair."""
    return 1000 * pair + number


def _text(cell: Any) -> str:
    """A string of a MATLAB cell array, as scipy wraps it: an array of one string."""
    while not isinstance(cell, str) and getattr(cell, "size", 0) == 1:
        cell = cell.item()
    return str(cell)
