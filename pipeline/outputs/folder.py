"""The results folder: nothing half-written, nothing of others deleted.

Files are written under a temporary name and renamed when complete. `run.json`, written last, lists
them; `--overwrite` deletes the files that an earlier `run.json` lists, and nothing else.
"""

import errno
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from models import files
from pipeline.errors import OutputError

MANIFEST = "run.json"


class OutputFolder:
    """Where a run's files go; `written` names those that are complete."""

    def __init__(self, path: Path, overwrite: bool) -> None:
        """Look, but do not touch yet; raises OutputError when the folder holds something and
        `overwrite` is not given.
        """
        self.path = path
        self.written: list[str] = []
        with writing(path):
            if path.exists() and not path.is_dir():
                raise OutputError(f"{path}: is a file; choose another --output")
            if path.is_dir() and any(path.iterdir()) and not overwrite:
                raise OutputError(
                    f"{path}: is not empty; choose another --output or add --overwrite"
                )

    def create(self) -> None:
        """Make the folder, and delete what an earlier run left in it."""
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._clear()

    def _clear(self) -> None:
        try:
            old = json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))
            names = [*old["files"], MANIFEST] if old["schema"].startswith("run/") else []
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return
        for name in names:
            file = self.path / str(name)
            if file.is_file() and file.resolve().is_relative_to(self.path.resolve()):
                file.unlink()

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """Give a temporary path to write; it becomes `name` when the block ends well, and is
        deleted when not.
        """
        target = self.path / name
        with writing(target), files.staged(target) as temporary:
            yield temporary
        self.written.append(name)

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


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write (full disk, no permission) into one line."""
    try:
        yield
    except OSError as error:
        hint = (
            "free some space or choose another --output"
            if error.errno == errno.ENOSPC
            else "choose another --output"
        )
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error}); {hint}"
        ) from None
