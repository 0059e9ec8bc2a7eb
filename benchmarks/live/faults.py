"""What becomes of a live run while everything around it fails.

The program runs as a process of its own, as any user's would, with cameras of this process
(`rtsp_server`), which fail one after the other. What is seen of it comes from the journal and from
`/api/cameras`. Each camera plays the beginning of a clip of the sample forwards and backwards, so
that the same people are in view all the time and nobody jumps.

A second run has eight cameras at twice the load that the machine can take.
"""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import yaml

from benchmarks.live.rtsp_server import RtspServer
from benchmarks.live.soak import free_port
from benchmarks.pipeline.scenes import ROOT
from pipeline.errors import PipelineError
from pipeline.live import journal, merge
from pipeline.records import Array
from pipeline.sources.live.health import CameraEvent

SAMPLE = ROOT / "samples" / "plaza"
N_CLIPS = 4
CLIP_S = 10.0
"""How much of a clip is played, before it is played backwards."""
SOURCE_FPS = 12.5
EVERY = 2
"""Every so many frames are played."""
SIZE = (640, 360)
OTHER_SIZE = (320, 180)
GOP = 12
PASSWORD = "pass-4711"
STARTS_WITHIN_S = 90.0
"""Until the program has loaded its networks and connected, on a busy machine."""
BASE_S = 15.0
"""Without faults, and without the camera that comes later."""
SHORT_S = 4.0
"""What others do is compared over so long at least."""
SETTLES_S = 12.0
"""Between two faults."""
POLL_S = 0.1
WATCH_EVERY = 15
STOPS_WITHIN_S = 60.0
OUTAGE_SETTLES_S = 25.0
WORKING = ("gate", "hall", "yard", "shop")
UNDISTURBED = 0.8
"""Share of their looks that other cameras keep, on a machine that has more to do."""
BACK_S = 3.0
OPEN_TIMEOUT_S = 5.0
FROZEN_S = 10.0
CLOCK_S = 0.05
STALE_S = 0.5
LOAD_S = 30.0
N_LOADED = 8
SETTINGS = (
    "detector.rate=2",
    "detector.size_px=320",
    "detector.skip_unchanged=false",
    "live.flush_s=1",
    "output.video=false",
    f"live.open_timeout_s={OPEN_TIMEOUT_S:g}",
)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table."""

    fault: str
    expected: str
    seen: str
    is_good: bool


@dataclass(frozen=True, slots=True)
class Window:
    """When a fault was there, seconds since 1970: it begins, is mended, and the next one comes."""

    begins_s: float
    mended_s: float
    ends_s: float


@dataclass(slots=True)
class Seen:
    """What is known of a run.

    polls: time, and what `/api/cameras` said of each camera.
    events: of the cameras.
    looks_s: by camera, the times of the pictures that were looked at.
    rows_s: by camera, the times of the pictures in which somebody was seen.
    """

    polls: list[tuple[float, dict[str, dict[str, Any]]]] = field(default_factory=list)
    events: list[CameraEvent] = field(default_factory=list)
    looks_s: dict[str, Array] = field(default_factory=dict)
    rows_s: dict[str, Array] = field(default_factory=dict)

    def read(self, folder: Path) -> None:
        """Read the journal."""
        self.events = [e for e in journal.read_events(folder) if isinstance(e, CameraEvent)]
        rows_s: dict[str, set[float]] = defaultdict(set)
        for rows in journal.read_rows(journal.row_files(folder)):
            rows_s[rows.camera] |= set(rows.times_s)
        looks_s: dict[str, set[float]] = defaultdict(set)
        for _, cameras in self.polls:
            for name, state in cameras.items():
                looks_s[name].add(float(state["picture_s"]))
        self.rows_s = {camera: np.array(sorted(times)) for camera, times in rows_s.items()}
        self.looks_s = {camera: np.array(sorted(times)) for camera, times in looks_s.items()}

    def first(self, camera: str, kind: str, window: Window) -> CameraEvent | None:
        """The first event of a kind within a window."""
        for event in self.events:
            is_within = window.begins_s <= event.time_s < window.ends_s
            if (event.camera, event.kind) == (camera, kind) and is_within:
                return event
        return None

    def back_s(self, camera: str, since_s: float) -> float:
        """How long after a time pictures come and the camera is live; infinite where it is not.

        The API tells it half a second later, events to the moment.
        """
        for event in self.events:
            is_back = event.camera == camera and event.kind in ("back", "connected")
            if is_back and 0 <= event.time_s - since_s < SETTLES_S:
                return event.time_s - since_s
        n_before = 0
        for at_s, cameras in self.polls:
            state = cameras.get(camera)
            if state is None:
                continue
            if at_s < since_s:
                n_before = state["n_frames"]
            elif state["state"] == "live" and state["n_frames"] > n_before:
                return at_s - since_s
        return float("inf")

    def last(self, camera: str, window: Window) -> dict[str, Any]:
        """What was said of a camera last within a window."""
        said = self._said(camera, window)
        return said[-1] if said else {}

    def reasons(self, camera: str, window: Window) -> list[str]:
        """Why a camera was not live within a window."""
        found = [str(said["reason"]) for said in self._said(camera, window)]
        return [reason for reason in found if reason]

    def n_dropped(self, camera: str, why: str, window: Window) -> int:
        """How many pictures were dropped within a window."""
        counts = [int(said["n_dropped"].get(why, 0)) for said in self._said(camera, window)]
        return counts[-1] - counts[0] if counts else 0

    def _said(self, camera: str, window: Window) -> list[dict[str, Any]]:
        """What was said of a camera within a window."""
        said = []
        for at_s, cameras in self.polls:
            if window.begins_s <= at_s < window.ends_s and camera in cameras:
                said.append(cameras[camera])
        return said

    def per_s(self, camera: str, begins_s: float, ends_s: float) -> float:
        """Looks at a camera in a second."""
        return self.n_looks(camera, begins_s, ends_s) / (ends_s - begins_s)

    def n_looks(self, camera: str, begins_s: float, ends_s: float) -> int:
        """Looks at a camera."""
        return _n_between(self.looks_s.get(camera, np.zeros(0)), begins_s, ends_s)

    def n_rows(self, camera: str, begins_s: float, ends_s: float) -> int:
        """Pictures of a camera in which somebody was seen."""
        return _n_between(self.rows_s.get(camera, np.zeros(0)), begins_s, ends_s)

    def longest_step_s(self, camera: str, window: Window) -> float:
        """Longest time from a look to the next; infinite without looks."""
        times_s = self.looks_s.get(camera, np.zeros(0))
        own = times_s[(times_s >= window.begins_s - 3) & (times_s < window.ends_s)]
        return float(np.diff(own).max()) if len(own) > 1 else float("inf")


def _n_between(times_s: Array, begins_s: float, ends_s: float) -> int:
    return int(((times_s >= begins_s) & (times_s < ends_s)).sum())


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens to a camera.

    Attributes:
        name: In words.
        camera: Which camera.
        begin: Makes it happen.
        mend: Ends it.
        holds_s: How long it lasts.
        expected: In words.
        judge: Returns what was seen, in words, and whether it is as expected.
        settles_s: How long the others wait for the next one.
    """

    name: str
    camera: str
    begin: Callable[[], object]
    mend: Callable[[], object]
    holds_s: float
    expected: str
    judge: Callable[[Seen, str, Window], tuple[str, bool]]
    settles_s: float = SETTLES_S


