"""Seconds and frames per stage, for `run.json`, the closing summary and the benchmark."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock


@dataclass(slots=True)
class Timings:
    """Adds up wall-clock seconds and calls per stage, from any thread."""

    seconds: dict[str, float] = field(default_factory=dict)
    frames: dict[str, int] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    @contextmanager
    def stage(self, name: str, n_frames: int = 1) -> Iterator[None]:
        """Count what happens inside towards `name`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
                self.frames[name] = self.frames.get(name, 0) + n_frames
