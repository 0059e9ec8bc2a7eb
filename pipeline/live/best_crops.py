"""The best crop of each tracklet of a live run, on disk as it goes, for the report.

`crops.zip` of a run over files is an archive, of which nothing is left when the run is killed, and
of which nothing can be deleted. So a live run appends its crops to `crops/<UTC time>.jsonl`, one
JSON object for each: camera, track_id, frame, quality, what is hidden (`blur`), and the JPEG in
base64. A new file begins every `FILE_S`, so that the oldest can be deleted (`retention`).

Of somebody who is still in view, the best crop until now is kept, and another one when it is better
by `BETTER`. Crops are what a run can do without: while video may not be written, none are kept.
"""

import base64
import json
import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.errors import SourceError
from pipeline.live import lines
from pipeline.live.privacy import Blur
from pipeline.live.segments import name_of, start_of
from pipeline.records import Key, Tracklet
from pipeline.report.crops import MAX_CROP_BYTES, Crops, Entry, Track, best_of

CROPS = "crops"
SUFFIX = ".jsonl"
FILE_S = 3600.0
BETTER = 0.1
"""Another crop of somebody in view is kept when its quality, 0..1, is higher by this."""
MAX_WAITING = 2000
"""Crops that wait in memory for a disk that takes none, the newest; about 5 kB each."""


class BestCrops:
    """Chooses the crops that are kept, and writes them when it is told to.

    Args:
        folder: output folder of the run.
        blur: what is hidden of people; of "bodies" nothing is left to be kept.
        clock: seconds since 1970.
    """

    def __init__(self, folder: Path, blur: Blur, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder / CROPS
        self._blur = blur
        self._clock = clock
        self._in_view: dict[Key, float] = {}
        """Quality of what was kept of each tracklet that has not closed."""
        self._lock = threading.Lock()
        self._waiting: list[str] = []
        self._file_start_s = -math.inf
        self._problem = ""

    @property
    def problem(self) -> str:
        """Why the last crops could not be written, in words; "" where they could."""
        return self._problem

    def take_closed(self, tracklets: Iterable[Tracklet]) -> None:
        """Keep the best crops of tracklets that closed."""
        for tracklet in tracklets:
            self._keep(tracklet, better_than=self._in_view.pop(tracklet.key, 0.0))

    def take_in_view(self, tracklets: Iterable[Tracklet]) -> None:
        """Keep the best crops so far of the tracklets that have not closed."""
        before = self._in_view
        self._in_view = {}
        for tracklet in tracklets:
            kept = before.get(tracklet.key, 0.0)
            quality = self._keep(tracklet, better_than=kept + BETTER if kept else 0.0)
            self._in_view[tracklet.key] = max(kept, quality)

    def take(self) -> list[str]:
        """Return what was kept and is not written yet, for `add` of another one, which writes it.

        A worker of a cluster chooses crops, and the run writes them: two processes that append to
        one file on a shared disk could tear each other's lines.
        """
        with self._lock:
            taken = self._waiting
            self._waiting = []
        return taken

    def add(self, kept: Iterable[str]) -> None:
        """Add what another one has kept."""
        with self._lock:
            self._waiting += kept
            del self._waiting[:-MAX_WAITING]

    def write(self) -> None:
        """Write what was kept since the last time; on one thread at a time."""
        waiting = self.take()
        if not waiting:
            return
        self._problem = lines.append(self._file(), "".join(waiting))
        if self._problem:
            with self._lock:
                self._waiting = [*waiting, *self._waiting][-MAX_WAITING:]

    def _keep(self, tracklet: Tracklet, better_than: float) -> float:
        """Keep the best crop of a tracklet if it is good enough; returns its quality, or 0."""
        if not len(tracklet.crops) or float(tracklet.crop_quality.max()) <= better_than:
            return 0.0
        best = best_of(tracklet, self._blur)
        if not best.encoded:
            return 0.0
        entry = {
            "camera": tracklet.camera,
            "track_id": tracklet.track_id,
            "frame": best.frame,
            "quality": best.quality,
            "blur": self._blur,
            "jpeg": base64.b64encode(best.encoded).decode("ascii"),
        }
        self.add([json.dumps(entry, separators=(",", ":")) + "\n"])
        return best.quality

    def _file(self) -> Path:
        """The file that crops are appended to now."""
        now_s = self._clock()
        if not 0 <= now_s - self._file_start_s < FILE_S:
            self._file_start_s = now_s
        return self._folder / name_of(self._file_start_s, SUFFIX)


def load(folder: Path) -> Crops:
    """Read which crops of a live run there are.

    Args:
        folder: output folder of the run.

    Returns:
        The crops, without those that are torn or damaged.
    """
    entries: dict[Track, list[Entry]] = defaultdict(list)
    places: list[tuple[Path, int]] = []
    blur: Blur = "off"
    for path in files_of(folder):
        for place, value in enumerate(lines.read(path)):
            with suppress(KeyError, TypeError, ValueError, OverflowError):
                track = (str(value["camera"]), int(value["track_id"]))
                frame = int(value["frame"])
                entries[track].append(Entry(len(places), frame, float(value["quality"])))
                places.append((path, place))
                blur = "faces" if value["blur"] == "faces" else blur
    return Crops(folder / CROPS, blur, entries, partial(_read, places))


def files_of(folder: Path) -> list[Path]:
    """Return the files of crops of a run, the oldest first."""
    found = (folder / CROPS).glob(f"*{SUFFIX}")
    return sorted(path for path in found if start_of(path.name, SUFFIX) is not None)


def _read(places: Sequence[tuple[Path, int]], numbers: Sequence[int]) -> Iterator[bytes]:
    """Yield crops as JPEG; each file is read once, whatever the order of the numbers.

    Raises SourceError where a file is gone, such as the oldest of a run that goes on.
    """
    wanted: dict[Path, dict[int, int]] = defaultdict(dict)
    for number in numbers:
        path, place = places[number]
        wanted[path][place] = number
    encoded: dict[int, bytes] = {}
    for path, in_file in wanted.items():
        for place, value in enumerate(lines.read(path)):
            if place in in_file:
                encoded[in_file[place]] = _decoded(value)
    for number in numbers:
        if number not in encoded:
            path, _ = places[number]
            raise SourceError(f"{path}: was deleted meanwhile; make the report again")
        yield encoded[number]


def _decoded(value: dict[str, Any]) -> bytes:
    encoded = base64.b64decode(value["jpeg"], validate=True)
    if len(encoded) > MAX_CROP_BYTES:
        raise ValueError("it is too large for a crop")
    return encoded