def clips(folder: Path) -> list[Path]:
    """Write what the cameras play; returns a file for each clip of the sample."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number in range(1, N_CLIPS + 1):
        source = SAMPLE / f"cam{number}.mp4"
        path = folder / f"cam{number}.mp4"
        _write_there_and_back(source, path, SIZE)
        written.append(path)
    return written


def _write_there_and_back(source: Path, path: Path, size: tuple[int, int]) -> None:
    pictures: list[av.VideoFrame] = []
    with av.open(str(source)) as container:
        rate = Fraction(container.streams.video[0].average_rate or 25)
        for number, picture in enumerate(container.decode(video=0)):
            if number >= CLIP_S * rate:
                break
            if number % EVERY == 0:
                pictures.append(picture.reformat(*size, format="yuv420p"))
    options = {"preset": "veryfast", "tune": "zerolatency", "crf": "23", "g": str(GOP)}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate / EVERY, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate([*pictures, *pictures[-2:0:-1]]):
            picture.pts = number
            picture.time_base = EVERY / rate
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


class Program:
    """The program with live cameras, as a process, watched over its API.

    Attributes:
        output: Its output folder.
        seen: What was seen of it; complete after `stop`.
        code: Its exit code.
    """

    def __init__(self, folder: Path, cameras: Mapping[str, str], settings: Sequence[str]) -> None:
        """Start.

        Args:
            folder: Takes the output folder, the config, and what it says.
            cameras: Address of each camera, by name.
            settings: `--set` of the program.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.output = folder / "out"
        self.seen = Seen()
        self.code = -1
        self._port = free_port()
        config = folder / "site.yaml"
        listed = [{"name": name, "source": source} for name, source in cameras.items()]
        config.write_text(yaml.safe_dump({"cameras": listed}), encoding="utf-8")
        words = [sys.executable, "run_pipeline.py", "--config", str(config)]
        words += ["--output", str(self.output), "--serve", str(self._port)]
        for setting in settings:
            words += ["--set", setting]
        self._said = folder / "stderr.txt"
        environ = {**os.environ, "CAMERA_PASSWORD": PASSWORD, "OMP_NUM_THREADS": "1"}
        with self._said.open("w", encoding="utf-8") as said:
            self._process = subprocess.Popen(words, cwd=ROOT, stderr=said, stdout=said, env=environ)
        self._stop = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="poll", daemon=True)
        self._poller.start()

    def wait_for(self, names: Sequence[str]) -> None:
        """Wait until cameras are live. Raises PipelineError."""
        until_s = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < until_s and self._process.poll() is None:
            latest = self.seen.polls[-1][1] if self.seen.polls else {}
            if all(latest.get(name, {}).get("state") == "live" for name in names):
                return
            time.sleep(0.2)
        raise PipelineError(f"the program did not start: {self.said()[-300:]}")

    def said(self) -> str:
        """What it printed."""
        return self._said.read_text(encoding="utf-8")

    def stop(self) -> None:
        """Ask it to end, and read its journal."""
        self._process.terminate()
        try:
            self.code = self._process.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.code = self._process.wait()
        self._stop.set()
        self._poller.join()
        self.seen.read(self.output)

    def _poll(self) -> None:
        """Ask for the state of the cameras, and for pictures, so that all that is seen is told."""
        n_polls = 0
        names: list[str] = []
        while not self._stop.wait(POLL_S):
            with suppress(OSError, ValueError):
                listed = json.loads(self._answer("cameras"))["cameras"]
                self.seen.polls.append((time.time(), {each["name"]: each for each in listed}))
                names = [each["name"] for each in listed]
            n_polls += 1
            if n_polls % WATCH_EVERY == 0:
                for name in names:
                    with suppress(OSError):
                        self._answer(f"cameras/{name}/snapshot.jpg")

    def _answer(self, path: str) -> bytes:
        url = f"http://127.0.0.1:{self._port}/api/{path}"
        with urllib.request.urlopen(url, timeout=2) as answer:
            read: bytes = answer.read()
        return read


