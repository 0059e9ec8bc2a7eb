"""How far a long job is: a bar with the time left on a terminal, and a line a minute where there is
none, as in a batch system's log.
"""

import sys
import time

import tqdm

LINE_SECONDS = 60.0
"""Between two lines."""

BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_noinv_fmt}{postfix}]"
"""tqdm's own, but the rate is always one a second."""
ROWS = 20
"""Lines that a terminal is taken to have: one that does not tell its size says 0, and tqdm would
show nothing there.
"""


class Progress:
    """Shown on standard error while its block runs.

    Args:
        name: What the job is, for the lines.
        unit: What is counted, in the plural.
        total: How much there is.
        done: How much was done before.
        quiet: Whether to show nothing.
    """

    def __init__(
        self, name: str, unit: str, total: int, done: int = 0, quiet: bool = False
    ) -> None:
        self._name = name
        self._unit = unit
        self._total = total
        self._first = done
        self._quiet = quiet
        self._started_s = time.monotonic()
        self._line_s = self._started_s
        disable = True if quiet else None  # None: unless standard error is a terminal
        self._bar = tqdm.tqdm(
            total=total,
            initial=done,
            desc=name,
            unit=f" {unit}",
            disable=disable,
            leave=False,
            nrows=ROWS,
            bar_format=BAR,
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()

    def at(self, done: int, note: str = "", total: int | None = None) -> None:
        """Say how much is done.

        Args:
            done: Of the total, with what was done before.
            note: What is being done, such as "epoch 3/20".
            total: Replaces the total.
        """
        self._total = self._total if total is None else total
        now_s = time.monotonic()
        if not self._bar.disable:
            self._bar.total = self._total
            if note:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(done - self._bar.n)
        elif not self._quiet and now_s - self._line_s >= LINE_SECONDS:
            self._line_s = now_s
            print(self._line(done, note, now_s), file=sys.stderr, flush=True)

    def write(self, line: str) -> None:
        """Print a line to standard output, above the bar."""
        if self._bar.disable:
            print(line, flush=True)
        else:
            self._bar.write(line)

    def _line(self, done: int, note: str, now_s: float) -> str:
        passed_s = now_s - self._started_s
        left_s = passed_s * (self._total - done) / max(done - self._first, 1)
        where = f"{note}, " if note else ""
        share = f"{done}/{self._total} {self._unit}"
        return (
            f"{self._name}: {where}{share}, {_duration(passed_s)} so far,"
            f" about {_duration(left_s)} left"
        )


def _duration(seconds: float) -> str:
    return str(tqdm.tqdm.format_interval(max(seconds, 0.0)))
