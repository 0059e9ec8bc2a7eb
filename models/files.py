"""Files that are whole or not there: a full disk or an interruption leaves what was there
before.
"""

import contextlib
import errno
from pathlib import Path

from models.errors import InputError


def write(path: Path, data: bytes) -> None:
    """Write a whole file, in the place of an earlier one; raises InputError, and then the earlier
    one is still there.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        raise InputError(f"{path}: {failure(error)}") from None
    finally:
        with contextlib.suppress(OSError):  # its folder may be none
            partial.unlink(missing_ok=True)


def failure(error: OSError) -> str:
    """Say why something cannot be written, and what to do about it."""
    hint = (
        "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "give another place"
    )
    return f"cannot be written ({error.strerror or error}); {hint}"