@contextmanager
def running(folder: Path, cameras: Mapping[str, str], settings: Sequence[str]) -> Iterator[Program]:
    """Run the program; it has stopped when the block ends, whatever happens."""
    program = Program(folder, cameras, settings)
    try:
        yield program
    finally:
        program.stop()


# what is expected


def _judge_back(seen: Seen, camera: str, window: Window) -> tuple[str, bool]:
    stalled = seen.first(camera, "stalled", window)
    back_s = seen.back_s(camera, window.mended_s)
    found = "no stall" if stalled is None else f"stalled after {_after(stalled, window)}"
    return f"{found}, back {back_s:.1f} s after", back_s <= BACK_S


def _judge_frozen(seen: Seen, camera: str, window: Window) -> tuple[str, bool]:
    frozen = seen.first(camera, "frozen", window)
    if frozen is None:
        return "not found", False
    after_s = frozen.time_s - window.begins_s
    n_rows = seen.n_rows(camera, frozen.time_s + 0.1, window.mended_s)
    back_s = seen.back_s(camera, window.mended_s)
    text = f"found after {after_s:.1f} s, then {n_rows} rows, back {back_s:.1f} s after"
    return text, after_s <= FROZEN_S and not n_rows and back_s <= BACK_S


def _judge_garbled(seen: Seen, camera: str, window: Window) -> tuple[str, bool]:
    n_damaged = seen.n_dropped(camera, "damaged", window)
    back_s = seen.back_s(camera, window.mended_s)
    return f"{n_damaged} damaged, back {back_s:.1f} s after", n_damaged > 0 and back_s <= BACK_S


