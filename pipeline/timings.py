"""Seconds and counts per stage, for `run.json`, the closing summary and the benchmark."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock


@dataclass(slots=True)
class Timings:
    """Adds up wall-clock seconds per stage, from any thread.

    counts: how many things a stage worked on: crops for "embed", frames for all others.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    @contextmanager
    def stage(self, name: str, count: int = 1) -> Iterator[None]:
        """Add the time that the block takes.

        Args:
            name: the stage that the time belongs to.
            count: how many frames, or crops, the block works on.
        """
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add({name: time.perf_counter() - start}, {name: count})

    def take(self) -> tuple[dict[str, float], dict[str, int]]:
        """Return seconds and counts so far, and begin again from nothing."""
        with self._lock:
            taken = self.seconds, self.counts
            self.seconds = {}
            self.counts = {}
        return taken

    def add(self, seconds: Mapping[str, float], counts: Mapping[str, int]) -> None:
        """Add what was taken elsewhere.

        Args:
            seconds: of each stage.
            counts: of the same stages.
        """
        with self._lock:
            for name, taken_s in seconds.items():
                self.seconds[name] = self.seconds.get(name, 0.0) + taken_s
                self.counts[name] = self.counts.get(name, 0) + counts[name]
