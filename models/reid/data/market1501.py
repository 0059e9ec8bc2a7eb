"""Market-1501 (Zheng et al., ICCV 2015): 1501 people, 6 cameras, detected boxes.

`bounding_box_train`, `query` and `bounding_box_test` hold names such as `0002_c1s1_000451_03.jpg`:
person, camera, sequence, frame, box. Person -1 is junk (dropped), 0 a distractor (kept). The frame
counts from the start of its sequence, and a camera has several, one after the other: the lengths
that ST-ReID's authors published, rough by their own account, make it one clock.
"""

import re
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Literal

from models.errors import InputError
from models.reid.data.layout import OfficialOptions, checked, flat, locate, match
from models.reid.data.samples import Dataset, Sample, relabel

FOLDERS = ("Market-1501-v15.09.15", "market1501/Market-1501-v15.09.15", "market1501", "Market-1501")
NAME = re.compile(r"(-1|\d+)_c(\d)s(\d)_(\d+)")
EXAMPLE = "Market-1501's 0002_c1s1_000451_03.jpg"
LENGTHS = (
    (72681, 74546, 74881, 74661, 74891, 54346),
    (163691, 164677, 98102),
    (161708, 161769, 104469),
    (72107, 72373, 74810, 74541, 74910, 50616),
    (161095, 161724, 103487),
    (87551, 131268, 95817, 30952),
)
"""Frames of each camera's sequences: the largest frame number seen in each (Wang et al., arXiv
1812.03282, their code).
"""
STARTS = tuple(tuple(accumulate(lengths, initial=0))[:-1] for lengths in LENGTHS)
COUNTS = {
    "train people": 751,
    "train images": 12936,
    "query people": 750,
    "query images": 3368,
    "gallery images": 15913,
    "junk images": 3819,
}


class Options(OfficialOptions):
    """Variants of the protocol."""

    query: Literal["single", "multi"] = "single"
    """multi: a query is all of its person's images in its camera, from `gt_bbox`, as several frames
    of one sample.
    """
    distractors: bool = False
    """The extra distractor images in `images/` (500,000 of them, a download of their own) join the
    gallery.
    """


def load(root: Path, options: Options) -> Dataset:
    """Read Market-1501 from its own folder or the one above; raises InputError where it is not as
    published.
    """
    needed = ["bounding_box_train", "query", "bounding_box_test"]
    here = locate(
        root,
        FOLDERS,
        needed + ["gt_bbox"] * (options.query == "multi") + ["images"] * options.distractors,
    )
    (train, junk), (query, _), (gallery, more_junk) = (
        flat(here / folder, _parse) for folder in needed
    )
    dataset = Dataset(
        "market1501", here, relabel(train), tuple(query), tuple(gallery), False, junk + more_junk
    )
    dataset = checked(dataset, options, COUNTS)
    if options.query == "multi":
        query = _all_images(query, flat(here / "gt_bbox", _parse)[0])
    if options.distractors:
        gallery += flat(here / "images", _parse)[0]
    return replace(dataset, query=tuple(query), gallery=tuple(gallery))


def _parse(folder: Path, name: str) -> tuple[int, int, int]:
    person, camera, sequence, frame = (
        int(part) for part in match(NAME, folder, name, EXAMPLE).groups()
    )
    if not 1 <= camera <= len(STARTS) or not 1 <= sequence <= len(STARTS[camera - 1]):
        raise InputError(
            f"{folder / name}: Market-1501 has no camera {camera} with a sequence {sequence}; check"
            " data.name and data.root"
        )
    return person, camera - 1, STARTS[camera - 1][sequence - 1] + frame


def _all_images(query: list[Sample], drawn: list[Sample]) -> list[Sample]:
    """The queries with all of `drawn` (boxes drawn by hand, of everybody) that show the same person
    in the same camera.

    A query without any, which a part of the data set may have, asks with its own image.
    """
    paths: dict[tuple[int, int], list[Path]] = {}
    for sample in drawn:
        paths.setdefault((sample.person_id, sample.camera), []).extend(sample.paths)
    return [replace(s, paths=tuple(paths.get((s.person_id, s.camera), s.paths))) for s in query]