def _judge_resized(seen: Seen, camera: str, window: Window) -> tuple[str, bool]:
    resized = seen.first(camera, "resized", window)
    n_rows = seen.n_rows(camera, window.begins_s + BACK_S, window.mended_s)
    back_s = seen.back_s(camera, window.mended_s)
    told = "not told" if resized is None else f"told after {_after(resized, window)}"
    text = f"{told}, {n_rows} pictures with people, back {back_s:.1f} s after"
    return text, resized is not None and n_rows > 0 and back_s <= BACK_S


def _judge_silent(seen: Seen, camera: str, window: Window) -> tuple[str, bool]:
    text, _ = _judge_back(seen, camera, window)
    stalled = seen.first(camera, "stalled", window)
    back_s = seen.back_s(camera, window.mended_s)
    return text, stalled is not None and back_s <= OPEN_TIMEOUT_S + BACK_S


def _judge_refused(seen: Seen, camera: str, window: Window) -> tuple[str, bool]:
    reasons = seen.reasons(camera, window)
    is_told = any("401" in reason or "unauthorized" in reason.lower() for reason in reasons)
    text, is_back = _judge_back(seen, camera, window)
    said = reasons[-1] if reasons else "no reason"
    return f"{said!r}, {text}", is_told and is_back


def _judge_clock(
    offset_s: float, starts_at_s: float, interval_s: float
) -> Callable[[Seen, str, Window], tuple[str, bool]]:
    """Judge times on the clock of a camera that shows a picture every `interval_s`."""

    def judge(seen: Seen, camera: str, window: Window) -> tuple[str, bool]:
        health = seen.last(camera, Window(window.begins_s, window.mended_s, window.mended_s))
        told_s = float(health.get("clock_offset_s", np.nan))
        times_s = seen.looks_s.get(camera, np.zeros(0))
        own = times_s[(times_s >= window.begins_s) & (times_s < window.ends_s)]
        n_intervals = (own - starts_at_s) / interval_s
        off_s = np.abs(n_intervals - np.round(n_intervals)) * interval_s
        worst_s = float(off_s.max()) if len(off_s) else float("inf")
        step_s = seen.longest_step_s(camera, window)
        text = f"told {told_s:.2f} s, times off by {worst_s:.3f} s, longest step {step_s:.1f} s"
        is_right = abs(told_s - offset_s) <= CLOCK_S and worst_s <= CLOCK_S
        return text, is_right and step_s <= BACK_S

    return judge


def _judge_stamps(seen: Seen, camera: str, window: Window) -> tuple[str, bool]:
    step_s = seen.longest_step_s(camera, window)
    state = seen.last(camera, window).get("state", "unknown")
    return f"{state}, longest step {step_s:.1f} s", state == "live" and step_s <= BACK_S


