"""The best crop of each tracklet, on disk as tracklets close, for the report.

Linking needs embeddings only, so the pixels of a tracklet are gone once it is embedded. The report
needs one picture of it, and a still of each camera (`stills`). `crops.zip` holds JPEG files that
any program can open, and `index.json`, which says what each shows. Nothing is held in memory but
the index and the stills, so a run of any length can write it. What `privacy.blur` hides is hidden
before a crop is written.
"""

import json
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from models import documents, files
from pipeline.errors import SourceError
from pipeline.live import jpeg, privacy
from pipeline.live.privacy import Blur
from pipeline.records import Array, Tracklet
from pipeline.report.stills import Stills

FILE = "crops.zip"
INDEX = "index.json"
SCHEMA = "crops/1"
MAX_CROPS = 100_000
"""Crops that a run keeps, about 4 kB each; later tracklets have none."""
MAX_INDEX_BYTES = 50_000_000
MAX_CROP_BYTES = 1_000_000
MAX_STILL_BYTES = 2_000_000
MAX_SIDE_PX = 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """A crop: which file of the archive it is, frame it was cut from, and quality in 0..1."""

    number: int
    frame: int
    quality: float


Track = tuple[str, int]
"""A camera and the id of one of its tracks."""


@dataclass(frozen=True, slots=True)
class Best:
    """The best crop of a tracklet: frame it was cut from, quality in 0..1, and the crop as JPEG, of
    which nothing is left (b"") where bodies are hidden.
    """

    frame: int = -1
    quality: float = 0.0
    encoded: bytes = b""


def best_of(tracklet: Tracklet, blur: Blur) -> Best:
    """Return the best crop of a tracklet, as it may be shown.

    Args:
        tracklet: with crops, or without any.
        blur: what is hidden of people.
    """
    if not len(tracklet.crops):
        return Best()
    best = int(tracklet.crop_quality.argmax())
    encoded = jpeg.of_image(privacy.blurred_crop(tracklet.crops[best], blur))
    row = int(np.abs(tracklet.times_s - tracklet.crop_times_s[best]).argmin())
    quality = round(float(tracklet.crop_quality[best]), 3)
    return Best(int(tracklet.frames[row]), quality, encoded)


class Keeper:
    """Writes the best crop of each tracklet into an archive, see `keeping`."""

    def __init__(self, archive: zipfile.ZipFile, blur: Blur, stills: Stills) -> None:
        self._archive = archive
        self._blur = blur
        self._stills = stills
        self._kept: list[tuple[str, int, int, float]] = []

    def keep(self, rounds: Iterator[list[Tracklet]]) -> Iterator[list[Tracklet]]:
        """Pass on the tracklets that close, and write the best crop of each."""
        for closed in rounds:
            for tracklet in closed:
                if len(self._kept) < MAX_CROPS:
                    best = best_of(tracklet, self._blur)
                    self.add(tracklet.camera, tracklet.track_id, best)
            yield closed

    def add(self, camera: str, track_id: int, best: Best) -> None:
        """Write the best crop of a tracklet, unless there are too many.

        Args:
            camera: of the tracklet.
            track_id: of its track.
            best: the crop, in which is hidden what has to be.
        """
        if not best.encoded or len(self._kept) >= MAX_CROPS:
            return
        self._archive.writestr(f"{len(self._kept)}.jpg", best.encoded)
        self._kept.append((camera, track_id, best.frame, best.quality))

    def finish(self) -> None:
        """Write the stills and the index."""
        stills = self._stills.encoded()
        for number, encoded in enumerate(stills.values()):
            self._archive.writestr(_still_file(number), encoded)
        index = {
            "schema": SCHEMA,
            "blur": self._blur,
            "crops": self._kept,
            "stills": list(stills),
        }
        self._archive.writestr(INDEX, json.dumps(index, separators=(",", ":")))


