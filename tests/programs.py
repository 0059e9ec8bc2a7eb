"""Programs that tests start beside themselves."""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.conftest import ROOT


@contextmanager
def running(words: Sequence[str | Path], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a program in the root of the project, with text for output.

    It is killed at the end of the block, with all that it has started, where a test that fails has
    left it.

    Args:
        words: of the command.
        options: of `subprocess.Popen`.
    """
    command = [str(word) for word in words]
    with subprocess.Popen(
        command, cwd=ROOT, text=True, start_new_session=True, **options
    ) as program:
        try:
            yield program
        finally:
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
