"""Pictures with labelled people, for training and tests: folders of images, and videos with truth.
A labelled folder is in YOLO layout: `images/NAME.jpg` beside `labels/NAME.txt`, one line `class x y
width height` a person, centre and size as fractions of the image. Its last fifth by name is held
back from training (`part`), so that a set of video frames is cut once in time instead of having
neighbours on both sides.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from models import files, mot, settings
from models.errors import InputError
from models.settings import Section

Array = NDArray[Any]
Part = Literal["train", "held_back", "all"]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
ROUNDING = 0.01
"""Labels may exceed the image by this share."""
PEDESTRIAN = 1
DISTRACTORS = (2, 6, 7, 8, 12)
"""Classes of people, and of what looks like people, in MOTChallenge's truth."""
MIN_VISIBILITY = 0.3
EXAMPLE = settings.config_file("detector/test_sets.yaml")


@dataclass(frozen=True)
class Picture:
    """One image (H, W, 3) uint8 BGR with boxes x1 y1 x2 y2 px.

    truth: (n, 4), people. ignored: (k, 4), regions where finding someone is neither right nor
    wrong.
    """

    image: Array
    truth: Array
    ignored: Array


class Read(Protocol):
    """Opens a set: its pictures, one by one, in the same order every time; raises InputError."""

    def __call__(self) -> Iterator[Picture]: ...  # noqa: D102 - the class says it


@dataclass(frozen=True)
class PictureSet:
    """A named set of pictures that can be read again and again, without being held in memory."""

    name: str
    read: Read


def image_files(folder: Path, part: Part) -> list[Path]:
    """List the images of a labelled folder.

    Args:
        folder: Holds images/.
        part: `train` is the first four fifths by name, `held_back` the rest.

    Returns:
        Paths, by name.

    Raises:
        InputError: There are no images.
    """
    found = (folder / "images").glob("*")
    files = sorted(path for path in found if path.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise InputError(
            f"{folder}: no images/*.jpg there; expected a folder with images/ and labels/"
        )
    cut = len(files) * 4 // 5
    parts: dict[Part, list[Path]] = {
        "train": files[:cut],
        "held_back": files[cut:],
        "all": files,
    }
    return parts[part]


def label_file(image: Path) -> Path:
    """Where the labels of an image are; the file is absent or empty where nobody is."""
    return image.parent.parent / "labels" / f"{image.stem}.txt"


def labelled(folder: Path, part: Part = "all") -> Iterator[Picture]:
    """Read the pictures of a labelled folder.

    Args:
        folder: Holds images/ and labels/.
        part: As for `image_files`.

    Yields:
        One picture after the other, by name.

    Raises:
        InputError: An image or its labels cannot be read.
    """
    for path in image_files(folder, part):
        image = cv2.imread(str(path))
        if image is None:
            raise InputError(f"{path}: cannot be read as an image; remove it or save it again")
        height, width = image.shape[:2]
        truth = read_labels(label_file(path), width, height)
        nothing_ignored = np.zeros((0, 4), np.float32)
        yield Picture(image, truth, nothing_ignored)


def read_labels(path: Path, width_px: int, height_px: int) -> Array:
    """Read a YOLO label file.

    Args:
        path: The file; when it is absent, the image shows nobody.
        width_px: Width of the image.
        height_px: Height of the image.

    Returns:
        Boxes (n, 4) float32 x1 y1 x2 y2 px.

    Raises:
        InputError: A line is not `class x y width height`, with class 0 and shares of the image.
    """
    text = files.read_text(path) if path.is_file() else ""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    try:
        rows = np.array([list(map(float, line)) for line in lines]).reshape(-1, 5)
    except ValueError:
        raise InputError(f"{path}: expected lines `class x y width height`") from None
    if len(rows) and (np.abs(rows[:, 1:] - 0.5).max() > 0.5 + ROUNDING):
        raise InputError(
            f"{path}: x, y, width and height are shares of the image, 0..1, but"
            f" {rows[:, 1:].max():g} was found; divide pixels by {width_px} and {height_px}"
        )
    if (rows[:, 0] != 0).any():
        raise InputError(
            f"{path}: class {rows[:, 0].max():g} was found, but people are class 0 and nothing else"
            " is labelled; leave only people, as class 0"
        )
    centre = rows[:, 1:3]
    half = rows[:, 3:] / 2
    corners = np.concatenate([centre - half, centre + half], axis=1)
    return (corners * [width_px, height_px, width_px, height_px]).astype(np.float32)


def write_labels(path: Path, boxes: Array, width_px: int, height_px: int) -> None:
    """Write a YOLO label file, class 0.

    Args:
        path: The file.
        boxes: (n, 4) x1 y1 x2 y2 px; they are clipped to the image.
        width_px: Width of the image.
        height_px: Height of the image.
    """
    size = [width_px, height_px, width_px, height_px]
    corners = np.clip(boxes.reshape(-1, 4) / size, 0, 1)
    centre = (corners[:, :2] + corners[:, 2:]) / 2
    sides = corners[:, 2:] - corners[:, :2]
    rows = np.concatenate([centre, sides], axis=1).tolist()
    lines = [f"0 {x:.6f} {y:.6f} {width:.6f} {height:.6f}\n" for x, y, width, height in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), encoding="utf-8")


