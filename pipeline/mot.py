"""MOTChallenge text files with the errors of the pipeline; see `models.mot`."""

from pathlib import Path

from models import mot
from models.errors import InputError
from models.mot import boxes, line, truth_line
from pipeline.errors import SourceError
from pipeline.records import Array

__all__ = ["boxes", "line", "read", "truth_line"]


def read(path: Path) -> Array:
    """Return the rows as float64 (n, columns), columns as in the file; raises SourceError naming
    the bad line.
    """
    try:
        return mot.read(path)
    except InputError as error:
        raise SourceError(str(error)) from None
