"""Waiting for what another thread, a process or a page does."""

import time
from collections.abc import Callable

PERIOD_S = 0.02


def wait_until(is_so: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Wait until something is so; fails if that takes too long."""
    until_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < until_s, "it took too long"
        time.sleep(PERIOD_S)
