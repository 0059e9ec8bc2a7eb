"""A live run ends in a clear state, whatever fails in it and around it.

Cameras are tiny files that are played as if live, in which one person walks from left to right.
"""

import gc
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import jsonschema
import pytest

from benchmarks.live.rtsp_server import RtspServer
from models import command
from models.interrupts import Interrupts
from pipeline import ahead, cli
from pipeline import config as configuration
from pipeline.config import CameraConfig, Config, SourcesConfig
from pipeline.detect.mot_file import MotFileDetector
from pipeline.embed import Embedder, NoEmbedder
from pipeline.errors import ConfigError, ModelError, OutputError, PipelineError
from pipeline.exports import __main__ as export
from pipeline.live import journal, merge, run, sinks
from pipeline.live.journal import EVENTS
from pipeline.live.run import World
from pipeline.live.segments import SEGMENTS, name_of
from pipeline.live.state import STATE
from pipeline.preparation import Networks
from pipeline.records import Detections, Embedded, Frame, Tracklet
from pipeline.result import Result
from pipeline.sources import open_source
from pipeline.sources.live.wall_clock import SteadyClock
from tests import waiting
from tests.conftest import ROOT
from tests.lateness import Lateness
from tests.pipeline.live.disks import read_only, small_disk
from tests.ports import reserved_port
from tests.programs import running
from tests.videos import write_beginning, write_video

FPS = 10
SIZE = (160, 96)
WAIT_S = 60.0
"""Longest wait for something that takes a second on an idle machine."""
STOPPED_S = 120.0
"""Length of a file that a test stops when it has seen enough, on a busy machine as well."""
CLIP_S = 12.0
"""Length of the beginning of the sample that a server plays."""
LATE_S = 0.05
"""A machine that is later than this misses pictures by itself."""

wait_until = partial(waiting.wait_until, timeout_s=WAIT_S)


class Failing(MotFileDetector):
    """Reads boxes from files, and fails at the fifth frame."""

    def __init__(self, path: Path, cameras: list, error: Exception) -> None:
        super().__init__(path, cameras, 0.1)
        self._n_left = 5
        self._error = error

    def detect(self, frames: list[Frame]) -> list[Detections]:
        self._n_left -= len(frames)
        if self._n_left <= 0:
            raise self._error
        return super().detect(frames)


class Broken(NoEmbedder):
    """Fails at the first tracklet, as a ReID network does."""

    def embed(self, tracklets: Sequence[Tracklet]) -> list[Embedded]:
        if tracklets:
            raise ModelError("reid.onnx: the network failed: no such layer")
        return []


class Tardy(NoEmbedder):
    """Takes a second for each step of linking."""

    def embed(self, tracklets: Sequence[Tracklet]) -> list[Embedded]:
        time.sleep(1)
        return super().embed(tracklets)


def write_camera(folder: Path, name: str, seconds: float = 3.0) -> Path:
    """A file to play, and beside it the boxes of the person in it.

    The person is wide, so that one track follows it also where a busy machine misses pictures.
    """
    n_frames = round(seconds * FPS)
    video = write_video(folder / f"{name}.mp4", n_frames, FPS, SIZE)
    lines = [f"{n + 1},1,{10 + n * 90 // n_frames},20,40,70,1,1,1\n" for n in range(n_frames)]
    (folder / f"{name}.txt").write_text("".join(lines))
    return video


def config_of(videos: list[Path], *settings: str) -> Config:
    words = ["reid.weights=none", f"detector.rate={FPS}", "live.flush_s=0.5"]
    words += ["detector.skip_unchanged=false", "output.video=false", "linking.max_delay_s=0.5"]
    loaded = configuration.load("", [*words, *settings])
    given = configuration.with_videos(loaded, [str(video) for video in videos])
    return configuration.all_live(given)


def world_of(
    videos: list[Path], error: Exception | None = None, embedder: Embedder | None = None
) -> World:
    cameras = []
    for video in videos:
        config = CameraConfig(source=str(video), name=video.stem)
        cameras.append(open_source(config, SourcesConfig()).camera)
    boxes = videos[0].parent
    detector = (
        MotFileDetector(boxes, cameras, 0.1) if error is None else Failing(boxes, cameras, error)
    )
    return with_networks(Networks(detector, embedder or NoEmbedder(), []))


