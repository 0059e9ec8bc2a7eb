"""Files: written whole or not at all, so that a full disk or an interruption leaves what was there
before, and named in natural order.
"""

import codecs
import contextlib
import errno
import re
from collections.abc import Iterator
from pathlib import Path

from models.errors import InputError

DIGITS = re.compile(r"([0-9]+)")


@contextlib.contextmanager
def staged(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, in a folder that is made if need be.

    The temporary file takes the place of `path` when the block ends well, and is deleted when not.
    It has the suffix of `path`, which tells some writers the format. Raises OSError.
    """
    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
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


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, with or without a byte order mark, or in UTF-16 with one.

    Editors and spreadsheets on Windows write the mark, which is no part of the text, and its shell
    writes UTF-16.

    Raises:
        OSError: The file cannot be read.
        UnicodeDecodeError: It is in another encoding.
    """
    data = path.read_bytes()
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
    return text.replace("\r\n", "\n").replace("\r", "\n")


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
