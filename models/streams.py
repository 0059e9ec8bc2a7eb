"""Standard output and error that break no command: they may be closed, full, or unable to write a
letter, as a terminal in ASCII is.

Python raises from `print` then, in the middle of a run or after it. One that is closed from the
start is worse: the next file that is opened takes its number, and gets what libraries print.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast


class Steady:
    """Writes to a stream until that fails, then nowhere; all else is the stream's own.

    failure: why it failed; None until then.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failure: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write if possible; returns the length of the text."""
        if self.failure is None:
            try:
                self._stream.write(text)
            except OSError as error:
                self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Flush if possible."""
        if self.failure is None:
            try:
                self._stream.flush()
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Lead the file nowhere, or Python would try again, and complain, on its way out."""
        self.failure = error
        with contextlib.suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), self._stream.fileno())


@contextlib.contextmanager
def steady() -> Iterator[Steady]:
    """Make standard output and error steady while the block runs; gives standard output."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123
        output = Steady(sys.stdout or nowhere)
        errors = Steady(sys.stderr or nowhere)
        for stream in (output, errors):
            with contextlib.suppress(AttributeError, OSError):
                stream.reconfigure(errors="backslashreplace")
        with (
            contextlib.redirect_stdout(cast(TextIO, output)),
            contextlib.redirect_stderr(cast(TextIO, errors)),
        ):
            try:
                yield output
            finally:
                output.flush()
                errors.flush()
