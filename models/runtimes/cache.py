"""Exported networks and chosen runtimes on disk, so that they are made once on a machine.

They lie below `models.weights.public.cache_folder`. Every file appears whole, also when two
processes write it at the same time. `models.files.staged` would not do: its temporary file has the
same name in each process.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.weights import public


def folder() -> Path:
    """The folder of exported networks and chosen runtimes."""
    return public.cache_folder() / "networks"


def path_of(name: str, parts: dict[str, str], suffix: str) -> Path:
    """Return the place of what depends on `parts`.

    Args:
        name: Start of the file's name, for people.
        parts: All that the contents depend on, by name.
        suffix: Suffix of the file, with its dot.
    """
    text = json.dumps(parts, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return folder() / f"{name}-{digest[:24]}{suffix}"


def write(path: Path, data: bytes) -> str:
    """Write a whole file, in the place of an earlier one.

    Args:
        path: The file; its folder is made if need be.
        data: Its contents.

    Returns:
        Why the file cannot be written; "" if it was.
    """
    try:
        with _temporary(path, data) as temporary:
            temporary.replace(path)
    except OSError as error:
        return str(error.strerror or error)
    return ""


def write_first(path: Path, data: bytes) -> None:
    """Write a whole file unless another process has written it already.

    Args:
        path: The file; its folder is made if need be.
        data: Its contents.

    Raises:
        OSError: The file cannot be written.
    """
    with _temporary(path, data) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
        except OSError:  # a file system without links
            temporary.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """Return what a JSON file holds; None when there is no such file or it is damaged."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None


@contextlib.contextmanager
def _temporary(path: Path, data: bytes) -> Iterator[Path]:
    """Give a file with `data` beside `path`, which no other process uses; raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".partial", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        temporary.chmod(0o644)
        yield temporary
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
