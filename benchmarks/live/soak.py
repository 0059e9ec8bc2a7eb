"""A live run of a whole day in minutes: what grows, what slows, and who was who.

The run is the program's own, with its page and somebody who watches it, journal, state, segments
for a minute of each hour, and retention of six hours. Only the cameras, the networks and the
clock are those of `day`. Everything is sampled as the day passes. Then the results are made of the
journal once more, by the command, and a restart is timed.
"""

import json
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from subprocess import DEVNULL, Popen

import numpy as np

from benchmarks.live.day import (
    NAMES,
    SITTER,
    STARTS_S,
    Day,
    DayCameras,
    DayDetector,
    DayEmbedder,
    Stay,
)
from benchmarks.pipeline.plots import COLOURS, can_draw, save
from benchmarks.pipeline.scenes import ROOT
from models.boxes import iou
from pipeline.config import CameraConfig, Config
from pipeline.live import journal, run, state
from pipeline.live.run import World
from pipeline.live.segments import SEGMENTS
from pipeline.live.state import STATE
from pipeline.preparation import Networks
from pipeline.records import Person, Tracklet
from pipeline.timings import Timings

N_SAMPLES = 144
"""Of a day: one in ten minutes."""
MAX_DELAY_S = 20.0
"""A step of linking comes every 10 s, not every second as by default: the day would take hours."""
FLUSH_S = 60.0
KEEP_DAYS = 0.25
POLL_S = 2.0
"""The page's client asks so often, in real time."""
ROWS_BETWEEN = 5
"""Of a tracklet every so many rows are compared with the truth."""
SAME_IOU = 0.5
PAGE_S = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Sample:
    """The process at one time of the day; costs are since the sample before.

    Attributes:
        hour: of the day.
        rss_mb: resident memory.
        n_files: open files and sockets.
        n_threads: threads.
        frame_ms: CPU time of the process for a frame, with all that is done beside it.
        link_ms: CPU time of a step of linking.
        n_frames: frames so far.
        n_window: tracklets in the window of linking.
        n_people: people who are remembered.
        n_ids: ids so far.
        state_mb: size of the saved state.
        rows_mb: size of rows/ and events.jsonl.
        segments_mb: size of all segments.
    """

    hour: float
    rss_mb: float
    n_files: int
    n_threads: int
    frame_ms: float
    link_ms: float
    n_frames: int
    n_window: int
    n_people: int
    n_ids: int
    state_mb: float
    rows_mb: float
    segments_mb: float


@dataclass(frozen=True, slots=True)
class Ids:
    """Ids against visits.

    Attributes:
        n_visits: visits, where a person who comes back after being forgotten begins a new one.
        n_seen: visits of which rows were found.
        n_ids: ids of people who are in the results.
        n_split: ids that visits have beyond one each.
        n_merged: ids that stand for several people.
        sitter_s: how long the person who stays all day has each id, seconds, the most first.
    """

    n_visits: int
    n_seen: int
    n_ids: int
    n_split: int
    n_merged: int
    sitter_s: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Soak:
    """What a day showed.

    Attributes:
        samples: in order.
        ids: who was who.
        n_asked: answers that the page's client got.
        n_failed: answers that it did not get.
        merge_s: CPU time of `python -m pipeline.live.merge`.
        merge_mb: its memory at most.
        resume_s: CPU time from the files to what a later run goes on from.
        cpu_s: CPU time of the day.
    """

    samples: Sequence[Sample]
    ids: Ids
    n_asked: int
    n_failed: int
    merge_s: float
    merge_mb: float
    resume_s: float
    cpu_s: float


class LinkTimings(Timings):
    """Also counts CPU time of linking, since others may compute on this machine, and calls."""

    def __init__(self) -> None:
        super().__init__()
        self.link_s = 0.0
        self.n_linked = 0
        self.n_calls: Counter[str] = Counter()

    @contextmanager
    def stage(self, name: str, count: int = 1) -> Iterator[None]:
        """Add what the block takes; see `Timings.stage`."""
        self.n_calls[name] += 1
        if name != "link":
            with Timings.stage(self, name, count):
                yield
            return
        start_s = time.thread_time()
        with Timings.stage(self, name, count):
            yield
        self.link_s += time.thread_time() - start_s
        self.n_linked += 1


