"""Ctrl-C for commands that can stop at a good place: each asks the next stage to stop, and one more
ends the command at once. A service manager, a batch system and a closed terminal are heard as well.
"""

import contextlib
import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
SIGNALS = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]  # no SIGHUP on Windows


class Interrupts:
    """Takes Ctrl-C (SIGINT), SIGTERM and SIGHUP stage by stage while its block runs.

    Each signal sets the event of the first stage whose event is not set; when all are set, it
    raises KeyboardInterrupt. Set the event of a stage that has ended, so that the next signal stops
    the stage after it. This holds also where SIGINT was ignored before, as it is for a shell's
    background jobs, but not where SIGHUP was, as nohup does; after the block all are as before.
    Outside the main thread, where Python takes no signals, only the events work.

    Args:
        notices: for each stage, in order, the line that is printed when it is stopped; "" prints
            none.
    """

    def __init__(self, **notices: str) -> None:
        self._notices = notices
        self._events = {stage: threading.Event() for stage in notices}
        self._before: dict[int, Any] = {}

    def __getitem__(self, stage: str) -> threading.Event:
        """Event that is set when a stage shall stop, or has ended."""
        return self._events[stage]

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._stop_next)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop_next(self, number: int, frame: FrameType | None) -> None:
        for stage, event in self._events.items():
            if not event.is_set():
                event.set()
                if self._notices[stage]:
                    # print is not safe in a signal handler; a closed terminal takes nothing
                    with contextlib.suppress(OSError):
                        os.write(2, f"\n{self._notices[stage]}\n".encode())
                return
        raise KeyboardInterrupt
