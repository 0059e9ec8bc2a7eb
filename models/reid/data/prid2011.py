"""PRID 2011, multi-shot (Hirzer et al., SCIA 2011): the 178 people with more than 27 frames in both
cameras, 10 splits into halves.

`multi_shot/cam_a|cam_b/person_NNNN/*.png`; 200 people are in both cameras, and the custom since
Wang et al. (ECCV 2014) is to use the 178 listed here. Camera A asks, camera B answers. The
published splits are a file of their own (`splits_prid2011.json`, a list of 10 {"train": [names],
"test": [names]}) that is not part of the data set and whose link is dead: option `splits` reads it.
Without it the splits are derived from a hash of the names, the same on every machine, but other
than the published ones.
"""

import hashlib
import re
from pathlib import Path
from typing import Any

from models import documents, files
from models.errors import InputError
from models.reid.data.layout import SplitOptions, halves, images, locate, match
from models.reid.data.samples import Dataset, Frames, Sample

FOLDERS = ("prid_2011", "prid2011/prid_2011", "prid2011", "PRID")
CAMERAS = ("multi_shot/cam_a", "multi_shot/cam_b")
NAME = re.compile(r"person_(\d{4})$")
TOO_SHORT = {
    6,
    19,
    31,
    52,
    57,
    62,
    71,
    94,
    106,
    120,
    136,
    138,
    139,
    142,
    145,
    158,
    159,
    166,
    183,
    190,
    199,
    200,
}
"""Of people 1 to 200, who are in both cameras, these have too few frames in one of them."""
PEOPLE = tuple(f"person_{number:04d}" for number in range(1, 201) if number not in TOO_SHORT)
PEOPLE_EACH = 89


class Options(SplitOptions):
    """Which split, and whose."""

    splits: str = ""
    """A file of splits; "" derives them."""


def load(root: Path, options: Options) -> Dataset:
    """Read one split of PRID 2011 from its own folder or one above; raises InputError where it is
    not as published.
    """
    here = locate(root, FOLDERS, CAMERAS)
    if options.splits:
        train, test = _read(Path(options.splits).expanduser(), options.split)
    else:
        present = [
            name for name in PEOPLE if all((here / camera / name).is_dir() for camera in CAMERAS)
        ]
        if len(present) < len(PEOPLE) and not options.any_counts:
            absent = min({*PEOPLE} - {*present})
            raise InputError(
                f"{here / 'multi_shot'}: lacks {absent} in cam_a or cam_b; unpack it again, or set"
                " data.options.any_counts"
            )
        train, test = derive(present, options.split)
    return halves("prid2011", here, options, train, test, _tracklet, PEOPLE_EACH)


def derive(people: list[str], split: int) -> tuple[list[str], list[str]]:
    """Names to train and to test with, sorted: halves of the people in the order of the SHA-256 of
    "prid2011/split/name".
    """
    order = sorted(
        people, key=lambda name: hashlib.sha256(f"prid2011/{split}/{name}".encode()).digest()
    )
    half = len(order) // 2
    return sorted(order[half:]), sorted(order[:half])


def _read(file: Path, split: int) -> tuple[list[str], list[str]]:
    try:
        splits: Any = documents.from_json(files.read_text(file))
        train, test = (
            sorted(str(name) for name in splits[split][half]) for half in ("train", "test")
        )
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read ({error}); check data.options.splits") from None
    except (KeyError, IndexError, TypeError):
        raise InputError(
            f'{file}: has no split {split} of the form {{"train": [names], "test": [names]}}'
        ) from None
    if len({*train, *test}) != len(train) + len(test) or not train or not test:
        raise InputError(
            f"{file}: split {split} is empty or has a person twice; check data.options.splits"
        )
    return train, test


def _tracklet(here: Path, camera: int, person: str) -> Sample:
    folder = here / CAMERAS[camera] / person
    number = int(match(NAME, folder.parent, person, "PRID 2011's person_0001")[1])
    return Sample(Frames(folder, tuple(images(folder))), number, camera)
