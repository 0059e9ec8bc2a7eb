"""How late this machine is, where a test has to measure time."""

import threading
import time

LATE_IN_A_ROW = 5
"""Threads that a picture passes: server, FFmpeg, camera, consumer, and one to spare."""
PERIOD_S = 0.02
WORK_S = 0.001
"""CPU time of each turn, so that waits for a core and for the interpreter are seen as well."""


class Lateness:
    """Measures on a thread, while its block runs, how long this process has been held up.

    A limit of time in a test is one of an idle machine. On a busy one each thread may be late, so
    that what is measured against such a limit gets some times `worst_s` more, mostly `slack_s`.
    """

    def __init__(self) -> None:
        self.worst_s = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lateness", daemon=True)

    def __enter__(self) -> "Lateness":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def slack_s(self) -> float:
        """What a limit of time is given more where several threads wait for each other."""
        return LATE_IN_A_ROW * self.worst_s

    def _run(self) -> None:
        while not self._stop.is_set():
            begun_s = time.monotonic()
            time.sleep(PERIOD_S)
            until_s = time.thread_time() + WORK_S
            while time.thread_time() < until_s:
                pass
            late_s = time.monotonic() - begun_s - PERIOD_S - WORK_S
            self.worst_s = max(self.worst_s, late_s)
