"""Fingerprints of files of weights."""

import functools
import hashlib
from pathlib import Path


def sha256(path: Path) -> str:
    """Hex digest of a file, or of the names and contents of several: those below a folder, or an
    OpenVINO .xml and its .bin.
    """
    files = _files(path)
    digest = hashlib.sha256()
    for file in files:
        if files != [path]:
            digest.update(
                file.relative_to(path if path.is_dir() else path.parent).as_posix().encode()
            )
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.is_file())
    second = path.with_suffix(".bin")
    return [path, second] if path.suffix == ".xml" and second.is_file() else [path]


def of_bytes(data: bytes, algorithm: str) -> str:
    """`algorithm:hex` of data in memory."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def of_file(path: Path, algorithm: str) -> str:
    """`algorithm:hex` of one file, computed once a process unless its size or date changes; raises
    OSError.
    """
    about = path.stat()
    return _of_file(path.resolve(), about.st_size, about.st_mtime_ns, algorithm)


@functools.lru_cache(maxsize=256)
def _of_file(path: Path, size: int, changed_ns: int, algorithm: str) -> str:
    """Digest of a file; size and date are part of the cache's key."""
    with path.open("rb") as stream:
        return f"{algorithm}:{hashlib.file_digest(stream, algorithm).hexdigest()}"