@dataclass(slots=True)
class _Recorder:
    """Takes samples as the day passes, and is the clock of the run."""

    folder: Path
    day: Day
    timings: LinkTimings
    samples: list[Sample] = field(default_factory=list)
    report: Callable[[Sample], object] = lambda sample: None
    max_delay_s: float = MAX_DELAY_S
    _n_seen: int = 0
    _linked_s: float = 0.0
    _time_s: float = 0.0
    _due_s: float = 0.0
    _cpu_s: float = 0.0
    _link_s: float = 0.0
    _n_steps: int = 0
    _n_frames: int = 0

    def now(self) -> float:
        """Seconds since 1970."""
        return STARTS_S + self._time_s

    def tick(self, time_s: float) -> None:
        """Take the time of the day, and a sample where one is due."""
        self._time_s = time_s
        if time_s >= self._due_s:
            self._due_s += self.day.duration_s / N_SAMPLES
            if time_s:
                sample = self._sample()
                self.samples.append(sample)
                self.report(sample)
            self._mark()

    def is_behind(self) -> bool:
        """Whether a step of linking has run for twice as long as one comes after another."""
        n_steps = self.timings.n_calls["link"]
        if n_steps != self._n_seen:
            self._n_seen = n_steps
            self._linked_s = self._time_s
        is_linking = self.timings.n_linked < n_steps
        return is_linking and self._time_s - self._linked_s > self.max_delay_s

    def _mark(self) -> None:
        self._cpu_s = time.process_time()
        self._link_s = self.timings.link_s
        self._n_steps = self.timings.n_calls["link"]
        self._n_frames = self.timings.n_calls["track"]

    def _sample(self) -> Sample:
        cpu_s = time.process_time() - self._cpu_s
        n_frames = max(self.timings.n_calls["track"] - self._n_frames, 1)
        n_steps = max(self.timings.n_calls["link"] - self._n_steps, 1)
        link_s = self.timings.link_s - self._link_s
        saved = state.load(self.folder / STATE, "").linker
        return Sample(
            hour=self._time_s / 3600,
            rss_mb=_rss_mb(),
            n_files=sum(1 for _ in Path("/proc/self/fd").iterdir()),
            n_threads=threading.active_count(),
            frame_ms=1000 * cpu_s / n_frames,
            link_ms=1000 * link_s / n_steps,
            n_frames=self.timings.n_calls["track"],
            n_window=len(saved.window),
            n_people=len(saved.people),
            n_ids=saved.last_id,
            state_mb=_megabytes([self.folder / STATE]),
            rows_mb=_megabytes([*journal.row_files(self.folder), self.folder / journal.EVENTS]),
            segments_mb=_megabytes((self.folder / SEGMENTS).glob("*/*")),
        )