@contextmanager
def keeping(path: Path, blur: Blur, stills: Stills) -> Iterator[Keeper]:
    """Write an archive of crops, and of the stills that are there at the end.

    Args:
        path: the file.
        blur: what is hidden of people; of "bodies" nothing is left to be kept.
        stills: the best frame of each camera.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        keeper = Keeper(archive, blur, stills)
        yield keeper
        keeper.finish()


@dataclass(frozen=True, slots=True)
class Crops:
    """The crops of a run, by track, and its stills.

    Attributes:
        path: where they are.
        blur: what is hidden in them.
        entries: of each track.
        read: yields crops as JPEG, in the order of their numbers; raises what damaged files cause.
        stills: cameras that have a still in the archive, in the order of the stills.
    """

    path: Path
    blur: Blur
    entries: Mapping[Track, Sequence[Entry]]
    read: Callable[[Sequence[int]], Iterator[bytes]]
    stills: Sequence[str] = ()

    def best(self, track: Track, first_frame: int, last_frame: int) -> Entry | None:
        """Return the best crop of a track between two frames; None where there is none.

        Linking may cut a tracklet in two. Then the piece that the crop was cut from has it.
        """
        inside = [
            entry
            for entry in self.entries.get(track, ())
            if first_frame <= entry.frame <= last_frame
        ]
        return max(inside, key=lambda entry: entry.quality, default=None)

    def images(self, numbers: Sequence[int]) -> Iterator[Array]:
        """Yield crops (H, W, 3) uint8 BGR, in the order of their numbers.

        Raises:
            SourceError: the crops are damaged.
        """
        if not numbers:
            return
        with _reading(self.path):
            for encoded in self.read(numbers):
                image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
                if image is None or max(image.shape) > MAX_SIDE_PX:
                    raise ValueError("it is no crop")
                yield np.asarray(image)

    def stills_of(self, cameras: Iterable[str]) -> dict[str, bytes]:
        """Return the stills of cameras as they lie in the archive, of those that have one.

        Raises:
            SourceError: the archive is damaged.
        """
        wanted = [camera for camera in cameras if camera in self.stills]
        found: dict[str, bytes] = {}
        if not wanted:
            return found
        with _reading(self.path), zipfile.ZipFile(self.path) as archive:
            for camera in wanted:
                name = _still_file(self.stills.index(camera))
                encoded = _read(archive, name, MAX_STILL_BYTES)
                if cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR) is None:
                    raise ValueError(f"{name} is no picture")
                found[camera] = encoded
        return found


def load(path: Path) -> Crops:
    """Read what an archive of crops shows.

    Args:
        path: the file; a missing one holds no crops.

    Raises:
        SourceError: it was not written by this program.
    """
    if not path.is_file():
        return Crops(path, "off", {}, lambda numbers: iter(()))
    entries: dict[Track, list[Entry]] = defaultdict(list)
    with _reading(path), zipfile.ZipFile(path) as archive:
        index = documents.from_json(_read(archive, INDEX, MAX_INDEX_BYTES).decode())
        if index["schema"] != SCHEMA or index["blur"] not in ("off", "faces", "bodies"):
            raise ValueError("unknown schema")
        for number, (camera, track_id, frame, quality) in enumerate(index["crops"]):
            track = (str(camera), int(track_id))
            entries[track].append(Entry(number, int(frame), float(quality)))
        stills = tuple(str(camera) for camera in index.get("stills", ()))
        return Crops(path, index["blur"], entries, partial(_read_all, path), stills)


def _still_file(number: int) -> str:
    return f"still-{number}.jpg"


def _read_all(path: Path, numbers: Sequence[int]) -> Iterator[bytes]:
    with zipfile.ZipFile(path) as archive:
        for number in numbers:
            yield _read(archive, f"{number}.jpg", MAX_CROP_BYTES)


def _read(archive: zipfile.ZipFile, name: str, max_bytes: int) -> bytes:
    if archive.getinfo(name).file_size > max_bytes:
        raise ValueError(f"{name} is too large")
    return archive.read(name)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what a damaged archive causes into one line."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, cv2.error, *files.DAMAGED_ARCHIVE):
        raise SourceError(
            f"{path}: is damaged, or was not written by this program; delete it to get a report"
            " without crops"
        ) from None
