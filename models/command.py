"""The edge of a command: errors of input become one line and an exit code."""

import argparse
import errno
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from models import streams
from models.errors import InputError, hide_credentials, shorten

INPUT_ERROR = 2
INTERRUPTED = 130
MAX_PATH = 200
OUT_OF_MEMORY = (
    "out of memory; free some, or take smaller batches, smaller pictures or fewer cameras at once"
)
NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "insufficient memory")
"""What torch for CUDA, torch, its Windows form and OpenCV say."""


class Parser(argparse.ArgumentParser):
    """As argparse's, and a path that begins with a dash is a path if it exists."""

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def] # noqa: D102
        words = sys.argv[1:] if args is None else args
        return super().parse_known_args([_as_path(word) for word in words], namespace)

    def error(self, message: str) -> NoReturn:
        """Exit with 2 and the message, with what to type for paths that begin with a dash."""
        if "expected" in message or "unrecognized" in message:
            message += " (a path that begins with a dash is written ./-name)"
        super().error(hide_credentials(message))


def _as_path(word: str) -> str:
    """`./-cam.mp4` for `-cam.mp4` that exists; options have neither dot nor slash."""
    is_path = word.startswith("-") and ("." in word or "/" in word) and Path(word).exists()
    return f"./{word}" if is_path else word


def run(
    command: Callable[[argparse.Namespace], int | None],
    parsed: argparse.Namespace,
    errors: type[Exception] | tuple[type[Exception], ...] = InputError,
    interrupted: str = "interrupted",
    results_are_files: bool = False,
) -> int:
    """Run a command and return its exit code.

    Args:
        command: Takes the parsed command line; returns an exit code, or None for 0.
        parsed: The parsed command line.
        errors: What the user can mend; its text is printed as one line.
        interrupted: What is printed after Ctrl-C.
        results_are_files: What the command prints is no result, and may be lost.

    Returns:
        The exit code of the command; 2 after an error in the input, of a file that cannot be used,
        without memory, or when the result cannot be printed; 130 after Ctrl-C.
    """
    with streams.steady() as output:
        code = _code(command, parsed, errors, interrupted)
        output.flush()
        lost = output.failure
        if code == 0 and lost is not None and not isinstance(lost, BrokenPipeError):
            kind = "warning" if results_are_files else "error"
            print(f"{kind}: standard output cannot be written ({lost.strerror})", file=sys.stderr)
            code = 0 if results_are_files else INPUT_ERROR
    return code


def _code(
    command: Callable[[argparse.Namespace], int | None],
    parsed: argparse.Namespace,
    errors: type[Exception] | tuple[type[Exception], ...],
    interrupted: str,
) -> int:
    try:
        return command(parsed) or 0
    except errors as error:
        reason = str(error)
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if is_out_of_memory(error):
            reason = OUT_OF_MEMORY
        elif isinstance(error, OSError) and error.filename is not None:
            path = hide_credentials(shorten(str(error.filename), MAX_PATH))
            reason = f"{path}: {error.strerror}"
        else:
            raise
    print(f"error: {reason}", file=sys.stderr)
    return INPUT_ERROR


def is_out_of_memory(error: Exception) -> bool:
    """Return whether Python, torch, OpenCV or the system had no memory left."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    text = str(error).lower()
    return any(words in text for words in NO_MEMORY)
