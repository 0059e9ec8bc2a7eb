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
from itertools import chain
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
    """Read a folder of people.

    Args:
        root: The folder.
        options: How the people are filed.

    Returns:
        The data set.

    Raises:
        InputError: The folder is not laid out as the module says.
    """
    name = root.resolve().name
    if options.names == "unlabelled":
        return Dataset(name, root, _unlabelled(root), (), (), video=False)
    roles = _roles(root, options.use)
    n_junk = 0
    if options.names == "folders":
        samples = _from_folders(roles, options.kind)
    else:
        samples, n_junk = _from_names(roles, options.names)
    query = samples.get("query", ())
    gallery = samples.get("gallery", ())
    if "val" in samples:
        query, gallery = ask_first_camera(samples["val"])
    train = relabel(samples.get("train", ()))
    if not query and (not train or "val" in samples):
        raise InputError(
            f"{root}: nobody to test with is seen by two cameras; add people or cameras"
        )
    video = options.kind == "tracklets"
    return Dataset(name, root, train, query, gallery, video, n_junk)


def _unlabelled(root: Path) -> tuple[Sample, ...]:
    """Every image below a folder, in the order of their paths."""
    if not root.is_dir():
        raise InputError(
            f"{root}: is not a folder; set root to the folder of your unlabelled images"
        )
    folders = sorted(path for path in root.rglob("*") if path.is_dir())
    samples = []
    for folder in [root, *folders]:
        for name in images(folder, needed=False):
            samples.append(Sample(Frames(folder, (name,)), UNLABELLED, 0))
    if not samples:
        raise InputError(f"{root}: has no images below it; correct the root")
    return tuple(samples)


def _roles(root: Path, use: str) -> dict[str, Path]:
    """The folder of each role."""
    if not root.is_dir():
        raise InputError(
            f"{root}: is not a folder; set data.root to the folder of your people"
            " (person/camera/frame.jpg)"
        )
    roles = {role: root / role for role in ROLES if (root / role).is_dir()}
    is_half_a_test = ("query" in roles) != ("gallery" in roles)
    is_twice_a_test = "val" in roles and "query" in roles
    if is_half_a_test or is_twice_a_test:
        raise InputError(
            f"{root}: has {', '.join(roles)}; to test with, it takes val, or query and gallery"
        )
    if roles:
        return roles
    role = "train" if use == "train" else "val"
    return {role: root}


def _from_folders(roles: dict[str, Path], kind: str) -> dict[str, tuple[Sample, ...]]:
    """Samples of each role, with people numbered from 1 and cameras from 0.

    They are numbered over all roles, so that one name is one person.
    """
    visits = {role: list(_visits(folder, kind)) for role, folder in roles.items()}
    person_names = set()
    camera_names = set()
    for visit in chain.from_iterable(visits.values()):
        person_names.add(visit.person)
        camera_names.add(visit.camera)
    people = _numbered(person_names, first=1)
    cameras = _numbered(camera_names, first=0)
    samples = {}
    for role, role_visits in visits.items():
        role_samples = []
        for visit in role_visits:
            person_id = people[visit.person]
            camera = cameras[visit.camera]
            frame = _frame(visit.frames[0])
            role_samples.append(Sample(visit.frames, person_id, camera, frame))
        samples[role] = tuple(role_samples)
    return samples


def _numbered(names: set[str], first: int) -> dict[str, int]:
    """Number names in natural order."""
    ordered = sorted(names, key=files.natural)
    return {name: number for number, name in enumerate(ordered, first)}


def _visits(folder: Path, kind: str) -> Iterator[_Visit]:
    """Every image, or every tracklet, of a folder person/camera/[visit/]frame.jpg."""
    is_empty = True
    for person in subfolders(folder):
        for camera in subfolders(folder / person):
            is_empty = False
            camera_folder = folder / person / camera
            for frames in _parts(camera_folder, kind):
                yield _Visit(person, camera, frames)
    if is_empty:
        raise InputError(
            f"{folder}: has no person/camera folders; file the images as person/camera/frame.jpg,"
            " or set data.options.names"
        )


def _parts(camera_folder: Path, kind: str) -> Iterator[Frames]:
    """The images of a camera's folder one by one, or as tracklets: its own and its subfolders'."""
    if kind == "images":
        for name in images(camera_folder, needed=True):
            yield Frames(camera_folder, (name,))
        return
    visits = [camera_folder / name for name in subfolders(camera_folder)]
    own = tuple(images(camera_folder, needed=not visits))
    if own:
        yield Frames(camera_folder, own)
    for visit in visits:
        yield Frames(visit, tuple(images(visit, needed=True)))


def _from_names(roles: dict[str, Path], names: str) -> tuple[dict[str, tuple[Sample, ...]], int]:
    """Samples of each role, and how many images were junk."""
    read_name = _market if names == "market" else _pair
    n_junk = 0
    samples = {}
    for role, folder in roles.items():
        role_samples, n_role_junk = flat(folder, read_name)
        samples[role] = tuple(role_samples)
        n_junk += n_role_junk
    return samples, n_junk


def _market(folder: Path, name: str) -> tuple[int, int, int]:
    found = match(MARKET, folder, name, "0002_c1_f0000451.jpg (names: market)")
    person, camera, frame = found.groups()
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