def _judge_outage(seen: Seen, camera: str, window: Window) -> tuple[str, bool]:
    lost = seen.first(camera, "lost", window)
    back_s = seen.back_s(camera, window.mended_s)
    told = "not lost" if lost is None else f"lost after {_after(lost, window)}"
    return f"{told}, back {back_s:.1f} s after", lost is not None and back_s <= BACK_S


def _after(event: CameraEvent, window: Window) -> str:
    return f"{event.time_s - window.begins_s:.1f} s"


# the runs


def run(folder: Path) -> Iterator[Row]:
    """Let everything fail.

    Args:
        folder: Takes clips, output and what the program says.

    Yields:
        The lines of the table. Raises PipelineError where the program does not start.
    """
    files = clips(folder / "clips")
    small = folder / "clips" / "small.mp4"
    _write_there_and_back(SAMPLE / "cam1.mp4", small, OTHER_SIZE)
    yield from _run_faults(folder / "faults", files, small)
    yield from _run_load(folder / "load", files)


def _run_faults(folder: Path, files: Sequence[Path], small: Path) -> list[Row]:
    starts_at_s = time.time()
    with ExitStack() as stack:
        gate = RtspServer(files[0], user="me", password=PASSWORD, starts_at_s=starts_at_s)
        hall = RtspServer(files[1], starts_at_s=starts_at_s)
        yard = RtspServer(files[2], starts_at_s=starts_at_s)
        shop = RtspServer(files[3], starts_at_s=starts_at_s)
        late = RtspServer(files[1], port=free_port(), starts_at_s=starts_at_s)
        for server in (gate, hall, yard, shop):
            stack.enter_context(server)
        stack.callback(late.stop)
        cameras = {
            "gate": f"rtsp://me:${{CAMERA_PASSWORD}}@127.0.0.1:{gate.port}/main",
            "hall": hall.url,
            "yard": yard.url,
            "shop": shop.url,
            "late": late.url,
            "nowhere": "rtsp://camera.invalid/main",
        }
        interval_s = EVERY / SOURCE_FPS
        faults = _faults(gate, hall, yard, files[0], small, starts_at_s, interval_s)
        program = stack.enter_context(running(folder, cameras, SETTINGS))
        program.wait_for(WORKING)
        time.sleep(5)
        begins_s = time.time()
        time.sleep(BASE_S)
        late_s = time.time()
        late.start()
        time.sleep(SETTLES_S)
        windows = [_inject(fault) for fault in faults]
        ends_s = time.time()
        program.stop()
    seen = program.seen
    whole = Window(begins_s, ends_s, ends_s)
    rows = [_row(seen, fault, window) for fault, window in zip(faults, windows, strict=True)]
    rows.append(_row_of_ids(program.output, seen, windows[-1]))
    rows.append(_row_of_late(seen, late_s))
    rows.append(_row_of_nowhere(seen, whole))
    rows.append(_row_of_secrets(program))
    rows.append(
        Row("SIGTERM", "results, exit code 0", f"exit code {program.code}", program.code == 0)
    )
    return rows


