"""Files of exports appear when they are complete, and errors are one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models import files
from pipeline.errors import OutputError


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """Give a path to write, which takes the place of `path` when the block ends well.

    Args:
        path: where the file goes; missing folders are made.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        with files.staged(path) as temporary:
            yield temporary
    except OSError as error:
        raise OutputError(f"{path}: {files.failure(error)}") from None
