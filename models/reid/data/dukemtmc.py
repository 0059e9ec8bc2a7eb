"""DukeMTMC-reID (Ristani et al. 2016, Zheng et al. 2017): 1404 people to find, 408 distractors, 8
cameras.

The layout is Market-1501's; names are `0005_c2_f0046985.jpg`: person, camera, frame. Distractors
have ids of their own and there is no junk. The authors withdrew the data in 2019; whoever holds a
copy must judge whether to use it.
"""

import re
from pathlib import Path
from typing import Literal

from models.errors import InputError
from models.reid.data.layout import OfficialOptions, checked, flat, locate, match
from models.reid.data.samples import Dataset, relabel

FOLDERS = ("DukeMTMC-reID", "dukemtmc-reid/DukeMTMC-reID", "dukemtmc-reid")
NAME = re.compile(r"(-1|\d+)_c(\d)_f(\d+)")
EXAMPLE = "DukeMTMC-reID's 0005_c2_f0046985.jpg"
STARTS = (5543, 3607, 27244, 31182, 1, 22402, 18968, 46766)
"""Frame of the common clock at which each camera's frame 1 was taken."""
COUNTS = {
    "train people": 702,
    "train images": 16522,
    "query people": 702,
    "query images": 2228,
    "gallery images": 17661,
}


class Options(OfficialOptions):
    """Variants of the protocol."""

    clock: Literal["camera", "common"] = "camera"
    """camera: frame numbers as they are in the names (as ST-ReID uses them); common: on one clock
    for all cameras.
    """


def load(root: Path, options: Options) -> Dataset:
    """Read DukeMTMC-reID from its own folder or the one above; raises InputError where it is not as
    published.
    """

    def parse(folder: Path, name: str) -> tuple[int, int, int]:
        person, camera, frame = (int(part) for part in match(NAME, folder, name, EXAMPLE).groups())
        if not 1 <= camera <= len(STARTS):
            raise InputError(
                f"{folder / name}: DukeMTMC-reID has no camera {camera}; check data.name and"
                " data.root"
            )
        return (
            person,
            camera - 1,
            frame + (STARTS[camera - 1] - 1 if options.clock == "common" else 0),
        )

    folders = ["bounding_box_train", "query", "bounding_box_test"]
    here = locate(root, FOLDERS, folders)
    (train, junk), (query, _), (gallery, more_junk) = (
        flat(here / folder, parse) for folder in folders
    )
    dataset = Dataset(
        "dukemtmc", here, relabel(train), tuple(query), tuple(gallery), False, junk + more_junk
    )
    return checked(dataset, options, COUNTS)
