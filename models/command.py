"""The edge of a command: errors of input become one line and an exit code."""

import argparse
import sys
from collections.abc import Callable

from models.errors import InputError

INPUT_ERROR = 2
INTERRUPTED = 130


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