def with_networks(networks: Networks) -> World:
    return World(load_networks=lambda config, cameras: networks)


def documents_of(output: Path) -> tuple[dict, dict]:
    trajectories = json.loads((output / "trajectories.json").read_text())
    return trajectories, json.loads((output / "run.json").read_text())


@contextmanager
def meanwhile(work: Callable[[], object]) -> Iterator[None]:
    """Do something on another thread while the block runs; its exceptions are raised here."""
    raised: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again below
            raised.append(error)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    yield
    thread.join(WAIT_S)
    assert not thread.is_alive()
    if raised:
        raise raised[0]


@contextmanager
def stopped_after(work: Callable[[], object]) -> Iterator[Interrupts]:
    """Do something while a run goes on, and stop the run then; yields what stops it."""
    interrupts = Interrupts(reading="")

    def work_and_stop() -> None:
        try:
            work()
        finally:
            interrupts["reading"].set()

    with meanwhile(work_and_stop):
        yield interrupts


def run_until(work: Callable[[], object], video: Path, output: Path, *settings: str) -> Result:
    """Play a file, do something meanwhile, and stop the run then."""
    config = config_of([video], *settings)
    with stopped_after(work) as interrupts:
        return run.run(config, output, quiet=True, interrupts=interrupts, world=world_of([video]))


