"""What a run over files has read so far, in its output folder, so that it can go on after a kill.

Each chunk of a worker is appended before the worker is asked for the next one. A worker that is
started again is told what is in the log (`group.Done`), and so are all workers of a run that is
resumed. A kill can only tear the last chunk, which is then left out. The journal of live runs would
not do: it is lines of text, and has rows without embeddings.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from models import documents, files, settings
from pipeline import chunks
from pipeline import config as configuration
from pipeline.address import Address
from pipeline.chunks import Chunk
from pipeline.errors import ConfigError
from pipeline.group import Done
from pipeline.outputs.folder import UNFINISHED, writing
from pipeline.result import Result
from pipeline.version import VERSION

ABOUT = "about.json"
CHUNKS = "chunks"
LENGTH_BYTES = 8
ANEW = "begin anew with --overwrite"
FREE = ("engine", "ray")
"""Settings that a resumed run may change: nothing that is found depends on them."""


class RunLog:
    """The log of one run."""

    def __init__(self, output: Path, result: Result, resume: bool) -> None:
        """Look at what is there, but do not touch it yet.

        Args:
            output: folder of the results.
            result: of the run, which has not begun.
            resume: go on with the log that is there, if there is one.

        Raises:
            ConfigError: the log there is of other settings, networks or videos.
        """
        self._folder = output / UNFINISHED
        self._about = _about(result)
        self.is_resumed = resume and (self._folder / ABOUT).is_file()
        if self.is_resumed:
            _refuse_others(output, _read_about(self._folder / ABOUT), self._about)

    def begin(self) -> None:
        """Make the log, unless the run goes on with one; raises OutputError."""
        path = self._folder / CHUNKS
        with writing(path):
            if self.is_resumed:
                _cut_torn(path)
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
            with files.staged(self._folder / ABOUT) as temporary:
                temporary.write_text(json.dumps(self._about), encoding="utf-8")

    def append(self, data: bytes) -> None:
        """Add a chunk, as `chunks.to_bytes` made it; raises OutputError."""
        path = self._folder / CHUNKS
        with writing(path), path.open("ab") as file:
            file.write(len(data).to_bytes(LENGTH_BYTES, "little"))
            file.write(data)

    def read(self) -> Iterator[Chunk]:
        """Yield all chunks, in order; raises ConfigError where the log is damaged."""
        path = self._folder / CHUNKS
        for data in _entries(path):
            try:
                chunk = chunks.from_bytes(data)
            except ValueError:
                raise ConfigError(f"{path}: is damaged; {ANEW}") from None
            yield chunk

    def done(self, cameras: Collection[str]) -> Done:
        """Return what is known of some cameras.

        Args:
            cameras: their names.
        """
        return Done.of(self.read(), cameras)


def _about(result: Result) -> dict[str, Any]:
    """What all chunks of a run depend on."""
    stamps: dict[str, list[int]] = {}
    for camera in result.config.cameras:
        status = Path(Address.parse(camera.source).path).stat()
        stamps[camera.name] = [status.st_size, status.st_mtime_ns]
    return {
        "version": VERSION,
        "detector": [result.detector_sha256, *result.detector_choice],
        "reid": [result.reid_sha256, *result.reid_choice],
        "sources": stamps,
        "settings": configuration.stored(result.config).model_dump(mode="json"),
    }


def _read_about(path: Path) -> dict[str, Any]:
    """What a log depends on; raises ConfigError."""
    try:
        about = documents.from_json(files.read_text(path))
    except (OSError, ValueError):
        about = None
    if not isinstance(about, dict):
        raise ConfigError(f"{path}: is damaged; {ANEW}")
    return about


def _refuse_others(output: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise ConfigError when a log is not of this run."""
    title = f"{output}: the run that is to be resumed"
    if before.get("version") != now["version"]:
        raise ConfigError(f"{title} is of version {before.get('version')}; use that, or {ANEW}")
    earlier = configuration.build(dict(before.get("settings", {})), str(output))
    current = configuration.build(dict(now["settings"]), "settings")
    changed = [
        key for key in settings.differing(earlier, current) if key.partition(".")[0] not in FREE
    ]
    if changed:
        raise ConfigError(f"{title} has other {', '.join(changed)}; give the same, or {ANEW}")
    for name in ("detector", "reid"):
        if before.get(name) != now[name]:
            raise ConfigError(
                f"{title} has another network, runtime or precision ({name}); give the same"
                f" weights, runtime and precision, or {ANEW}"
            )
    stamps = before.get("sources", {})
    for camera, stamp in now["sources"].items():
        if stamps.get(camera) != stamp:
            raise ConfigError(f"{title}: the source of {camera} has changed since; {ANEW}")


def _entries(path: Path) -> Iterator[bytes]:
    """Chunks of a log that are whole, packed."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        while length := file.read(LENGTH_BYTES):
            n_bytes = int.from_bytes(length, "little")
            data = file.read(n_bytes)
            if len(length) < LENGTH_BYTES or len(data) < n_bytes:
                return
            yield data


def _cut_torn(path: Path) -> None:
    """Cut what comes after the last whole chunk."""
    n_whole = sum(LENGTH_BYTES + len(data) for data in _entries(path))
    with path.open("ab") as file:
        file.truncate(n_whole)
