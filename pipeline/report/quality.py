"""How far the results can be trusted, in words, each with what to do about it."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from pipeline import explain, kept
from pipeline.linking.learning import similarity
from pipeline.report.crops import FILE
from pipeline.report.written import Written

Json = dict[str, Any]
Level = Literal["good", "note", "warn", "bad"]

LOST_SHARE = 0.02
"""Share of lost frames from which they are worth a warning."""


class Finding(NamedTuple):
    """What is known, and what to do about it ("" for nothing)."""

    level: Level
    title: str
    text: str
    cure: str


def findings(written: Written, people: Sequence[Json], n_crops: int) -> list[Json]:
    """Return what a reader should know of a run, the most important first.

    Args:
        written: what it wrote.
        people: people of the page.
        n_crops: how many of its crops are in the page.
    """
    run = written.run
    why = written.why
    found: list[Finding] = []
    if run.get("interrupted"):
        again = "Run again with --overwrite to cover everything."
        text = "The run was stopped early; the results cover what was read until then."
        found.append(Finding("warn", "Interrupted", text, again))
    found += _doubts(written, people)
    found += _clocks(run)
    found += _dropped(run)
    appearance = str(why["calibration"]["in_words"])
    for warning in run.get("warnings", []):
        if not warning.startswith(appearance):
            found.append(_of_line("warn", "Warning", warning))
    for overlap in run.get("overlaps", []):
        found.append(Finding("good", "Overlap learned", f"{overlap}.", ""))
    found += [_of_line("note", "Note", note) for note in run.get("notes", [])]
    found += _crops(written, people, n_crops)
    order = ("bad", "warn", "note", "good")
    found.sort(key=lambda each: order.index(each.level))
    if written.origin != "labels":  # in which appearance decided nothing
        found.insert(0, _appearance(written))
    return [each._asdict() for each in found]


def _of_line(level: Level, title: str, line: str) -> Finding:
    """A line of a run, which ends with what to do where something can be done."""
    text, _, cure = line.rpartition("; ")
    return Finding(level, title, _sentence(text or cure), _sentence(cure) if text else "")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "!", "?")) else ".")


def _appearance(written: Written) -> Finding:
    calibration = written.why["calibration"]
    text = _sentence(str(calibration["in_words"]))
    title = "How well appearance tells people apart"
    if written.origin == "live":
        return Finding("note", title, text, "")
    separation = calibration.get("separation")
    if separation is None or not calibration["n_same"] or not calibration["n_different"]:
        cure = "Longer videos, with people who are seen at the same time, let the run measure it."
        return Finding("note", title, text, cure)
    if separation >= similarity.WELL:
        return Finding("good", title, text, "")
    cure = (
        "Give what the pictures do not show: homographies of the cameras (floor positions), and"
        " which cameras are connected (linking.travel). Check the people marked doubtful."
    )
    return Finding("warn" if separation >= similarity.FAIRLY else "bad", title, text, cure)


def _doubts(written: Written, people: Sequence[Json]) -> list[Finding]:
    run = written.run
    why = written.why
    found = []
    if run.get("lookalikes"):
        text = _sentence(str(run["lookalikes"]))
        cure = f"Filter people by doubt and look at their links. {explain.CURE}"
        if kept.FILE in written.files:
            cure = f"Answer the questions of Review first. {cure}"
        found.append(Finding("warn", "Lookalikes", text, cure))
    judged = [link for link in why["links"] if not link["rule"]]
    probable = sum(link["status"] == "probable" for link in judged)
    if probable:
        confirmed = f"{why['confirmed_probability']:.0%}"
        text = (
            f"{probable} of {len(judged)} links are probable, not confirmed: their probability is"
            f" below {confirmed}."
        )
        cure = "Order people by “Weakest link first” to see them."
        found.append(Finding("note", "Weak links", text, cure))
    if not people:
        cure = (
            "Look at the videos: are people large enough to see? Lower"
            " detector.confidence, or check the region of interest (roi)."
        )
        found.append(Finding("bad", "Nobody was found", "The run found no people.", cure))
    return found


def _clocks(run: Json) -> list[Finding]:
    found = []
    applied_s = run.get("clocks_applied_s", {})
    for line in run.get("clocks", []):
        text = _sentence(line)
        if "agree (" in line:
            found.append(Finding("good", "Clocks", text, ""))
        elif applied_s:
            text += " The offset was applied: all times here are on one clock."
            found.append(Finding("note", "Clocks", text, ""))
        else:
            cure = "--set linking.apply_clocks=true puts all on one clock."
            found.append(Finding("warn", "Clocks", text, cure))
    return found


def _dropped(run: Json) -> list[Finding]:
    found = []
    for camera in run.get("cameras", []):
        n_dropped = int(camera.get("n_dropped", 0))
        n_frames = int(camera.get("n_frames", 0))
        if n_dropped:
            share = n_dropped / (n_dropped + n_frames)
            level: Level = "warn" if share >= LOST_SHARE else "note"
            text = f"{camera['camera']} lost {n_dropped} frames ({share:.1%})."
            cure = "Give the machine fewer cameras, or a higher stride (--stride 2)."
            found.append(Finding(level, "Frames lost", text, cure))
    return found


def _crops(written: Written, people: Sequence[Json], n_crops: int) -> list[Finding]:
    title = "Pictures of people"
    blur = written.crops.blur
    if blur == "faces":
        text = "Faces are hidden in the pictures of people, as privacy.blur asks."
        return [Finding("note", title, text, "")]
    if blur == "bodies":
        text = "There are no pictures of people, as privacy.blur asks."
        return [Finding("note", title, text, "")]
    if people and not n_crops and written.origin == "live":
        text = (
            "There are no pictures of people: none were kept (output.report, privacy.blur), or they"
            " were deleted (live.keep_days, live.keep_gb)."
        )
        return [Finding("note", title, text, "")]
    if people and not n_crops:
        text = f"There are no pictures of people: the folder has no {FILE}."
        return [Finding("note", title, text, "Run again without --no-report to keep them.")]
    return []
