"""The closing words of a run on the terminal."""

from pipeline.result import Result

MAX_PEOPLE = 30


def table(result: Result) -> str:
    """People, the cameras each was seen in, their times, and where the files are."""
    lines = [f"{len(result.people)} people in {len(result.cameras)} cameras"]
    if result.people:
        lines.append(f"{'person':>6}  {'first':>8}  {'last':>8}  {'in view':>8}  cameras")
    for person in result.people[:MAX_PEOPLE]:
        first, last = (
            min(t.first_s for t in person.tracklets),
            max(t.last_s for t in person.tracklets),
        )
        seen = sum(t.last_s - t.first_s for t in person.tracklets)
        cameras = ", ".join(sorted({t.camera for t in person.tracklets}))
        lines.append(
            f"{person.person_id:>6}  {first:>7.1f}s  {last:>7.1f}s  {seen:>7.1f}s  {cameras}"
        )
    if len(result.people) > MAX_PEOPLE:
        lines.append(f"   ... and {len(result.people) - MAX_PEOPLE} more in trajectories.json")
    if result.interrupted:
        lines.append("interrupted: these results cover what was read and drawn before Ctrl-C")
    lines.append(
        f"results: {result.folder}/ ({', '.join(f for f in result.files if '/' not in f)}, mot/)"
    )
    return "\n".join(lines)
