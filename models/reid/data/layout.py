"""How data sets lie on disk: finding their folder, listing names in a fixed order, reading lists
and MATLAB files.

Names are listed and never opened: a damaged image is found by whoever decodes it, a missing one
here. Directory order differs between machines and has made published splits irreproducible
(iLIDS-VID in the seeds), so everything listed is sorted.
"""

import os
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from models import files
from models.errors import InputError
from models.reid.data.samples import JUNK, Dataset, Frames, Sample, check_counts, counts, relabel
from models.settings import Section

N_SPLITS = 10
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")


class Options(Section):
    """What a loader takes besides the folder."""

    @property
    def n_splits(self) -> int:
        """How many values option `split` has; 1 where there is no such option."""
        return 1


class OfficialOptions(Options):
    """Options of a published data set."""

    any_counts: bool = False
    """Take a part of the data set, too: do not compare its size with the published one."""


class SplitOptions(OfficialOptions):
    """Options of a data set of tracklets whose published result is the mean over 10 splits of its
    people into halves.
    """

    split: Annotated[int, Field(ge=0, lt=N_SPLITS)] = 0

    @property
    def n_splits(self) -> int:
        """Results are means over these."""
        return N_SPLITS


def locate(root: Path, folders: Sequence[str], needed: Sequence[str]) -> Path:
    """Find the data set's own folder.

    Args:
        root: Where to look.
        folders: Folders in it where to look as well.
        needed: Names that the folder must hold.

    Returns:
        `root` or one of `folders` in it, the first that holds all of `needed`.

    Raises:
        InputError: There is no such folder.
    """
    if not root.is_dir():
        raise InputError(
            f"{root}: is not a folder; set data.root to the folder that holds {', '.join(needed)}"
        )
    missing: dict[Path, list[str]] = {}
    for here in (root, *map(root.joinpath, folders)):
        missing[here] = [name for name in needed if not (here / name).exists()]
    here = min(missing, key=lambda folder: len(missing[folder]))
    if len(missing[here]) == len(needed):
        inside = f" and in {', '.join(folders)} inside it" if folders else ""
        raise InputError(
            f"{root}: no such data set here: looked for {', '.join(needed)} in it{inside}; correct"
            " data.root"
        )
    if missing[here]:
        raise InputError(
            f"{here}: lacks {', '.join(missing[here])}: the data set is not complete; unpack it"
            " again"
        )
    return here


