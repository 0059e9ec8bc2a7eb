"""Files: written whole or not at all, so that a full disk or an interruption leaves what was there
before, and named in natural order.
"""

import codecs
import contextlib
import errno
import lzma
import os
import re
import secrets
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from models.errors import InputError, shorten

DIGITS = re.compile(r"([0-9]+)")
MAX_TEXT_BYTES = 1_000_000_000
"""Largest table of boxes or results that is read."""
MAX_SETTINGS_BYTES = 10_000_000
"""Largest file of settings that is read."""
MAX_PATH = 200
"""Longest path in a message, characters."""
O_BINARY = getattr(os, "O_BINARY", 0)
DAMAGED_ARCHIVE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)
"""What reading a damaged zip archive raises, besides OSError and ValueError. With wrong bits, it
may seem to need a password (RuntimeError), or a newer reader (NotImplementedError, which is one).
"""


@contextlib.contextmanager
def staged(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, in a folder that is made if need be.

    The temporary file takes the place of `path` when the block ends well, and is deleted when not.
    It has the suffix of `path`, which tells some writers the format, and a name that nobody can
    guess and plant a link under. Raises OSError.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}.partial{path.suffix}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        temporary.open("xb").close()
        yield temporary
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write(path: Path, data: bytes) -> None:
    """Write a whole file, in the place of an earlier one; raises InputError, and then the earlier
    one is still there.
    """
    try:
        with staged(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise InputError(f"{path}: {failure(error)}") from None


def read_text(path: Path, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """Read a text file in UTF-8, with or without a byte order mark, or in UTF-16 with one.

    Editors and spreadsheets on Windows write the mark, which is no part of the text, and its shell
    writes UTF-16.

    Args:
        path: The file.
        max_bytes: A larger file is not read.

    Raises:
        OSError: The file cannot be read, is too large, or is no regular file: a pipe or a device
            may never end.
        UnicodeDecodeError: It is in another encoding.
    """
    data = read_bytes(path, max_bytes)
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """Return the bytes of a regular file of at most `max_bytes`; raises OSError."""
    # what is opened for reading only and not to block cannot hang, also if it is a pipe
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | O_BINARY)
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            if stat.S_ISDIR(facts.st_mode):
                raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
            raise OSError(errno.EINVAL, "Not a regular file", str(path))
        # read(max_bytes + 1) would ask for that much memory at once, however small the file is
        data = file.read() if facts.st_size <= max_bytes else b""
    if max(facts.st_size, len(data)) > max_bytes:
        raise OSError(errno.EFBIG, f"Larger than {max_bytes / 1e6:.0f} MB", str(path))
    return data


def exists(path: Path) -> bool:
    """Whether something is there; raises InputError where that cannot be known, as in a folder that
    may not be searched.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{shorten(str(path), MAX_PATH)}: cannot be read ({reason})") from None
    return True


def natural(name: str) -> tuple[list[str | int], str]:
    """Sort key that orders numbers in names by value: frame2 before frame10."""
    parts: list[str | int] = [
        int(part) if i % 2 else part for i, part in enumerate(DIGITS.split(name))
    ]
    return parts, name


def failure(error: OSError) -> str:
    """Say why something cannot be written, and what to do about it."""
    hint = (
        "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "give another place"
    )
    return f"cannot be written ({error.strerror or error}); {hint}"
