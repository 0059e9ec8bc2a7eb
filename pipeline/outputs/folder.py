"""The results folder: nothing half-written, nothing of others deleted, nothing of an earlier run
lost before there is something in its place.

Files are written into a hidden folder with a name that nobody can guess, and moved to where they
belong by `publish`, together, with a `run.json` that lists them. `--overwrite` then deletes the
files that an earlier `run.json` lists, and nothing else. What a killed run leaves is its hidden
folder, which the next run deletes. A run holds a lock on the folder as long as it lives.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from models import documents, files
from pipeline.errors import OutputError

try:
    import fcntl
except ImportError:  # on Windows there is no lock
    fcntl = None  # type: ignore[assignment]

MANIFEST = "run.json"
MOT = "mot"
"""The only subfolder of the results."""
LARGE = (".mp4", ".npz", ".zip")
"""Suffixes of large files, which nobody edits."""
HIDDEN = ".people-tracker-"
UNFINISHED = ".unfinished"
"""A folder in it that a killed run leaves, to go on with (`cluster.log`)."""


class OutputFolder:
    """Where a run's files go; `written` names those that are complete."""

    def __init__(self, path: Path, overwrite: bool, resume: bool = False) -> None:
        """Look, but do not touch yet.

        Args:
            path: the folder.
            overwrite: whether it may hold the results of an earlier run.
            resume: whether it may hold an unfinished run, with which this one goes on.

        Raises:
            OutputError: it holds what it may not.
        """
        self.path = path
        self.written: list[str] = []
        self._overwrite = overwrite
        self._is_resumed = resume and (path / UNFINISHED).is_dir()
        self._lock = -1
        self._hidden = path
        self._published: set[str] = set()
        self._earlier: list[str] = []
        self._is_first = True
        with writing(path):
            if path.exists() and not path.is_dir():
                raise OutputError(f"{path}: is a file; choose another --output")
            self._check()

    def create(self) -> None:
        """Make the folder and lock it; what an earlier run left in it stays until `publish`.

        Raises:
            OutputError: it cannot be made, another run writes into it, or it has been filled since.
        """
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            self._check()
            for left in self.path.glob(f"{HIDDEN}*"):
                if left.is_dir() and not left.is_symlink():
                    shutil.rmtree(left)
            if not self._is_resumed:
                self.forget_unfinished()
            self._hidden = Path(tempfile.mkdtemp(prefix=HIDDEN, dir=self.path))

    def reopen(self) -> None:
        """Take away the `run.json` of an earlier run, which goes on and so has not ended.

        Raises:
            OutputError: it cannot be deleted.
        """
        self._earlier = listed(self.path)
        with writing(self.path / MANIFEST):
            (self.path / MANIFEST).unlink(missing_ok=True)

    def forget_unfinished(self) -> None:
        """Delete what a run needs to go on, because it has ended or is begun anew."""
        unfinished = self.path / UNFINISHED
        if unfinished.is_dir() and not unfinished.is_symlink():
            shutil.rmtree(unfinished)

    def close(self) -> None:
        """Delete what was not published, and let others write into the folder."""
        if self._hidden != self.path:
            shutil.rmtree(self._hidden, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """Give a path to write; the file counts as written when the block ends well, and is deleted
        when not.
        """
        path = self._hidden / name
        with writing(self.path / name):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                yield path
            except BaseException:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
                raise
        self.written.append(name)

    def keep(self, names: Iterable[str], source: Path) -> None:
        """Take files of an earlier run into the results as they are.

        Args:
            names: their paths in its folder.
            source: that folder, which may be this one.

        Raises:
            OutputError: they cannot be copied.
        """
        for name in names:
            if source.resolve() == self.path.resolve():
                self.written.append(name)
                self._published.add(name)
                continue
            with self.file(name) as path:
                _copy(source / name, path)

    def find(self, name: str) -> Path:
        """Where a written file lies now."""
        return (self.path if name in self._published else self._hidden) / name

    def write_text(self, name: str, text: str) -> None:
        """Write a text file; raises OutputError."""
        self.write_parts(name, [text])

    def write_parts(self, name: str, parts: Iterable[str]) -> None:
        """Write a text file part by part; raises OutputError.

        Args:
            name: path of the file in the folder.
            parts: the text, in order.
        """
        with self.file(name) as path, path.open("w", encoding="utf-8") as file:
            file.writelines(parts)

    def publish(self, manifest: str) -> None:
        """Put all written files in the place of those of the earlier run, `run.json` last.

        Args:
            manifest: text of `run.json`, which lists the written files and itself.

        Raises:
            OutputError: a file cannot be put in its place; all are then kept where they are.
        """
        is_first = self._is_first
        self._is_first = False
        if not is_first:
            self.written.remove(MANIFEST)
            self._published.remove(MANIFEST)
        self.write_text(MANIFEST, manifest)
        try:
            if is_first:
                old = self._earlier or listed(self.path)
                (self.path / MANIFEST).unlink(missing_ok=True)
                self._delete([name for name in old if name not in self.written])
            for name in self.written:
                if name not in self._published:
                    self._move(name)
        except OSError as error:
            kept = self._hidden
            self._hidden = self.path
            raise OutputError(
                f"{error.filename2 or error.filename or self.path}: cannot be written"
                f" ({error.strerror}); the results are kept in {kept}, move them from there"
            ) from None

    def _check(self) -> None:
        """Raise OutputError when the folder may not be written into."""
        may_be_full = self._overwrite or self._is_resumed
        if self.path.is_dir() and any(self.path.iterdir()) and not may_be_full:
            if (self.path / UNFINISHED).is_dir():
                raise OutputError(
                    f"{self.path}: holds an unfinished run; add --resume to go on with it, or"
                    " --overwrite to begin anew"
                )
            raise OutputError(
                f"{self.path}: is not empty; choose another --output or add --overwrite"
            )
        inner = self.path / MOT
        if inner.is_symlink() or (inner.exists() and not inner.is_dir()):
            raise OutputError(
                f"{inner}: is not a folder of results (a link or a file); remove it or choose"
                " another --output"
            )

    def _take_lock(self) -> None:
        """Lock the folder itself, so that no file is left; not on file systems without locks."""
        if fcntl is None:
            return
        self._lock = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise OutputError(
                f"{self.path}: another run is writing into it; choose another --output, or wait"
            ) from None
        except OSError:
            return

    def _delete(self, names: Iterable[str]) -> None:
        for name in names:
            file = self.path / name
            if file.is_file() and file.resolve().is_relative_to(self.path.resolve()):
                file.unlink()

    def _move(self, name: str) -> None:
        target = self.path / name
        if target.parent != self.path:
            target.parent.mkdir(exist_ok=True)
            if target.parent.is_symlink():
                raise NotADirectoryError(errno.ENOTDIR, "it is a link", str(target.parent))
        (self._hidden / name).replace(target)
        self._published.add(name)


def _copy(source: Path, target: Path) -> None:
    """Copy a file. Large ones, which nobody edits, become another name of the same file where that
    is possible: a run replaces results and never changes them.
    """
    if source.suffix in LARGE:
        with suppress(OSError):
            os.link(source, target)
            return
    shutil.copyfile(source, target)


def listed(path: Path) -> list[str]:
    """Return the names of the files that the `run.json` of a folder lists; none without it."""
    try:
        old = documents.from_json(files.read_text(path / MANIFEST))
        return [str(n) for n in old["files"]] if old["schema"].startswith("run/") else []
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write (full disk, no permission) into one line."""
    try:
        yield
    except OSError as error:
        hint = (
            "free some space or choose another --output"
            if error.errno in (errno.ENOSPC, errno.EDQUOT)
            else "choose another --output"
        )
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error}); {hint}"
        ) from None
