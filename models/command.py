"""The edge of a command: errors of input become one line and an exit code."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from models.errors import InputError

INPUT_ERROR = 2
INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """As argparse's, and a path that begins with a dash is a path if it exists."""

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def] # noqa: D102
        words = sys.argv[1:] if args is None else args
        return super().parse_known_args([_as_path(word) for word in words], namespace)

    def error(self, message: str) -> NoReturn:
        """Exit with 2 and the message, with what to type for paths that begin with a dash."""
        if "expected" in message or "unrecognized" in message:
            message += " (a path that begins with a dash is written ./-name)"
        super().error(message)


def _as_path(word: str) -> str:
    """`./-cam.mp4` for `-cam.mp4` that exists; options have neither dot nor slash."""
    is_path = word.startswith("-") and ("." in word or "/" in word) and Path(word).exists()
    return f"./{word}" if is_path else word


def run(
    command: Callable[[argparse.Namespace], int | None],
    parsed: argparse.Namespace,
    errors: type[Exception] | tuple[type[Exception], ...] = InputError,
    interrupted: str = "interrupted",
) -> int:
    """Run a command and return its exit code.

    Args:
        command: Takes the parsed command line; returns an exit code, or None for 0.
        parsed: The parsed command line.
        errors: What the user can mend; its text is printed as one line.
        interrupted: What is printed after Ctrl-C.

    Returns:
        The exit code of the command, 2 after an error in the input, 130 after Ctrl-C.
    """
    try:
        return command(parsed) or 0
    except errors as error:
        print(f"error: {error}", file=sys.stderr)
        return INPUT_ERROR
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return INTERRUPTED