def _faults(
    gate: RtspServer,
    hall: RtspServer,
    yard: RtspServer,
    file: Path,
    small: Path,
    starts_at_s: float,
    interval_s: float,
) -> list[Fault]:
    """All faults, in order; that of the whole outage is the last one."""

    def nothing() -> None:
        pass

    def set_to(server: RtspServer, name: str, value: object) -> Callable[[], None]:
        return lambda: setattr(server, name, value)

    def refuse() -> None:
        gate.refuses = True
        gate.cut()

    back = f"back within {BACK_S:g} s"
    in_time = f"live all the time, times off by {CLOCK_S:g} s at most"
    return [
        Fault("server killed", "gate", gate.stop, gate.start, 6, f"stalled, {back}", _judge_back),
        Fault(
            "picture frozen",
            "gate",
            set_to(gate, "frozen", True),
            set_to(gate, "frozen", False),
            18,
            f"found within {FROZEN_S:g} s, no rows then, {back}",
            _judge_frozen,
        ),
        Fault(
            "packets garbled",
            "gate",
            set_to(gate, "garbled_share", 0.2),
            set_to(gate, "garbled_share", 0.0),
            6,
            f"damage counted, {back}",
            _judge_garbled,
        ),
        Fault("cut mid-frame", "gate", gate.cut, nothing, 0, back, _judge_back),
        Fault(
            "resolution changed",
            "gate",
            lambda: gate.show(small),
            lambda: gate.show(file),
            8,
            f"told, goes on, {back}",
            _judge_resized,
        ),
        Fault(
            "held open silent",
            "gate",
            set_to(gate, "silent", True),
            set_to(gate, "silent", False),
            12,
            f"stalled, back within {OPEN_TIMEOUT_S + BACK_S:g} s",
            _judge_silent,
        ),
        Fault(
            "credentials refused",
            "gate",
            refuse,
            set_to(gate, "refuses", False),
            8,
            f"the reason is told, {back}",
            _judge_refused,
        ),
        Fault(
            "clock off by 1.7 s",
            "hall",
            set_to(hall, "clock_offset_s", 1.7),
            nothing,
            6,
            f"told, {in_time}",
            _judge_clock(1.7, starts_at_s, interval_s),
        ),
        Fault(
            "clock off by an hour",
            "hall",
            set_to(hall, "clock_offset_s", 3600.0),
            set_to(hall, "clock_offset_s", 0.0),
            6,
            f"told, {in_time}",
            _judge_clock(3600.0, starts_at_s, interval_s),
        ),
        Fault(
            "timestamps restart",
            "hall",
            hall.restart_stamps,
            nothing,
            4,
            "live, no gap above 3 s",
            _judge_stamps,
        ),
        Fault(
            "timestamps jump",
            "hall",
            lambda: hall.jump_stamps(1000.0),
            nothing,
            4,
            "live, no gap above 3 s",
            _judge_stamps,
        ),
        Fault(
            "timestamps freeze",
            "hall",
            hall.freeze_stamps,
            hall.restart_stamps,
            6,
            "live, no gap above 3 s",
            _judge_stamps,
        ),
        Fault(
            "outage of 30 s",
            "yard",
            yard.stop,
            yard.start,
            30,
            f"lost, {back}",
            _judge_outage,
            OUTAGE_SETTLES_S,
        ),
    ]


def _inject(fault: Fault) -> Window:
    begins_s = time.time()
    fault.begin()
    time.sleep(fault.holds_s)
    mended_s = time.time()
    fault.mend()
    time.sleep(fault.settles_s)
    return Window(begins_s, mended_s, time.time())


def _row(seen: Seen, fault: Fault, window: Window) -> Row:
    """The line of a fault, with looks a second at the others, through those when it is over."""
    text, is_good = fault.judge(seen, fault.camera, window)
    held_s = max(window.mended_s, window.begins_s + SHORT_S)
    meanwhile = 0.0
    after = 0.0
    for camera in WORKING:
        if camera != fault.camera:
            meanwhile += seen.per_s(camera, window.begins_s, held_s)
            after += seen.per_s(camera, held_s, window.ends_s)
    share = meanwhile / after if after else 0.0
    text += f"; others {100 * share:.0f} %"
    return Row(fault.name, fault.expected, text, is_good and share >= UNDISTURBED)


def _row_of_ids(output: Path, seen: Seen, window: Window) -> Row:
    """Whether people of the camera that was away keep their numbers."""
    before: Counter[int] = Counter()
    after: Counter[int] = Counter()
    for person in merge.people(output):
        for tracklet in person.tracklets:
            if tracklet.camera != "yard":
                continue
            before[person.person_id] += int((tracklet.times_s < window.begins_s).sum())
            after[person.person_id] += int((tracklet.times_s > window.mended_s).sum())
    known = sum(n for person_id, n in after.items() if before[person_id])
    share = known / max(sum(after.values()), 1)
    n_new = sum(1 for person_id, n in after.items() if n and not before[person_id])
    text = (
        f"{100 * share:.0f} % of {sum(after.values())} rows after are of people known before,"
        f" {n_new} new ids"
    )
    return Row("ids after the outage", "90 % of rows keep their ids", text, share >= 0.9)