def images(folder: Path, needed: bool = True) -> list[str]:
    """Names of the images of a folder, sorted; hidden files (macOS leaves ._copies) are passed
    over.

    Raises InputError for a folder that cannot be listed, or has none while some are needed.
    """
    names = [name for name in _listed(folder) if name.lower().endswith(SUFFIXES)]
    if needed and not names:
        raise InputError(
            f"{folder}: has no images ({', '.join(SUFFIXES)}); unpack the data set again or correct"
            " data.root"
        )
    return sorted(names, key=files.natural)


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted; may be none."""
    names = [name for name in _listed(folder) if (folder / name).is_dir()]
    return sorted(names, key=files.natural)


def flat(
    folder: Path, parse: Callable[[Path, str], tuple[int, int, int]]
) -> tuple[list[Sample], int]:
    """Samples of a folder of images, and how many are junk and left out. `parse`: folder, name ->
    person, camera, frame.
    """
    samples = []
    names = images(folder)
    for name in names:
        person, camera, frame = parse(folder, name)
        if person != JUNK:
            samples.append(Sample(Frames(folder, (name,)), person, camera, frame))
    return samples, len(names) - len(samples)


def match(pattern: re.Pattern[str], where: Path, name: str, example: str) -> re.Match[str]:
    """A name that was found `where` taken apart; raises InputError for one that is not like
    `example`.
    """
    if found := pattern.match(name):
        return found
    raise InputError(
        f"{where}: {name} is not named like {example}; check data.name and data.root, and move"
        " other files out"
    )


def one(folder: Path, found: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """The one person and camera of the frames of a tracklet's folder; raises InputError for
    several.
    """
    if len(distinct := set(found)) != 1:
        names = ", ".join(
            f"person {person} camera {camera + 1}" for person, camera in sorted(distinct)
        )
        raise InputError(
            f"{folder}: a tracklet holds {names}; it must be one person in one camera: unpack it"
            " again"
        )
    return distinct.pop()


def require(listed: Iterable[Frames]) -> None:
    """Raise InputError unless all these images, which came from a list, are there; each folder is
    listed once.
    """
    present: dict[Path, set[str]] = {}
    missing = []
    for frames in listed:
        if frames.folder not in present:
            present[frames.folder] = (
                set(_listed(frames.folder)) if frames.folder.is_dir() else set()
            )
        missing += [
            frames.folder / name for name in frames.names if name not in present[frames.folder]
        ]
    if missing:
        raise InputError(
            f"{missing[0]}: is missing, and {len(missing) - 1} more that lists name; unpack the"
            " data set again"
        )


def text_lines(path: Path) -> list[str]:
    """Lines of a text file without the empty ones; raises InputError."""
    try:
        return [line for line in files.read_text(path).splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); unpack the data set again") from None


def matrices(path: Path, *names: str) -> list[NDArray[Any]]:
    """Matrices of a MATLAB file (before version 7.3), by name; raises InputError."""
    try:
        values = loadmat(path)
    except (
        OSError,
        ValueError,
        TypeError,
        LookupError,
        NotImplementedError,
        zlib.error,
        MatReadError,
    ) as error:
        raise InputError(
            f"{path}: is no MATLAB file that can be read ({' '.join(str(error).split())}); unpack"
            " it again"
        ) from None
    for name in names:
        if name not in values:
            raise InputError(f"{path}: has no matrix {name}; unpack the data set again")
    return [np.asarray(values[name]) for name in names]


def whole_numbers(values: NDArray[Any], low: int, high: int, where: str) -> NDArray[np.int64]:
    """Values as int64 (files hold uint16 and float64, where index arithmetic goes wrong), all from
    `low` to `high`.
    """
    if (
        values.dtype.kind not in "iuf"
        or values.size == 0
        or (values < low).any()
        or (values > high).any()
        or (values % 1).any()
    ):
        raise InputError(
            f"{where}: must hold whole numbers from {low} to {high}; unpack the data set again"
        )
    return values.astype(np.int64)


def checked(dataset: Dataset, options: OfficialOptions, expected: dict[str, int]) -> Dataset:
    """Return the data set if its counts are the expected ones, or any will do; raises
    InputError.
    """
    if not options.any_counts:
        check_counts(dataset.root, counts(dataset), expected)
    return dataset


def halves(
    name: str,
    here: Path,
    options: SplitOptions,
    train: Sequence[str],
    test: Sequence[str],
    tracklet: Callable[[Path, int, str], Sample],
    n_each: int,
) -> Dataset:
    """A split of people with one tracklet in each of two cameras: the first camera asks, the second
    answers.

    `tracklet` makes the sample of (folder, camera, person). Raises InputError where a half has
    other than `n_each` people.
    """
    dataset = Dataset(
        f"{name} split {options.split}",
        here,
        relabel([tracklet(here, camera, person) for camera in (0, 1) for person in train]),
        tuple(tracklet(here, 0, person) for person in test),
        tuple(tracklet(here, 1, person) for person in test),
        True,
    )
    expected = {"train people": n_each, "train tracklets": 2 * n_each}
    for role in ("query", "gallery"):
        expected |= {f"{role} people": n_each, f"{role} tracklets": n_each}
    return checked(dataset, options, expected)


def _listed(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:  # names alone: iterdir makes a Path of each
            return [entry.name for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be listed ({error.strerror}); unpack the data set again or correct"
            " data.root"
        ) from None
