"""DukeMTMC-VideoReID (Wu et al., CVPR 2018): 1404 people to find, 408 distractors, 8 cameras,
tracklets cut from the annotation.

`train|query|gallery/<person>/<tracklet>/` hold `0001C6F0099X30823.jpg` or
`0001_C6_F0099_X30823.jpg`: person, camera, frame of the tracklet, frame of the camera. The gallery
is the whole test set, its 2,636 tracklets include the 702 that ask. The authors of DukeMTMC
withdrew the data in 2019; whoever holds a copy must judge whether to use it.
"""

import re
from pathlib import Path

from models.errors import InputError
from models.reid.data.layout import OfficialOptions, checked, images, locate, match, one, subfolders
from models.reid.data.samples import Dataset, Frames, Sample, relabel

FOLDERS = ("DukeMTMC-VideoReID", "dukemtmc-vidreid/DukeMTMC-VideoReID", "dukemtmc-vidreid")
NAME = re.compile(r"(\d+)_?C(\d)_?F(\d+)_?X(\d+)")
EXAMPLE = "DukeMTMC-VideoReID's 0001_C6_F0099_X30823.jpg"
N_CAMERAS = 8
COUNTS = {
    "train people": 702,
    "train tracklets": 2196,
    "query people": 702,
    "query tracklets": 702,
    "gallery people": 1110,
    "gallery tracklets": 2636,
}


class Options(OfficialOptions):
    """No variants."""


def load(root: Path, options: Options) -> Dataset:
    """Read DukeMTMC-VideoReID from its own folder or the one above; raises InputError where it is
    not as published.
    """
    here = locate(root, FOLDERS, ["train", "query", "gallery"])
    train, query, gallery = (_tracklets(here / role) for role in ("train", "query", "gallery"))
    return checked(
        Dataset("dukemtmc_video", here, relabel(train), query, gallery, True), options, COUNTS
    )


def _tracklets(folder: Path) -> tuple[Sample, ...]:
    people = subfolders(folder)
    if not people:
        raise InputError(f"{folder}: has no folders of people; unpack the data set again")
    found = []
    for person in people:
        for tracklet in subfolders(folder / person):
            found.append(_tracklet(folder / person / tracklet, person))
    return tuple(found)


def _tracklet(folder: Path, person: str) -> Sample:
    frames = []
    for name in images(folder):
        fields = match(NAME, folder, name, EXAMPLE).groups()
        frames.append((tuple(map(int, fields)), name))
    frames.sort()
    number, camera = one(folder, ((values[0], values[1] - 1) for values, _ in frames))
    first_values, first_name = frames[0]
    if not person.isdigit() or int(person) != number or not 0 <= camera < N_CAMERAS:
        raise InputError(
            f"{folder}: {first_name} is not of person {person} in cameras 1 to {N_CAMERAS}; check"
            " data.root"
        )
    names = tuple(name for _, name in frames)
    return Sample(Frames(folder, names), number, camera, first_values[3])
