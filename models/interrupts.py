"""Ctrl-C for commands that can stop at a good place: the first asks, the second ends at once.

`pipeline.run.Interrupts` would not do: it counts three stages of a run, and draws between them.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Within the block the first SIGINT only makes the yielded function answer True; the second
    raises KeyboardInterrupt.

    That holds also where SIGINT was ignored before, as it is for a shell's background jobs;
    afterwards it is as it was.
    """
    stop = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield stop.is_set
    finally:
        signal.signal(signal.SIGINT, before)