def clip(
    video: Path, truth: Path, every: int, min_visibility: float = MIN_VISIBILITY
) -> Iterator[Picture]:
    """Read frames of a video that has MOT truth.

    Frames before the first and after the last that the truth mentions are left out: nobody labelled
    them.

    Args:
        video: The video.
        truth: MOT file.
        every: Every so many-th frame is read.
        min_visibility: People seen less than this, 0..1, are ignored.

    Yields:
        One picture after the other.

    Raises:
        InputError: A file cannot be read, or the truth is empty.
    """
    rows = mot.read(truth)
    if not len(rows):
        raise InputError(f"{truth}: has no rows; expected lines `frame,id,x,y,w,h,...`")
    if rows[:, 0].min() < 1:
        raise InputError(
            f"{truth}: frames count from 1, but frame {rows[:, 0].min():g} was found; add"
            f" {1 - rows[:, 0].min():g} to column 1"
        )
    frames = rows[:, 0].astype(np.int64) - 1
    corners = mot.boxes(rows)
    visibility = rows[:, 8] if rows.shape[1] > 8 else np.full(len(rows), -1.0)
    clear = (visibility < 0) | (visibility > min_visibility)  # -1: the file does not say
    if rows.shape[1] == 9:
        is_person = (rows[:, 6] != 0) & (rows[:, 7] == PEDESTRIAN)
        if not is_person.any():
            raise InputError(
                f"{truth}: no row has flag 1 and class {PEDESTRIAN}, a pedestrian (columns 7 and"
                f" 8); there are classes {', '.join(f'{c:g}' for c in np.unique(rows[:, 7]))}"
            )
        clear &= is_person
        is_known = np.isin(rows[:, 7], (PEDESTRIAN, *DISTRACTORS))
        frames = frames[is_known]
        corners = corners[is_known]
        clear = clear[is_known]
    for index, image in frames_of(video, every):
        if frames.min() <= index <= frames.max():
            here = frames == index
            yield Picture(image, corners[here & clear], corners[here & ~clear])


def frames_of(video: Path, every: int) -> Iterator[tuple[int, Array]]:
    """Read frames of a video.

    Args:
        video: The video.
        every: Every so many-th frame is read.

    Yields:
        0-based index, and image (H, W, 3) uint8 BGR.

    Raises:
        InputError: The video cannot be read.
    """
    import av

    try:
        with av.open(str(video)) as container:
            for index, frame in enumerate(container.decode(video=0)):
                if index % every == 0:
                    yield index, frame.to_ndarray(format="bgr24")
    except (OSError, av.FFmpegError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{video}: cannot be read as a video ({reason})") from None


class Clip(Section):
    """A video with MOT truth, of which every `every`-th frame is judged."""

    name: str
    video: str
    truth: str
    every: Annotated[int, Field(ge=1)] = 10


class TestSets(Section):
    """All sets to judge by; paths are relative to one folder. `labelled`: YOLO folders."""

    clips: list[Clip] = Field(default_factory=list)
    labelled: list[str] = Field(default_factory=list)


def test_sets(listed: Path, root: Path, wanted: Sequence[str] = ()) -> list[PictureSet]:
    """Return sets that a detector is judged by.

    Args:
        listed: YAML file as `configs/detector/test_sets.yaml`.
        root: The folder that its paths are relative to.
        wanted: Only sets whose names begin with one of these, in any case; all where there is none.

    Raises:
        InputError: The file is wrong, no set has such a name, or a set that is wanted is not there.
    """
    values = settings.build(TestSets, settings.read(str(listed), EXAMPLE), str(listed), EXAMPLE)
    found: dict[str, tuple[Read, list[Path]]] = {}
    for each in values.clips:
        video = root / each.video
        truth = root / each.truth
        found[each.name] = partial(clip, video, truth, each.every), [video, truth]
    for name in values.labelled:
        folder = root / name
        found[folder.name] = partial(labelled, folder, "held_back"), [folder / "images"]
    begins = tuple(name.lower() for name in wanted) or ("",)
    chosen = [name for name in found if name.lower().startswith(begins)]
    if not chosen:
        raise InputError(
            f"--sets {' '.join(wanted)}: no such set; there are {', '.join(found)}"
            if found
            else f"{listed}: lists no set; {EXAMPLE} shows how"
        )
    for name in chosen:
        for path in found[name][1]:
            if not path.exists():
                raise InputError(
                    f"{path}: is not there, but the set {name} needs it; take others with --sets,"
                    " or list your own with --test-sets"
                )
    return [PictureSet(name, found[name][0]) for name in chosen]
