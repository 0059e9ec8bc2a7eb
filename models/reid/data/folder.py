"""A user's own people: folders of images, or names that say who and where.

Three ways to name them, option `names`:

- `folders`: `person/camera/frame.jpg`, where person and camera are any words, the same word the
  same person. With `kind: tracklets` all frames of a camera folder are one tracklet; a person who
  came back has one folder for each visit: `person/camera/visit/frame.jpg`.
- `market`: one folder of `0002_c1....jpg` (person, camera), as Market-1501 and many tools name
  crops. Person -1 is junk.
- `pair`: one folder of `0002_07.jpg` (person, image): images 00-04 are of camera A and 05-09 of B.
- `unlabelled`: images in folders of any depth and name, of people whom nobody has named, to train
  on beside a teacher.

They lie in `train/` and `val/`, or in `train/`, `query/` and `gallery/`; each of these can be
absent. In `val/` what a person's first camera saw asks for what the others saw. Without any of
these folders, option `use` says what the people are for. A frame whose name is a number alone (or
has `_f0046985`) gives the time for spatial-temporal priors, in frames of one clock for all cameras.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import model_validator

from models import files
from models.errors import InputError
from models.reid.data.layout import Options as AnyOptions
from models.reid.data.layout import flat, images, match, subfolders
from models.reid.data.samples import UNLABELLED, Dataset, Frames, Sample, ask_first_camera, relabel

ROLES = ("train", "val", "query", "gallery")
MARKET = re.compile(r"(-1|\d+)_c(\d+)(?:_f(\d+))?")
PAIR = re.compile(r"(\d+)_(\d\d)\.")


class Options(AnyOptions):
    """How the people are filed."""

    kind: Literal["images", "tracklets"] = "images"
    names: Literal["folders", "market", "pair", "unlabelled"] = "folders"
    use: Literal["train", "test"] = "train"
    """What people without a role are for. test: nobody trains, and each person's first camera asks
    for the others.
    """

    @model_validator(mode="after")
    def _together(self) -> "Options":
        if self.kind == "tracklets" and self.names != "folders":
            raise ValueError(
                "kind: tracklets needs names: folders, which say which frames belong together"
            )
        return self


@dataclass(frozen=True)
class _Visit:
    """Frames of one person in one camera, both by name."""

    person: str
    camera: str
    frames: Frames


def load(root: Path, options: Options) -> Dataset:
    """Read a folder of people; raises InputError where it is not laid out as said above."""
    if options.names == "unlabelled":
        return Dataset(root.resolve().name, root, _unlabelled(root), (), (), False)
    roles = _roles(root, options.use)
    samples, n_junk = (
        _from_folders(roles, options.kind)
        if options.names == "folders"
        else _from_names(roles, options.names)
    )
    query, gallery = samples.get("query", ()), samples.get("gallery", ())
    if "val" in samples:
        query, gallery = ask_first_camera(samples["val"])
    train = relabel(samples.get("train", ()))
    if not query and (not train or "val" in samples):
        raise InputError(
            f"{root}: nobody to test with is seen by two cameras; add people or cameras"
        )
    return Dataset(
        root.resolve().name, root, train, query, gallery, options.kind == "tracklets", n_junk
    )


def _unlabelled(root: Path) -> tuple[Sample, ...]:
    """Every image below a folder, in the order of their paths."""
    if not root.is_dir():
        raise InputError(
            f"{root}: is not a folder; set root to the folder of your unlabelled images"
        )
    folders = [root, *sorted(path for path in root.rglob("*") if path.is_dir())]
    found = [(folder, name) for folder in folders for name in images(folder, needed=False)]
    if not found:
        raise InputError(f"{root}: has no images below it; correct the root")
    return tuple(Sample(Frames(folder, (name,)), UNLABELLED, 0) for folder, name in found)


def _roles(root: Path, use: str) -> dict[str, Path]:
    """The folder of each role."""
    if not root.is_dir():
        raise InputError(
            f"{root}: is not a folder; set data.root to the folder of your people"
            " (person/camera/frame.jpg)"
        )
    roles = {role: root / role for role in ROLES if (root / role).is_dir()}
    if ("query" in roles) != ("gallery" in roles) or ("val" in roles and "query" in roles):
        raise InputError(
            f"{root}: has {', '.join(roles)}; to test with, it takes val, or query and gallery"
        )
    return roles or {"train" if use == "train" else "val": root}


def _from_folders(roles: dict[str, Path], kind: str) -> tuple[dict[str, tuple[Sample, ...]], int]:
    """People and cameras numbered over all roles, so that one name is one person; people from 1,
    cameras from 0.
    """
    visits = {role: list(_visits(folder, kind)) for role, folder in roles.items()}
    everything = [visit for found in visits.values() for visit in found]
    people = sorted({visit.person for visit in everything}, key=files.natural)
    person = {name: number for number, name in enumerate(people, start=1)}
    cameras = sorted({visit.camera for visit in everything}, key=files.natural)
    camera = {name: i for i, name in enumerate(cameras)}
    return {
        role: tuple(
            Sample(v.frames, person[v.person], camera[v.camera], _frame(v.frames[0])) for v in found
        )
        for role, found in visits.items()
    }, 0


def _visits(folder: Path, kind: str) -> Iterator[_Visit]:
    inside = [
        (person, camera) for person in subfolders(folder) for camera in subfolders(folder / person)
    ]
    if not inside:
        raise InputError(
            f"{folder}: has no person/camera folders; file the images as person/camera/frame.jpg,"
            " or set data.options.names"
        )
    for person, camera in inside:
        here = folder / person / camera
        nested = [here / name for name in subfolders(here)] if kind == "tracklets" else []
        for visit in [here, *nested]:
            names = tuple(images(visit, needed=visit is not here or not nested))
            for part in (
                [names] * bool(names) if kind == "tracklets" else [(name,) for name in names]
            ):
                yield _Visit(person, camera, Frames(visit, part))


def _from_names(roles: dict[str, Path], names: str) -> tuple[dict[str, tuple[Sample, ...]], int]:
    read = {
        role: flat(folder, _market if names == "market" else _pair)
        for role, folder in roles.items()
    }
    return {role: tuple(samples) for role, (samples, _) in read.items()}, sum(
        junk for _, junk in read.values()
    )


def _market(folder: Path, name: str) -> tuple[int, int, int]:
    person, camera, frame = match(
        MARKET, folder, name, "0002_c1_f0000451.jpg (names: market)"
    ).groups()
    if int(camera) < 1:
        raise InputError(f"{folder / name}: cameras count from 1; rename the images")
    return int(person), int(camera) - 1, int(frame or -1)


def _pair(folder: Path, name: str) -> tuple[int, int, int]:
    person, image = match(PAIR, folder, name, "0002_07.jpg (names: pair)").groups()
    if int(image) > 9:
        raise InputError(
            f"{folder / name}: images are numbered 00-04 for camera A and 05-09 for camera B"
        )
    return int(person), int(image) // 5, -1


def _frame(path: Path) -> int:
    found = re.fullmatch(r"(?:.*_f)?([0-9]+)", path.stem)
    return int(found[1]) if found else -1
