"""Embedded tracklets on disk, so that a benchmark of linking detects and embeds each scene once.

An entry is a .npz without pickle, so that reading one runs no code. Its name holds a hash of all
that its tracklets depend on: the input files, the settings, the weights, the installed packages,
and the source of the program up to embedding. The source counts as it is on disk, committed or not;
a change to linking alone keeps the entry. Entries of older versions stay until they are deleted,
which is safe at any time.
"""

import dataclasses
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models import files
from pipeline.outputs.manifest import packages
from pipeline.records import Array, Camera, Embedded, Tracklet

ROOT = Path(__file__).parents[2]
SOURCES = ("models", "pipeline")
AFTER_EMBEDDING = (
    "api.py",
    "cli.py",
    "config.py",
    "evaluate",
    "explain.py",
    "fill.py",
    "linking",
    "online",
    "outputs",
    "run.py",
)
"""Files and folders of `pipeline` that embedded tracklets do not depend on; the values of all
settings but those of `SETTINGS_AFTER_EMBEDDING` are part of the hash themselves.
"""
SETTINGS_AFTER_EMBEDDING = ("linking", "output")


def default_folder() -> Path:
    """Return the folder of this user's entries, below `XDG_CACHE_HOME` or else `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    cache = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return cache / "multi-camera-people-tracker" / "tracklets"


def key(inputs: Iterable[Path], settings: Mapping[str, Any], root: Path = ROOT) -> str:
    """Hash all that embedded tracklets depend on.

    Args:
        inputs: Files whose content matters, videos and weights; the order does not count.
        settings: Settings of the run by section, values that JSON can hold; those of linking and
            output do not count.
        root: Folder that holds the source folders of the program.

    Returns:
        Sixteen hexadecimal digits.
    """
    digests = sorted(_digest(path) for path in inputs)
    sources = {str(path.relative_to(root)): _digest(path) for path in _sources(root)}
    used = {name: v for name, v in settings.items() if name not in SETTINGS_AFTER_EMBEDDING}
    parts = [digests, sources, packages(), used]
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def save(path: Path, embedded: Sequence[Embedded], cameras: Sequence[Camera]) -> None:
    """Write an entry, whole or not at all, into a folder that only this user can open.

    Args:
        path: The .npz file.
        embedded: Tracklets without crops, embeddings of one width.
        cameras: Their cameras.

    Raises:
        InputError: The file cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    tracklets = [e.tracklet for e in embedded]
    columns = _columns("tracklet", Tracklet, tracklets)
    columns |= _columns("embedded", Embedded, embedded, without="tracklet")
    plain = []
    for camera in cameras:
        fields = _fields(camera)
        columns[f"homography.{camera.name}"] = fields.pop("homography")
        plain.append(fields)
    columns["cameras"] = np.array(json.dumps(plain))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **columns)
    files.write(path, buffer.getvalue())


def load(path: Path) -> tuple[list[Embedded], list[Camera]] | None:
    """Read what `save` wrote.

    Args:
        path: The .npz file.

    Returns:
        Tracklets and cameras in the order they were saved in; None when the file is absent or is
        no such entry.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            columns = {name: stored[name] for name in stored.files}
        cameras = []
        for plain in json.loads(columns["cameras"].item()):
            homography = columns[f"homography.{plain['name']}"]
            cameras.append(Camera(**plain, homography=homography))
        tracklets = [Tracklet(**row) for row in _rows("tracklet", columns)]
        rows = _rows("embedded", columns)
        embedded = [Embedded(tracklet=t, **row) for t, row in zip(tracklets, rows, strict=True)]
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None
    return embedded, cameras


def _sources(root: Path) -> list[Path]:
    unused = [root / "pipeline" / name for name in AFTER_EMBEDDING]
    found = []
    for folder in SOURCES:
        for path in (root / folder).rglob("*.py"):
            is_unused = any(map(path.is_relative_to, unused))
            if not is_unused:
                found.append(path)
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fields(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def _columns(
    prefix: str, kind: type[Any], records: Sequence[Any], without: str = ""
) -> dict[str, Array]:
    """One array per field: values of all records, or their rows one below the other and lengths."""
    found: dict[str, Array] = {f"{prefix}.n": np.array(len(records))}
    if not records:
        return found
    for field in dataclasses.fields(kind):
        if field.name == without:
            continue
        values = [getattr(record, field.name) for record in records]
        name = f"{prefix}.{field.name}"
        if isinstance(values[0], np.ndarray):
            found[name] = np.concatenate(values)
            found[f"{name}.lengths"] = np.array([len(value) for value in values])
        else:
            found[name] = np.array(values)
    return found


def _rows(prefix: str, columns: Mapping[str, Array]) -> list[dict[str, Any]]:
    """The fields of each record, from what `_columns` returned."""
    n_records = int(columns[f"{prefix}.n"])
    records: list[dict[str, Any]] = [{} for _ in range(n_records)]
    for name, column in columns.items():
        start, _, field = name.partition(".")
        if start != prefix or field == "n" or field.endswith(".lengths"):
            continue
        lengths = columns.get(f"{name}.lengths")
        values: Sequence[Any]
        if lengths is None:
            values = column.tolist()
        else:
            begins = np.cumsum(lengths)[:-1]
            values = np.split(column, begins)
        for record, value in zip(records, values, strict=True):
            record[field] = value
    return records
