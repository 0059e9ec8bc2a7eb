"""MSMT17 (Wei et al., CVPR 2018): 4101 people, 15 cameras, by list files; V1, and V2 with faces
made unrecognisable.

`list_train.txt`, `list_val.txt` (the same people as train), `list_query.txt` and `list_gallery.txt`
hold lines such as
`0000/0000_000_01_0303morning_0015_0.jpg 0`: an image below the train or test folder, whose third
  field is the camera, and the
person. Person 0 is an ordinary one. Compared are the counts that the paper gives: 32,621 training
images of 1,041 people, 11,659 queries, 82,161 gallery images, 3,060 people in the test.
"""

import re
from pathlib import Path

from models.errors import InputError
from models.reid.data.layout import OfficialOptions, checked, locate, match, require, text_lines
from models.reid.data.samples import Dataset, Frames, Sample, check_counts, relabel

FOLDERS = ("MSMT17_V1", "MSMT17_V2", "msmt17/MSMT17_V1", "msmt17/MSMT17_V2", "MSMT17", "msmt17")
LISTS = ("list_train.txt", "list_val.txt", "list_query.txt", "list_gallery.txt")
IMAGES = (("train", "test"), ("mask_train_v2", "mask_test_v2"))
LINE = re.compile(r"(\S+)/([^/\s_]+_[^/\s_]+_(\d+)_\S+)\s+(\d+)\s*$")
EXAMPLE = "MSMT17's 0000/0000_000_01_0303morning_0015_0.jpg 0"
N_CAMERAS = 15
COUNTS = {
    "train people": 1041,
    "query people": 3060,
    "query images": 11659,
    "gallery people": 3060,
    "gallery images": 82161,
}
N_TRAIN_AND_VALIDATION = 32621


class Options(OfficialOptions):
    """Variants of the protocol."""

    with_validation: bool = False
    """Train on list_val as well. Published results do not, mostly."""


def load(root: Path, options: Options) -> Dataset:
    """Read MSMT17 from its own folder or the one above; raises InputError where it is not as
    published.
    """
    here = locate(root, FOLDERS, LISTS)
    pairs = [pair for pair in IMAGES if all((here / name).is_dir() for name in pair)]
    if not pairs:
        raise InputError(
            f"{here}: lacks the folders of images, train and test or mask_train_v2 and"
            " mask_test_v2; unpack it again"
        )
    train_folder, test_folder = (here / name for name in pairs[0])
    train, validation = (_samples(train_folder, here / name) for name in LISTS[:2])
    query, gallery = (_samples(test_folder, here / name) for name in LISTS[2:])
    if not options.any_counts:
        check_counts(
            here,
            {"train and validation images": len(train + validation)},
            {"train and validation images": N_TRAIN_AND_VALIDATION},
        )
    train += validation * options.with_validation
    return checked(Dataset("msmt17", here, relabel(train), query, gallery, False), options, COUNTS)


def _samples(folder: Path, file: Path) -> tuple[Sample, ...]:
    """What a list names, in the order of the names, wherever its lines stand."""
    samples, listed = [], []
    folders: dict[str, Path] = {}
    for inner, name, camera, person in sorted(
        match(LINE, file, line, EXAMPLE).groups() for line in text_lines(file)
    ):
        if not 1 <= int(camera) <= N_CAMERAS:
            raise InputError(
                f"{file}: {name}: MSMT17 has cameras 1 to {N_CAMERAS}; check data.name and"
                " data.root"
            )
        if inner not in folders:
            folders[inner] = folder / inner
        frames = Frames(folders[inner], (name,))
        listed.append(frames)
        samples.append(Sample(frames, int(person), int(camera) - 1))
    require(listed)
    return tuple(samples)