class Printed:
    """What a run prints to standard error."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd
        self._text = ""

    def text(self) -> str:
        """Everything so far."""
        self._text += self._capfd.readouterr().err
        return self._text

    def has(self, words: str) -> bool:
        """Whether some words were printed by now."""
        return words in self.text()


def told_s(output: Path) -> list[float]:
    """When people were seen who have a number by now, as the journal has it."""
    tracklets = [tracklet for person in merge.people(output) for tracklet in person.tracklets]
    return [float(time_s) for tracklet in tracklets for time_s in tracklet.times_s]


def has_rows(output: Path) -> bool:
    """Whether the person has been seen long enough to count."""
    times_s = times_of(output)
    return len(times_s) > 3 and max(times_s) - min(times_s) > 1.2


def frames_of(output: Path) -> list[int]:
    """Frames of one camera in which the person was seen, as the journal has them."""
    frames: list[int] = []
    for rows in journal.read_rows(journal.row_files(output)):
        frames += rows.frames
    return frames


def times_of(output: Path) -> list[float]:
    """When somebody was seen, as the journal has it, seconds since 1970."""
    times_s: list[float] = []
    for rows in journal.read_rows(journal.row_files(output)):
        times_s += rows.times_s
    return times_s


def fill(disk: Path) -> Path:
    """Fill a disk; returns the file that does."""
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    return filler


@pytest.fixture
def printed(capfd: pytest.CaptureFixture[str]) -> Printed:
    return Printed(capfd)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    wait_until(lambda: not [t.name for t in threading.enumerate() if t not in before])


def test_boxes_from_a_file_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_camera(tmp_path, "gate")
    boxes = ["--set", f"detector.detections={tmp_path}"]
    assert cli.main(["--videos", f"{video}?live", *boxes, "--output", str(tmp_path / "out")]) == 2
    assert "leave it out for live cameras" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_port_that_is_taken_is_told_before_anything_is_written(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    video = write_camera(tmp_path, "gate")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = config_of([video], f"serve.port={taken.getsockname()[1]}")
        with pytest.raises(ConfigError, match=r"take another serve\.port"):
            run.run(config, tmp_path / "out", quiet=True, world=world_of([video]))
    assert not (tmp_path / "out").exists()


def test_a_run_takes_a_clock_that_goes_on_when_the_one_of_the_machine_is_set_back() -> None:
    assert isinstance(World().clock, SteadyClock)
    assert World().clock is not World().clock, "each run has its own"


def test_files_that_end_give_results(tmp_path: Path) -> None:
    videos = [write_camera(tmp_path, name, 4.0) for name in ("gate", "hall")]
    result = run.run(config_of(videos), tmp_path / "out", quiet=True, world=world_of(videos))
    assert result.warnings == []
    trajectories, _ = documents_of(tmp_path / "out")
    assert {c for person in trajectories["people"] for c in person["cameras"]} == {"gate", "hall"}


def test_results_say_how_many_pictures_came_of_each_camera_also_after_a_resume(
    tmp_path: Path,
) -> None:
    video = write_camera(tmp_path, "gate", 2.0)
    output = tmp_path / "out"
    schema = json.loads((ROOT / "pipeline/outputs/trajectories-1.schema.json").read_text())
    n_frames = []
    for resume in (False, True):
        run.run(config_of([video]), output, resume, quiet=True, world=world_of([video]))
        trajectories, manifest = documents_of(output)
        jsonschema.Draft202012Validator(schema).validate(trajectories)
        assert trajectories["cameras"][0]["n_frames"] == manifest["cameras"][0]["n_frames"]
        n_frames.append(manifest["cameras"][0]["n_frames"])
    assert 0 < n_frames[0] <= 20
    assert n_frames[0] < n_frames[1] <= 40


def test_results_of_a_live_run_are_exported_with_all_its_frames(tmp_path: Path) -> None:
    video = write_camera(tmp_path, "gate", 2.0)
    output = tmp_path / "out"
    run.run(config_of([video]), output, quiet=True, world=world_of([video]))
    _, manifest = documents_of(output)
    assert export.main([str(output), "--mot", str(tmp_path / "mot")]) == 0
    n_frames = manifest["cameras"][0]["n_frames"]
    assert n_frames > max(frames_of(output))
    assert f"seqLength={n_frames}\n" in (tmp_path / "mot" / "gate" / "seqinfo.ini").read_text()


def test_a_look_that_waits_for_the_next_picture_is_not_one_that_found_nothing(
    tmp_path: Path,
) -> None:
    video = write_camera(tmp_path, "gate", 2.0)
    config = config_of([video], "detector.rate=4")
    run.run(config, tmp_path / "out", quiet=True, world=world_of([video]))
    assert journal.read_setup(tmp_path / "out").look_s == {"gate": pytest.approx(1 / 4 + 1 / FPS)}


def test_steps_of_linking_that_take_long_cost_no_picture(tmp_path: Path) -> None:
    video = write_camera(tmp_path, "gate", 4.0)
    output = tmp_path / "out"
    world = world_of([video], embedder=Tardy())
    with Lateness() as machine:
        run.run(config_of([video]), output, quiet=True, world=world)
    assert len(frames_of(output)) > (30 if machine.worst_s < LATE_S else 10)


def test_a_detector_that_fails_ends_the_run_with_its_results_and_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_camera(tmp_path, "gate")
    world = world_of([video], error=RuntimeError("no such device"))

    def go(parsed: Namespace) -> None:
        run.run(config_of([video]), tmp_path / "out", quiet=True, world=world)

    assert command.run(go, Namespace(), PipelineError) == 2
    *_, told, error = capsys.readouterr().err.splitlines()
    assert "the results until then are in" in told
    assert error.startswith("error: RuntimeError: no such device (test_run.py, line ")
    _, manifest = documents_of(tmp_path / "out")
    assert any("the run ended early: RuntimeError" in line for line in manifest["warnings"])
    assert (tmp_path / "out" / STATE).is_file()


def test_without_memory_the_run_ends_with_its_results_and_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_camera(tmp_path, "gate")
    world = world_of([video], error=MemoryError())

    def go(parsed: Namespace) -> None:
        run.run(config_of([video]), tmp_path / "out", quiet=True, world=world)

    assert command.run(go, Namespace(), PipelineError) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == f"error: {command.OUT_OF_MEMORY}"
    _, manifest = documents_of(tmp_path / "out")
    assert any(command.OUT_OF_MEMORY in line for line in manifest["warnings"])


def test_a_reid_network_that_fails_ends_the_run_and_a_later_one_goes_on(tmp_path: Path) -> None:
    video = write_camera(tmp_path, "gate", 2.0)
    output = tmp_path / "out"
    broken = Broken()
    with pytest.raises(ModelError, match="no such layer"):
        run.run(
            config_of([video]),
            output,
            quiet=True,
            world=world_of([video], embedder=broken),
        )
    _, manifest = documents_of(output)
    assert manifest["warnings"] == [
        "the run ended early: reid.onnx: the network failed: no such layer"
    ]
    again = run.run(config_of([video]), output, resume=True, quiet=True, world=world_of([video]))
    assert again.warnings == []


def test_a_reid_network_that_fails_ends_the_thread_of_the_detector(tmp_path: Path) -> None:
    video = write_camera(tmp_path, "gate", 2.0)
    gc.disable()  # it may end the thread late
    try:
        with pytest.raises(ModelError, match="no such layer"):
            run.run(
                config_of([video]),
                tmp_path / "out",
                quiet=True,
                world=world_of([video], embedder=Broken()),
            )
        assert "detect" not in [thread.name for thread in threading.enumerate()]
    finally:
        gc.enable()


def test_a_disk_that_is_full_for_a_while_costs_no_row(tmp_path: Path, printed: Printed) -> None:
    video = write_camera(tmp_path, "gate", STOPPED_S)
    with small_disk(tmp_path / "disk", 2) as disk:
        output = disk / "out"

        def fill_and_free() -> None:
            wait_until(lambda: has_rows(output))
            filler = fill(disk)
            wait_until(lambda: printed.has("rows/000001.jsonl: cannot be written (No space left"))
            filler.unlink()
            wait_until(lambda: printed.has("rows and events are written again"))
            wait_until(lambda: len(frames_of(output)) > 50)

        result = run_until(fill_and_free, video, output)
        assert printed.text().count("rows/000001.jsonl: ") == 1
        assert result.warnings == []
        trajectories, manifest = documents_of(output)
        (person,) = trajectories["people"]
        assert sum(len(tracklet["times_s"]) for tracklet in person["tracklets"]) > 50
        assert len(frames_of(output)) == manifest["stages"]["detect"]["frames"]


def test_a_disk_that_stays_full_is_told_at_the_end_with_what_is_lost(
    tmp_path: Path, printed: Printed
) -> None:
    video = write_camera(tmp_path, "gate", STOPPED_S)
    with small_disk(tmp_path / "disk", 2) as disk:
        output = disk / "out"

        def fill_it() -> None:
            wait_until(lambda: has_rows(output))
            fill(disk)
            wait_until(lambda: printed.has("rows/000001.jsonl: cannot be written (No space left"))

        with (
            stopped_after(fill_it) as interrupts,
            pytest.raises(OutputError, match=r"free some space.*live\.merge"),
        ):
            run.run(
                config_of([video]),
                output,
                quiet=True,
                interrupts=interrupts,
                world=world_of([video]),
            )
        assert printed.has("the last rows and events are lost")


def test_a_segment_that_cannot_be_deleted_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    video = write_camera(tmp_path, "gate", 1.0)
    with small_disk(tmp_path / "disk", 2) as disk:
        folder = disk / "out" / SEGMENTS / "gate"
        folder.mkdir(parents=True)
        (folder / name_of(1e9)).write_bytes(b"of 2001")
        config = config_of([video], "live.keep_days=1", "live.min_free_gb=0")
        with read_only(folder):
            run.run(config, disk / "out", resume=True, quiet=True, world=world_of([video]))
    assert capfd.readouterr().err.count("cannot be deleted (Read-only file system)") == 1


def test_a_folder_that_is_deleted_is_told_and_a_new_one_has_what_comes_next(
    tmp_path: Path, printed: Printed
) -> None:
    video = write_camera(tmp_path, "gate", STOPPED_S)
    output = tmp_path / "out"
    told = "was deleted, and all that it held is lost"

    def delete() -> None:
        wait_until(lambda: has_rows(output))
        gone = output.rename(tmp_path / "gone")  # at once: the run writes into it meanwhile
        shutil.rmtree(gone)
        wait_until(lambda: printed.has(told))
        wait_until(lambda: has_rows(output))

    run_until(delete, video, output)
    assert printed.text().count(told) == 1
    trajectories, _ = documents_of(output)
    assert trajectories["cameras"][0]["camera"] == "gate"
    assert has_rows(output)


def test_a_page_client_that_never_reads_delays_nobody(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    video = write_camera(tmp_path, "gate", STOPPED_S)
    output = tmp_path / "out"
    clients: list[socket.socket] = []

    def connect(port: int) -> None:
        wait_until(lambda: has_rows(output))
        for path in ("/api/pictures", "/events"):
            client = socket.create_connection(("127.0.0.1", port))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode())
            clients.append(client)
        n_before = len(frames_of(output))
        wait_until(lambda: len(frames_of(output)) > n_before + 30)

    with reserved_port() as port, Lateness() as machine:
        result = run_until(lambda: connect(port), video, output, f"serve.port={port}")
    for client in clients:
        client.close()
    assert len(clients) == 2
    assert result.warnings == []
    assert sum(len(tracklet.frames) for tracklet in result.people[0].tracklets) > 30
    frames = frames_of(output)
    share = len(frames) / (max(frames) - min(frames) + 1)
    assert share > 0.75 or machine.worst_s > LATE_S


def test_a_webhook_that_hangs_does_not_keep_the_run_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "TIMEOUT_S", 1000.0)
    video = write_camera(tmp_path, "gate", STOPPED_S)
    output = tmp_path / "out"
    stopped_s = 0.0

    def see() -> None:
        nonlocal stopped_s
        wait_until(lambda: has_rows(output))
        stopped_s = time.monotonic()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/events"
        result = run_until(see, video, output, f"events.webhook={url}")
    assert time.monotonic() - stopped_s < WAIT_S
    assert len(result.people) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_with_results(tmp_path: Path, number: int) -> None:
    video = write_camera(tmp_path, "gate", STOPPED_S)
    output = tmp_path / "out"

    def end() -> None:
        wait_until(lambda: has_rows(output))
        os.kill(os.getpid(), number)

    with meanwhile(end):
        result = run.run(config_of([video]), output, quiet=True, world=world_of([video]))
    assert len(result.people) == 1
    assert documents_of(output)[1]["warnings"] == []


class Stuck(MotFileDetector):
    """Is stuck after twenty frames, until it may go on."""

    def __init__(self, path: Path, cameras: list) -> None:
        super().__init__(path, cameras, 0.1)
        self.n_frames = 0
        self.may_go_on = threading.Event()

    def detect(self, frames: list[Frame]) -> list[Detections]:
        self.n_frames += len(frames)
        if self.n_frames > 20:
            self.may_go_on.wait(WAIT_S)
        return super().detect(frames)


def test_ctrl_c_twice_stops_at_once_and_what_was_seen_can_be_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = write_camera(tmp_path, "gate", STOPPED_S)
    output = tmp_path / "out"
    camera = open_source(CameraConfig(source=str(video), name="gate"), SourcesConfig()).camera
    detector = Stuck(tmp_path, [camera])
    stuck = with_networks(Networks(detector, NoEmbedder(), []))
    interrupts = Interrupts(reading="")

    def end() -> None:
        wait_until(lambda: detector.n_frames > 20)
        os.kill(os.getpid(), signal.SIGINT)
        wait_until(interrupts["reading"].is_set)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(ahead, "JOIN_S", 0.5)
    with meanwhile(end), pytest.raises(KeyboardInterrupt):
        run.run(config_of([video]), output, quiet=True, interrupts=interrupts, world=stuck)
    detector.may_go_on.set()
    assert merge.main([str(output)]) == 0
    assert (output / "trajectories.json").is_file()


def test_sighup_adds_and_removes_cameras_and_a_bad_config_changes_nothing(
    tmp_path: Path, printed: Printed
) -> None:
    videos = [write_camera(tmp_path, name, STOPPED_S) for name in ("gate", "hall")]
    output = tmp_path / "out"
    site = tmp_path / "site.yaml"

    def write(names: list[str], more: str = "") -> None:
        lines = [f"  - source: {tmp_path / name}.mp4?live\n" for name in names]
        site.write_text("cameras:\n" + "".join(lines) + more, encoding="utf-8")

    def load() -> Config:
        base = config_of([])
        listed = configuration.load(str(site), [])
        return base.model_copy(update={"cameras": listed.cameras})

    def edit() -> None:
        wait_until(lambda: has_rows(output))
        write(["gate", "hall"])
        os.kill(os.getpid(), signal.SIGHUP)
        wait_until(lambda: printed.has("hall: connected: pictures arrive"))
        assert printed.text().count("gate: connected") == 1  # it went on undisturbed
        write(["gate"], "tracker: {max_lost: 3}\n")
        os.kill(os.getpid(), signal.SIGHUP)
        wait_until(lambda: printed.has("the config was not read again"))
        assert printed.has("unknown key tracker.max_lost")
        write(["hall", "missing"])
        os.kill(os.getpid(), signal.SIGHUP)
        wait_until(lambda: printed.has("missing.mp4?live: no such file"))
        write(["hall"])
        os.kill(os.getpid(), signal.SIGHUP)
        wait_until(lambda: printed.has("the config was read again: 1 cameras"))

    write(["gate"])
    with stopped_after(edit) as interrupts:
        result = run.run(
            configuration.all_live(load()),
            output,
            reload=load,
            interrupts=interrupts,
            world=world_of(videos),
        )
    assert {camera.name for camera in result.cameras} == {"gate", "hall"}
    assert (output / EVENTS).is_file()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_after_kill_9_people_keep_their_numbers_and_no_more_than_flush_s_is_lost(
    sample: Path, tmp_path: Path, printed: Printed
) -> None:
    """The sample, streamed by a server on loopback that goes on while the program is killed."""
    output = tmp_path / "out"
    clip = write_beginning(sample / "cam4.mp4", tmp_path / "cam4.mp4", round(CLIP_S * 12.5))
    flush_s = 2.0
    killed_s = 0.0
    words = ["--output", str(output), "--no-video"]
    for setting in ("detector.rate=3", "detector.size_px=480", f"live.flush_s={flush_s:g}"):
        words += ["--set", setting]

    def all_is_seen() -> bool:
        """Whether the whole clip was seen, and what was seen lately is on disk."""
        assert process.poll() is None
        times_s = told_s(output)
        is_whole = bool(times_s) and max(times_s) - min(times_s) > CLIP_S
        # people are seen at most every 1/3 s
        return is_whole and time.time() - max(times_s) < flush_s + 2.0

    def end() -> None:
        """Stop the second run when it has seen the clip."""
        until_s = killed_s + CLIP_S
        wait_until(lambda: sum(s > until_s for s in times_of(output)) > 10, timeout_s=2 * WAIT_S)
        os.kill(os.getpid(), signal.SIGINT)

    with RtspServer(clip) as camera:
        words += ["--videos", camera.url]
        command_line = [sys.executable, "run_pipeline.py", *words]
        with running(command_line, stderr=subprocess.DEVNULL) as process:
            wait_until((output / STATE).exists, timeout_s=2 * WAIT_S)
            wait_until(all_is_seen, timeout_s=2 * WAIT_S)
            newest_s = max(told_s(output))
            killed_s = time.time()
            process.kill()

        assert merge.main([str(output)]) == 0
        before = json.loads((output / "trajectories.json").read_text())["people"]
        last_s = max(t["times_s"][-1] for person in before for t in person["tracklets"])
        assert last_s > newest_s - 0.001

        with meanwhile(end):
            assert cli.main([*words, "--resume"]) == 0, printed.text()
    assert printed.has("going on with")
    after = json.loads((output / "trajectories.json").read_text())["people"]
    gone = {p["person_id"] for p in before} - {p["person_id"] for p in after}
    merged = {event.before for event in merge.decisions(output) if event.kind == "merged"}
    assert gone <= merged, "who is not there any more was said to be somebody else"
    n_rows = 0
    n_known = 0
    for person in after:
        times_s = [time_s for t in person["tracklets"] for time_s in t["times_s"]]
        n_late = sum(time_s > killed_s for time_s in times_s)
        n_rows += n_late
        n_known += n_late if min(times_s) < killed_s else 0
    assert n_rows > 0
    assert n_known > 0.7 * n_rows


def test_a_live_run_counts_at_its_zones(tmp_path: Path) -> None:
    video = write_camera(tmp_path, "gate")
    left = "{name: left, camera: gate, polygon: [[0, 0], [60, 0], [60, 96], [0, 96]]}"
    door = "{name: door, camera: gate, line: [[60, 96], [60, 0]]}"
    config = config_of([video], f"zones=[{left}, {door}]")
    output = tmp_path / "out"
    result = run.run(config, output, quiet=True, world=world_of([video]))
    header, *rows = (output / "zones.csv").read_text().splitlines()
    assert header.startswith("zone,kind,person_id")
    assert [row.split(",")[:3] for row in rows] == [
        ["left", "entry", "1"],
        ["door", "crossing", "1"],
        ["left", "exit", "1"],
    ]
    assert "zones.csv" in result.files
    _, manifest = documents_of(output)
    assert [(each["zone"], each["entries"], each["exits"]) for each in manifest["zones"]] == [
        ("left", 1, 1),
        ("door", 1, 0),
    ]
