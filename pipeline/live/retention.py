"""How long the pictures of a live run are kept, and how many; rows and events always are.

Pictures are the segments of video, and the files of best crops. The oldest are deleted when they
are `live.keep_days` old, or when all are larger than `live.keep_gb`. Nothing else is ever deleted:
no other file, no link, and nothing that is being written. No pictures are written while less than
`live.min_free_gb` is free on the disk, so that rows and events still have room.
"""

import shutil
import stat
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from models.errors import one_line
from pipeline.config import LiveConfig
from pipeline.live import best_crops
from pipeline.live.segments import SEGMENTS, start_of

GB = 1e9
DAY_S = 86_400.0
PERIOD_S = 10.0
RESUME = 1.05
"""Video resumes when this multiple of `min_free_gb` is free, so that it does not alternate."""
CLOSE_S = 5.0


@dataclass(frozen=True, slots=True, order=True)
class _Kept:
    """A file of pictures that is finished."""

    start_s: float
    path: Path
    n_bytes: int


class Retention:
    """Looks at the pictures every `PERIOD_S`, on a thread of its own.

    Args:
        folder: output folder of the run.
        live: what is kept.
        current: returns the segments that are being written.
        now: returns the time, seconds since 1970.
    """

    def __init__(
        self,
        folder: Path,
        live: LiveConfig,
        current: Callable[[], Collection[Path]],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._live = live
        self._current = current
        self._now = now
        self._blocked = ""
        self._problem = ""
        self._n_deleted = 0
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def problem(self) -> str:
        """Why files could not be deleted at the last look, in words; "" where they could."""
        return self._problem

    @property
    def n_deleted(self) -> int:
        """Files deleted so far."""
        return self._n_deleted

    def blocked(self) -> str:
        """Return why no pictures may be written now, in words; "" where they may."""
        return self._blocked

    def start(self) -> None:
        """Look once, and go on on a thread."""
        self._look()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread; waits for a disk that hangs for at most `CLOSE_S`."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(CLOSE_S)

    def check(self) -> None:
        """Delete what is too old or too much, and look how much room is left.

        Raises:
            OSError: the folder cannot be read.
        """
        problems = self._delete()
        segments = self._folder / SEGMENTS  # which may be a link to another disk
        disk = segments if segments.is_dir() else self._folder
        free_gb = shutil.disk_usage(disk).free / GB
        least_gb = self._live.min_free_gb * (RESUME if self._blocked else 1.0)
        if free_gb < least_gb:
            self._blocked = (
                f"only {free_gb:.1f} GB are free on the disk, and live.min_free_gb is"
                f" {self._live.min_free_gb:g}; free some space, or set live.keep_gb"
            )
        else:
            self._blocked = ""
        self._problem = "; ".join(problems[:1])

    def _run(self) -> None:
        while not self._closing.wait(PERIOD_S):
            self._look()

    def _look(self) -> None:
        try:
            self.check()
        except Exception as error:  # noqa: BLE001 - the edge of a thread: the run goes on, and says so
            self._problem = f"segments cannot be looked at ({one_line(error)})"

    def _delete(self) -> list[str]:
        """Delete files; returns what went wrong."""
        live = self._live
        if not live.keep_days and not live.keep_gb:
            return []
        now_s = self._now()
        kept = [*self._segments(), *self._crops(now_s)]
        oldest_s = now_s - live.keep_days * DAY_S if live.keep_days else -float("inf")
        most_bytes = live.keep_gb * GB if live.keep_gb else float("inf")
        n_bytes = sum(each.n_bytes for each in kept)
        being_written = set(self._current())
        problems = []
        for each in sorted(kept):
            if each.start_s >= oldest_s and n_bytes <= most_bytes:
                break
            if each.path in being_written:
                continue
            try:
                each.path.unlink(missing_ok=True)
                self._n_deleted += 1
                n_bytes -= each.n_bytes
            except OSError as error:
                problems.append(f"{each.path}: cannot be deleted ({error.strerror or error})")
        return problems

    def _segments(self) -> list[_Kept]:
        """All segments of all cameras, also of those that were removed."""
        found = []
        for path in (self._folder / SEGMENTS).glob("*/*"):
            start_s = start_of(path.name)
            if start_s is not None:
                found += _kept(path, start_s)
        return found

    def _crops(self, now_s: float) -> list[_Kept]:
        """All files of best crops but the one that is being written."""
        found = []
        for path in best_crops.files_of(self._folder):
            start_s = start_of(path.name, best_crops.SUFFIX)
            if start_s is not None and now_s - start_s >= best_crops.FILE_S:
                found += _kept(path, start_s)
        return found


def _kept(path: Path, start_s: float) -> list[_Kept]:
    """A file that begins at a time; none for what is gone, a link or a folder."""
    with suppress(FileNotFoundError):
        facts = path.lstat()
        if stat.S_ISREG(facts.st_mode) and not path.parent.is_symlink():
            return [_Kept(start_s, path, facts.st_size)]
    return []
