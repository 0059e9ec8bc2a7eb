"""Ctrl-C for commands that can stop at a good place: each SIGINT asks the next stage to stop, and
one more ends the command at once.
"""

import os
import signal
import threading
from types import FrameType, TracebackType


class Interrupts:
    """Takes Ctrl-C stage by stage while its block runs.

    Each SIGINT sets the event of the first stage whose event is not set; when all are set, it
    raises KeyboardInterrupt. Set the event of a stage that has ended, so that the next SIGINT stops
    the stage after it. This holds also where SIGINT was ignored before, as it is for a shell's
    background jobs; after the block it is as before. Outside the main thread, where Python takes no
    signals, only the events work.

    Args:
        notices: for each stage, in order, the line that is printed when it is stopped; "" prints
            none.
    """

    def __init__(self, **notices: str) -> None:
        self._notices = notices
        self._events = {stage: threading.Event() for stage in notices}
        self._in_main = threading.current_thread() is threading.main_thread()

    def __getitem__(self, stage: str) -> threading.Event:
        """Event that is set when a stage shall stop, or has ended."""
        return self._events[stage]

    def __enter__(self) -> "Interrupts":
        if self._in_main:
            self._before = signal.signal(signal.SIGINT, self._stop_next)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._in_main:
            signal.signal(signal.SIGINT, self._before)

    def _stop_next(self, number: int, frame: FrameType | None) -> None:
        for stage, event in self._events.items():
            if not event.is_set():
                event.set()
                if self._notices[stage]:  # print is not safe in a signal handler
                    os.write(2, f"\n{self._notices[stage]}\n".encode())
                return
        raise KeyboardInterrupt
