"""CVAT for video 1.1, read as CVAT means it.

A track that has no box in a frame goes on along a straight line to its next one, until a box is
`outside`. A box that is no keyframe was interpolated. Attributes of the label are those that
`cvat` writes; only `person_id` is needed.
"""

import math
import re
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np

from models import files
from models.errors import one_line
from pipeline.errors import SourceError
from pipeline.exports.labelled import MAX_NUMBER, Labels

IN_ARCHIVE = "annotations.xml"
STEP = re.compile(r"step\s*=\s*([0-9]{1,6})")
CORNERS = ("xtl", "ytl", "xbr", "ybr")
DAMAGED = (ET.ParseError, ValueError, LookupError, *files.DAMAGED_ARCHIVE)
"""What reading raises: no XML, unknown encodings, archives that are damaged or need a password."""
EXPORT_AGAIN = "export it from CVAT as CVAT for video 1.1"
NEEDS_ID = (
    "give it the number of the person in CVAT; somebody new gets a number that nobody else has"
)


@dataclass(frozen=True, slots=True)
class _Box:
    frame: int
    corners: tuple[float, ...]
    score: float
    is_filled: bool
    is_outside: bool
    person_id: int
    track_id: int


def read(path: Path, last_frame: int) -> tuple[Labels, str]:
    """Read the tracks of one camera.

    Args:
        path: an XML file.
        last_frame: last frame of the run; boxes are not interpolated beyond it.

    Returns:
        The boxes, and the name of the task ("" where there is none).

    Raises:
        SourceError: it is no such file, or a box cannot be meant as it is.
    """
    task: dict[str, str] = {}
    rows: list[tuple[int, _Box]] = []
    with _opened(path) as file:
        for number, element in enumerate(_tracks(path, file, task)):
            where = f"{path}: track {element.get('id', number)}"
            step = STEP.search(task.get("frame_filter", ""))
            step_frames = max(int(step[1]), 1) if step else 1
            shown = _shown(_boxes(element, where), step_frames, last_frame)
            rows += [(number, box) for box in shown]
    return _labels(path, rows), task.get("name", "").strip()


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The XML, which CVAT packs into an archive; raises SourceError, also where it is damaged."""
    if not path.is_file():
        raise SourceError(f"{path}: no such file")
    try:
        with ExitStack() as stack:
            if path.suffix.lower() == ".zip":
                archive = stack.enter_context(zipfile.ZipFile(path))
                if IN_ARCHIVE not in archive.namelist():
                    raise SourceError(f"{path}: has no {IN_ARCHIVE}; {EXPORT_AGAIN}")
                yield stack.enter_context(archive.open(IN_ARCHIVE))
            else:
                yield stack.enter_context(path.open("rb"))
    except DAMAGED as error:
        raise SourceError(f"{path}: is damaged ({one_line(error)}); {EXPORT_AGAIN}") from None
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from None


def _tracks(path: Path, file: IO[bytes], task: dict[str, str]) -> Iterator[ET.Element]:
    """The tracks of a file one by one, after what is known of the task was noted."""
    n_open = 0
    for event, element in ET.iterparse(file, ("start", "end")):
        if event == "start":
            n_open += 1
            if n_open == 1:
                root = element
                if root.tag != "annotations":
                    raise SourceError(f"{path}: is not CVAT's XML; {EXPORT_AGAIN}")
            continue
        n_open -= 1
        if n_open != 1:
            continue
        if element.tag == "meta":
            for of_what in ("task", "job"):
                for child in element.findall(f"{of_what}/*"):
                    task.setdefault(child.tag, child.text or "")
        elif element.tag == "image":
            raise SourceError(f"{path}: has images instead of tracks; {EXPORT_AGAIN}")
        elif element.tag == "track":
            yield element
        root.remove(element)


def _boxes(track: ET.Element, where: str) -> list[_Box]:
    """Boxes of a track by frame."""
    boxes = []
    for element in track:
        if element.tag != "box":
            raise SourceError(f"{where} is a {element.tag}; only boxes can be people")
        attributes = {
            each.get("name", ""): (each.text or "").strip() for each in element.findall("attribute")
        }
        boxes.append(_box(element.attrib, attributes, where))
    boxes.sort(key=lambda box: box.frame)
    for box, following in pairwise(boxes):
        if box.frame == following.frame:
            raise SourceError(f"{where} has two boxes in frame {box.frame}; delete one")
    return boxes


def _box(values: Mapping[str, str], attributes: Mapping[str, str], where: str) -> _Box:
    frame = _whole(values.get("frame", ""), f"{where}: frame")
    where = f"{where}, frame {frame}"
    corners = tuple(_number(values.get(name, ""), f"{where}: {name}") for name in CORNERS)
    is_outside = values.get("outside") == "1"
    x1, y1, x2, y2 = corners
    if not is_outside and not (x1 < x2 and y1 < y2):
        raise SourceError(f"{where}: the box has no area; delete it, or draw it again")
    person_id = _whole(attributes.get("person_id") or "0", f"{where}: person_id")
    if person_id == 0 and not is_outside:
        raise SourceError(f"{where}: has no person_id; {NEEDS_ID}")
    is_keyframe = values.get("keyframe", "1") == "1"
    is_filled = not is_keyframe or attributes.get("filled", "").lower() == "true"
    score = _number(attributes.get("score") or "1", f"{where}: score")
    if not 0 <= score <= 1:
        raise SourceError(f"{where}: score {score:g} is not between 0 and 1")
    return _Box(
        frame,
        corners,
        # a box without a score that is not interpolated was drawn by hand
        score if is_filled or score else 1.0,
        is_filled,
        is_outside,
        person_id,
        _whole(attributes.get("track_id") or "0", f"{where}: track_id"),
    )


def _whole(text: str, what: str) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", text, re.ASCII) or int(text) > MAX_NUMBER:
        raise SourceError(f"{what} must be a whole number, not {text[:40]!r}")
    return int(text)


def _number(text: str, what: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise SourceError(f"{what} must be a number, not {text[:40]!r}")
    return number


def _shown(boxes: list[_Box], step: int, last_frame: int) -> Iterator[_Box]:
    """Boxes that are seen, and those between them in frames that have none, up to the last."""
    for box, following in zip(boxes, [*boxes[1:], None], strict=True):
        if box.is_outside:
            continue
        yield box
        if following is None:
            continue
        to = box if following.is_outside else following
        length = following.frame - box.frame
        for frame in range(box.frame + step, min(following.frame, last_frame + 1), step):
            share = (frame - box.frame) / length
            sides = zip(box.corners, to.corners, strict=True)
            corners = tuple(a + share * (b - a) for a, b in sides)
            yield replace(box, frame=frame, corners=corners, is_filled=True)


def _labels(path: Path, rows: list[tuple[int, _Box]]) -> Labels:
    """Boxes with the numbers of their tracks as arrays."""
    boxes = [box for _, box in rows]
    return Labels(
        path=path,
        frames=np.array([box.frame for box in boxes], np.int64),
        boxes=np.array([box.corners for box in boxes], np.float64).reshape(-1, 4),
        scores=np.array([box.score for box in boxes], np.float64),
        is_filled=np.array([box.is_filled for box in boxes], np.bool_),
        person_ids=np.array([box.person_id for box in boxes], np.int64),
        track_ids=np.array([box.track_id for box in boxes], np.int64),
        tracks=np.array([number for number, _ in rows], np.int64),
    )