class Client:
    """Somebody who watches the page, on two threads: the events, and all else each `POLL_S`.

    Attributes:
        n_asked: answers.
        n_failed: requests without an answer, from the first answer to the last one.
    """

    def __init__(self, port: int) -> None:
        self.n_asked = 0
        self.n_failed = 0
        self._url = f"http://127.0.0.1:{port}"
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._poll, name="client", daemon=True),
            threading.Thread(target=self._listen, name="listener", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop to ask."""
        self._stop.set()
        self._threads[0].join()

    def _poll(self) -> None:
        paths = ["/api/people", "/api/cameras", "/metrics", "/healthz"]
        paths += [f"/api/cameras/{name}/snapshot.jpg" for name in NAMES]
        n_failed = 0
        while not self._stop.wait(POLL_S):
            for path in paths:
                try:
                    with urllib.request.urlopen(self._url + path, timeout=60) as answer:
                        answer.read()
                except OSError:
                    n_failed += 1 if self.n_asked else 0
                    continue
                self.n_asked += 1
                self.n_failed = n_failed

    def _listen(self) -> None:
        while not self._stop.wait(POLL_S):
            with suppress(OSError), urllib.request.urlopen(f"{self._url}/events") as answer:
                for _ in answer:
                    if self._stop.is_set():
                        return


def soak(
    hours: float,
    begins: float = 0.0,
    settings: Mapping[str, object] | None = None,
    report: Callable[[Sample], object] = lambda sample: None,
) -> Soak:
    """Follow a day.

    Args:
        hours: how long it is.
        begins: hour at which it begins, 0 to 24.
        settings: changes of the config's sections, for example {"linking": {...}}.
        report: takes each sample.

    Raises:
        PipelineError: the run failed.
    """
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        return _soak(folder / "run", hours, begins, settings or {}, report)
    finally:
        shutil.rmtree(folder)


def _soak(
    folder: Path,
    hours: float,
    begins: float,
    settings: Mapping[str, object],
    report: Callable[[Sample], object],
) -> Soak:
    port = free_port()
    config = _config(port, settings)
    day = Day(hours, config.linking.forget_after_s, begins)
    timings = LinkTimings()
    recorder = _Recorder(
        folder, day, timings, report=report, max_delay_s=config.linking.max_delay_s
    )

    def open_cameras(
        configs: object, live: object, now: Callable[[], float], next_indices: Mapping[str, int]
    ) -> DayCameras:
        return DayCameras(day, config.live, now, next_indices, recorder)

    world = World(
        clock=recorder.now,
        open_cameras=open_cameras,
        load_networks=lambda config, cameras: Networks(DayDetector(day), DayEmbedder(), []),
        timings=timings,
    )
    start_s = time.process_time()
    client = Client(port)
    try:
        result = run.run(config, folder, quiet=True, world=world)
    finally:
        client.close()
    cpu_s = time.process_time() - start_s
    ids = compare(day, result.people)
    merge_s, merge_mb = _merged(folder)
    start_s = time.process_time()
    state.resumed(state.load(folder / STATE, ""), journal.last(folder))
    resume_s = time.process_time() - start_s
    return Soak(
        recorder.samples,
        ids,
        client.n_asked,
        client.n_failed,
        merge_s,
        merge_mb,
        resume_s,
        cpu_s,
    )


def compare(day: Day, people: Sequence[Person]) -> Ids:
    """Compare ids with visits, by the boxes of the rows.

    Args:
        day: the truth.
        people: results of a run.
    """
    ids_of: dict[int, set[int]] = defaultdict(set)
    people_of: dict[int, set[int]] = defaultdict(set)
    sitter_s: dict[int, float] = defaultdict(float)
    for person in people:
        for tracklet in person.tracklets:
            stay = _owner(day, tracklet)
            if stay is None:
                continue
            ids_of[stay.visit].add(person.person_id)
            people_of[person.person_id].add(stay.person)
            if stay.person == SITTER:
                sitter_s[person.person_id] += tracklet.last_s - tracklet.first_s
    return Ids(
        n_visits=day.n_visits,
        n_seen=len(ids_of),
        n_ids=len(people),
        n_split=sum(len(ids) - 1 for ids in ids_of.values()),
        n_merged=sum(len(own) > 1 for own in people_of.values()),
        sitter_s=dict(sorted(sitter_s.items(), key=lambda item: -item[1])),
    )


def _owner(day: Day, tracklet: Tracklet) -> Stay | None:
    """Who is in most rows of a tracklet; None for nobody."""
    votes: Counter[Stay | None] = Counter()
    for row in range(0, len(tracklet.frames), ROWS_BETWEEN):
        time_s = tracklet.times_s[row] - STARTS_S
        in_view = day.in_view(tracklet.camera, time_s)
        best = None
        if in_view:
            boxes = np.array([stay.box(time_s) for stay in in_view], np.float32)
            overlaps = iou(tracklet.boxes[row : row + 1], boxes)[0]
            nearest = int(overlaps.argmax())
            best = in_view[nearest] if overlaps[nearest] >= SAME_IOU else None
        votes[best] += 1
    ((most, _),) = votes.most_common(1)
    return most


def _config(port: int, settings: Mapping[str, object]) -> Config:
    cameras = [CameraConfig(source=f"rtsp://127.0.0.1/{name}", name=name) for name in NAMES]
    values = {
        "cameras": cameras,
        "detector": {"rate": 5.0},
        "linking": {"max_delay_s": MAX_DELAY_S},
        "live": {"flush_s": FLUSH_S, "keep_days": KEEP_DAYS, "min_free_gb": 0.1},
        "serve": {"port": port},
    }
    return Config.model_validate({**values, **settings})


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _merged(folder: Path) -> tuple[float, float]:
    """CPU seconds and memory, MB, of the command that makes the results of a journal."""
    words = [sys.executable, "-m", "pipeline.live.merge", str(folder)]
    process = Popen(words, cwd=ROOT, stdout=DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        return float("nan"), float("nan")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3


def _rss_mb() -> float:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(pages[1]) * PAGE_S / 1e6


def _megabytes(paths: "Iterator[Path] | Sequence[Path]") -> float:
    n_bytes = 0
    for path in paths:
        with suppress(FileNotFoundError):
            n_bytes += path.stat().st_size
    return n_bytes / 1e6


def table(done: Soak) -> str:
    """Return the first hour beside the last one, and what the day came to."""
    n_hour = max(len(done.samples) // 24, 1)
    first = done.samples[:n_hour]
    last = done.samples[-n_hour:]
    lines = [f"{'':<30}{'first hour':>12}{'last hour':>12}{'most':>12}"]
    for name, unit in COLUMNS.items():
        values = [
            np.mean([getattr(sample, name) for sample in first]),
            np.mean([getattr(sample, name) for sample in last]),
            max(getattr(sample, name) for sample in done.samples),
        ]
        lines.append(f"{unit:<30}" + "".join(f"{value:>12.2f}" for value in values))
    ids = done.ids
    lines += [
        f"ids: {ids.n_ids} for {ids.n_seen} visits that were seen, of {ids.n_visits};"
        f" {ids.n_split} split, {ids.n_merged} of several people",
        f"the person who stays all day: {_in_words(ids.sitter_s)}",
        f"page: {done.n_asked} answers, {done.n_failed} failed",
        f"merge: {done.merge_s:.1f} s of CPU, {done.merge_mb:.0f} MB",
        f"restart: {done.resume_s:.2f} s of CPU",
        f"the day: {done.cpu_s:.0f} s of CPU",
    ]
    return "\n".join(lines)


def _in_words(seconds: Mapping[int, float]) -> str:
    return ", ".join(f"id {number} for {each_s:.1f} s" for number, each_s in seconds.items())


COLUMNS = {
    "rss_mb": "memory, MB",
    "n_files": "open files",
    "n_threads": "threads",
    "frame_ms": "CPU ms a frame",
    "link_ms": "CPU ms a step of linking",
    "n_window": "tracklets in the window",
    "n_people": "people remembered",
    "n_ids": "ids so far",
    "state_mb": "state.npz, MB",
    "rows_mb": "rows and events, MB",
    "segments_mb": "segments, MB",
}
"""Figures of a sample, and their names."""


def panels(samples: Sequence[object], along: str, columns: Mapping[str, str], path: Path) -> None:
    """Draw each figure of samples over time, in a panel of its own; matplotlib is optional.

    Args:
        samples: in order.
        along: the attribute that is the time.
        columns: attributes, and what they are called.
        path: PNG file.
    """
    if not can_draw():
        return
    from matplotlib.figure import Figure

    n_columns = 4
    n_rows = -(-len(columns) // n_columns)
    figure = Figure(figsize=(3.7 * n_columns, 2.9 * n_rows), dpi=110, layout="constrained")
    all_axes = figure.subplots(n_rows, n_columns, squeeze=False).flat
    times = [getattr(sample, along) for sample in samples]
    for axes, (name, unit) in zip(all_axes, columns.items(), strict=False):
        values = [getattr(sample, name) for sample in samples]
        axes.plot(times, values, color=COLOURS[0], linewidth=1)
        axes.set_title(unit, fontsize=10)
        axes.set_ylim(0, 1.1 * max([*values, 1e-3]))
        axes.set_xlabel(along, fontsize=8)
        axes.grid(linewidth=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in all_axes[len(columns) :]:
        axes.set_axis_off()
    save(figure, path)


def main(hours: float, plots: Path | None) -> None:
    """Follow a day, and print and draw what it showed.

    Args:
        hours: how long it is.
        plots: folder for soak.png, and soak.jsonl, to which samples are added as they are taken;
            None writes neither.
    """
    if plots is None:
        print(table(soak(hours)))
        return
    plots.mkdir(parents=True, exist_ok=True)
    with (plots / "soak.jsonl").open("w", encoding="utf-8", buffering=1) as file:
        done = soak(hours, report=lambda sample: print(json.dumps(asdict(sample)), file=file))
    print(table(done))
    panels(done.samples, "hour", COLUMNS, plots / "soak.png")
