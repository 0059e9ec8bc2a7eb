"""What a run prints at its end: warnings and a table."""

import sys
import time

from pipeline.outputs import links
from pipeline.result import Result
from pipeline.zones import table as zones

MAX_PEOPLE = 30
FIRST_CLOCK_S = 1e9
"""Later times count from 1970: they are shown as the time of the day."""


def tell(result: Result, quiet: bool) -> None:
    """Print what went wrong and, unless `quiet`, what was found."""
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if not quiet:
        print(table(result))


def table(result: Result) -> str:
    """List people, the cameras each was seen in, their times, and where the files are.

    Args:
        result: a finished run.

    Returns:
        Text of several lines, with `MAX_PEOPLE` people at most.
    """
    lines = [f"{len(result.people)} people in {len(result.cameras)} cameras"]
    if result.people:
        lines.append(f"{'person':>6}  {'first':>8}  {'last':>8}  {'in view':>8}  cameras")
    for person in result.people[:MAX_PEOPLE]:
        span = f"{_time(person.first_s)}  {_time(person.last_s)}"
        cameras = ", ".join(person.cameras)
        doubt = "  (doubtful)" if person.is_doubtful else ""
        lines.append(f"{person.person_id:>6}  {span}  {person.seen_s:>7.1f}s  {cameras}{doubt}")
    if len(result.people) > MAX_PEOPLE:
        lines.append(f"   ... and {len(result.people) - MAX_PEOPLE} more in trajectories.json")
    lookalikes = links.lookalikes(result.people)
    if lookalikes:
        lines.append(f"{lookalikes}; python -m pipeline.explain {result.folder} PERSON says why")
    totals = zones.totals(result.zone_events, result.config.zones)
    lines += [each.in_words() for each in totals]
    if result.interrupted:
        lines.append("interrupted: these results cover what was read and drawn before Ctrl-C")
    files = [name for name in result.files if "/" not in name]
    lines.append(f"results: {result.folder}/ ({', '.join(files)}, mot/)")
    return "\n".join(lines)


def _time(time_s: float) -> str:
    """A time, of a recording or of the day, in eight characters."""
    if time_s < FIRST_CLOCK_S:
        return f"{time_s:>7.1f}s"
    return time.strftime("%H:%M:%S", time.localtime(time_s))
