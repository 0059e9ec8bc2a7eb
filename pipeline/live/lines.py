"""Files of JSON lines that a kill cannot break: only whole lines are appended to them."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from models import files


def append(path: Path, text: str) -> str:
    """Append whole lines and wait until the disk has them; returns what went wrong.

    After a failure the file is as it was before.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        with path.open("ab", buffering=0) as file:  # a buffer would be written again on closing
            n_bytes = file.tell()
            waiting = memoryview(text.encode())
            try:
                while waiting:
                    waiting = waiting[file.write(waiting) :]
                os.fsync(file.fileno())
            except OSError:
                _truncate(path, n_bytes)
                raise
        if is_new:
            sync_folder(path.parent)
    except OSError as error:
        return f"{path}: {files.failure(error)}"
    return ""


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a file, one a line; a file that is not there has none.

    A last line without an end is torn, also where it can be read.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict):
                yield value


def cut_torn(path: Path) -> None:
    """Cut what comes after the last whole line."""
    try:
        file = path.open("r+b")
    except FileNotFoundError:
        return
    with file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(end - 65_536, 0)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        file.truncate(end)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on disk, where the system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _truncate(path: Path, n_bytes: int) -> None:
    with suppress(OSError):
        os.truncate(path, n_bytes)
