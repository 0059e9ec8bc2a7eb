"""Fetch a public model: everything is checked in memory before anything is written, so what lies in
the folder is right.
"""

import http.client
import urllib.error
import urllib.request
from pathlib import Path

from models import files
from models.errors import InputError
from models.weights import checksums
from models.weights.public import Public, PublicFile, fault

TIMEOUT_S = 60.0
AGENT = "multi-camera-people-tracker"


def fetch(
    model: Public, folder: Path, mirror: str = "", timeout_s: float = TIMEOUT_S
) -> list[Path]:
    """Fetch what is not in `folder` yet, as published; returns the files that were. Raises
    InputError, and then writes none.

    `mirror`: URL of a folder that holds the files under the names that they have here, instead of
      their publisher's.
    `timeout_s`: without a byte.
    """
    wanted = [file for file in model.files if fault(file, folder)]
    places = {
        file.file: f"{mirror.rstrip('/')}/{file.file}" if mirror else file.url for file in wanted
    }
    try:
        fetched = [_download(places[file.file], file, timeout_s) for file in wanted]
    except (OSError, http.client.HTTPException, ValueError) as error:
        by_hand = " and ".join(f"{url} as {name}" for name, url in places.items())
        raise InputError(
            f"{model.name}: cannot be fetched ({_reason(error)}); fetch by hand {by_hand}, into"
            f" {folder}; nothing was kept"
        ) from None
    for file, data in zip(wanted, fetched, strict=True):
        files.write(folder / file.file, data)
    return [folder / file.file for file in wanted]


def _download(url: str, file: PublicFile, timeout_s: float) -> bytes:
    """Contents of one file, checked; raises OSError, HTTPException or ValueError."""
    request = urllib.request.Request(url, headers={"User-Agent": AGENT})
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            data: bytes = response.read(file.bytes + 1)
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        raise ValueError(f"HTTP {error.code}") from None
    if len(data) < file.bytes:
        raise ValueError(f"{file.file} broke off after {len(data)} of {file.bytes} bytes")
    if checksums.of_bytes(data, file.checksum.partition(":")[0]) != file.checksum:
        raise ValueError(f"{file.file} is not the file that was published: its checksum differs")
    return data


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return (
        " ".join(str(getattr(reason, "strerror", None) or reason).split())[:120]
        or type(error).__name__
    )
