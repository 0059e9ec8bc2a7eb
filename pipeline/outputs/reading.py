"""Results of a run read again, for commands that take an output folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models import documents, files
from pipeline.errors import SourceError

Json = dict[str, Any]


def read(path: Path) -> Json:
    """Return a JSON document of a run.

    Args:
        path: its file.

    Raises:
        SourceError: it cannot be read, or is no such document.
    """
    try:
        document = documents.from_json(files.read_text(path))
    except OSError:
        raise SourceError(
            f"{path}: cannot be read; give the output folder of a run over files, not of a live run"
        ) from None
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise SourceError(
            f"{path}: was not written by this program; give the output folder of a run"
        )
    return document


@contextmanager
def written_by_us(folder: Path) -> Iterator[None]:
    """Turn what documents of another form cause into one line.

    Args:
        folder: where they are.

    Raises:
        SourceError: they have another form.
    """
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError):
        raise SourceError(
            f"{folder}: its results were not written by this program; give the output folder of a"
            " run"
        ) from None
