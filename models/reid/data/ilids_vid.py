"""iLIDS-VID (Wang et al., ECCV 2014): 300 people, one tracklet each in two cameras of an airport,
10 splits into halves.

`sequences/cam1|cam2/personNNN/*.png`. A row of `ls_set` (10 x 300) is a permutation of positions in
the **sorted** list of person folders, which are not person numbers; its first half tests and its
second half trains. Camera 1 asks, camera 2 answers, so every query has one answer. Splits differ
much: report mean and deviation over all 10.
"""

import re
from pathlib import Path

import numpy as np

from models.errors import InputError
from models.reid.data.layout import (
    N_SPLITS,
    SplitOptions,
    halves,
    images,
    locate,
    match,
    matrices,
    subfolders,
    whole_numbers,
)
from models.reid.data.samples import Dataset, Frames, Sample

FOLDERS = ("ilids-vid", "iLIDS-VID", "ilids_vid")
CAMERAS = ("i-LIDS-VID/sequences/cam1", "i-LIDS-VID/sequences/cam2")
SPLITS = "train-test people splits/train_test_splits_ilidsvid.mat"
NAME = re.compile(r"person(\d+)$")
PEOPLE_EACH = 150

Options = SplitOptions


def load(root: Path, options: Options) -> Dataset:
    """Read one split of iLIDS-VID from its own folder or the one above; raises InputError where it
    is not as published.
    """
    here = locate(root, FOLDERS, [*CAMERAS, SPLITS])
    people, others = (subfolders(here / camera) for camera in CAMERAS)
    if different := sorted({*people} ^ {*others}):
        raise InputError(
            f"{here / 'i-LIDS-VID/sequences'}: {different[0]} is not in both cameras; unpack the"
            " data set again"
        )
    order = _order(here / SPLITS, options.split, len(people))
    half = len(people) // 2
    test, train = (sorted(people[i] for i in part) for part in (order[:half], order[half:]))
    return halves("ilids_vid", here, options, train, test, _tracklet, PEOPLE_EACH)


def _order(file: Path, split: int, n_people: int) -> list[int]:
    (values,) = matrices(file, "ls_set")
    if values.ndim != 2 or values.shape[0] < N_SPLITS or values.shape[1] != n_people:
        raise InputError(
            f"{file}: ls_set is {values.shape}, expected ({N_SPLITS}, {n_people}) for {n_people}"
            " folders of people"
        )
    row = whole_numbers(values[split], 1, n_people, f"{file}: ls_set") - 1
    if len(np.unique(row)) != n_people:
        raise InputError(
            f"{file}: row {split} of ls_set names a person twice; unpack the data set again"
        )
    return [int(i) for i in row]


def _tracklet(here: Path, camera: int, person: str) -> Sample:
    folder = here / CAMERAS[camera] / person
    number = int(match(NAME, folder.parent, person, "iLIDS-VID's person001")[1])
    return Sample(Frames(folder, tuple(images(folder))), number, camera)