def _row_of_late(seen: Seen, late_s: float) -> Row:
    back_s = seen.back_s("late", late_s)
    return Row(
        "off at the start",
        f"connected within {BACK_S:g} s",
        f"connected {back_s:.1f} s after it came",
        back_s <= BACK_S,
    )


def _row_of_nowhere(seen: Seen, window: Window) -> Row:
    last = seen.last("nowhere", window)
    state = last.get("state", "unknown")
    reason = last.get("reason", "")
    return Row(
        "name is not found (DNS)",
        "lost, with the reason; others go on",
        f"{state}: {reason!r}",
        state == "lost" and bool(reason),
    )


def _row_of_secrets(program: Program) -> Row:
    texts = [program.said()]
    for path in program.output.rglob("*"):
        if path.is_file() and path.suffix in (".json", ".jsonl", ".yaml", ".csv"):
            texts.append(path.read_text(encoding="utf-8"))
    texts += [json.dumps(cameras) for _, cameras in program.seen.polls]
    n_found = sum(PASSWORD in text for text in texts)
    return Row("password", "in no file, log or answer", f"found {n_found} times", n_found == 0)


def _run_load(folder: Path, files: Sequence[Path]) -> list[Row]:
    """Eight cameras that are to be looked at twice as often as the machine can."""
    most = _loaded(folder / "most", files, "all")
    rate = 2 * sum(most.looks) / LOAD_S / N_LOADED
    twice = _loaded(folder / "twice", files, f"{rate:.2f}")
    wanted = min(rate, SOURCE_FPS / EVERY) * LOAD_S * N_LOADED
    load = wanted / max(sum(twice.looks), 1)
    worst_s = max(twice.delays_s, default=float("inf"))
    fair = min(twice.looks) / max(*twice.looks, 1)
    text = (
        f"{load:.1f} times the load ({rate:.1f} looks a second wanted of each), delay"
        f" {np.median(twice.delays_s):.2f} s (median), {np.percentile(twice.delays_s, 99):.2f} s"
        f" (99 %), {worst_s:.2f} s (most), looks"
        f" {min(twice.looks)} to {max(twice.looks)}, {twice.n_busy} dropped"
    )
    is_good = worst_s <= STALE_S and fair >= 0.8 and twice.n_busy > 0
    expected = f"delay at most {STALE_S:g} s, fair shares, drops counted"
    return [Row("8 cameras, twice the load", expected, text, is_good)]


@dataclass(frozen=True, slots=True)
class _Load:
    """What a busy run did: looks at each camera, delays, and how many pictures were dropped."""

    looks: list[int]
    delays_s: list[float]
    n_busy: int


def _loaded(folder: Path, files: Sequence[Path], rate: str) -> _Load:
    with ExitStack() as stack:
        cameras = {}
        for number in range(N_LOADED):
            server = stack.enter_context(RtspServer(files[number % len(files)]))
            cameras[f"cam{number + 1}"] = server.url
        settings = [*SETTINGS, f"detector.rate={rate}", "detector.size_px=640"]
        program = stack.enter_context(running(folder, cameras, settings))
        program.wait_for(list(cameras))
        time.sleep(10)
        window = Window(time.time(), time.time() + LOAD_S, time.time() + LOAD_S)
        time.sleep(LOAD_S)
        program.stop()
    seen = program.seen
    delays_s: list[float] = []
    for at_s, states in seen.polls:
        if window.begins_s <= at_s < window.ends_s:
            delays_s += [float(state["delay_s"]) for state in states.values()]
    return _Load(
        [seen.n_looks(name, window.begins_s, window.ends_s) for name in cameras],
        delays_s,
        sum(seen.n_dropped(name, "busy", window) for name in cameras),
    )
