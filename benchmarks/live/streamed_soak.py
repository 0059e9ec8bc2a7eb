"""The program as users run it, on the sample streamed over RTSP: what grows in real minutes.

`soak` has no networks, decoders or sockets, which may leak too. Here all is real, and so the day is
short.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.live.soak import PAGE_S, free_port, panels
from benchmarks.live.streams import served
from benchmarks.pipeline.scenes import ROOT
from pipeline.errors import PipelineError

SAMPLE_S = 5.0
SETTLED = 0.2
"""Share of the run after which memory is compared: networks and decoders are warm by then."""
STOP_S = 60.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Sample:
    """The program at one time; costs are since the sample before.

    Attributes:
        minute: since the first answer of its page.
        rss_mb: resident memory.
        n_files: open files and sockets.
        n_threads: threads.
        cores: cores that it uses.
        fps: pictures a second that all cameras deliver.
        n_reconnects: of all cameras.
        delay_s: longest time from the arrival of a picture to its processing.
        n_live: cameras that are live.
    """

    minute: float
    rss_mb: float
    n_files: int
    n_threads: int
    cores: float
    fps: float
    n_reconnects: int
    delay_s: float
    n_live: int


COLUMNS = {
    "rss_mb": "memory, MB",
    "n_files": "open files",
    "n_threads": "threads",
    "cores": "cores",
    "fps": "pictures a second of all cameras",
    "delay_s": "delay, s",
    "n_reconnects": "reconnects",
    "n_live": "cameras that are live",
}
"""Figures of a sample, and their names."""


def soak(videos: Sequence[Path], minutes: float) -> list[Sample]:
    """Stream videos to the program, again and again.

    Args:
        videos: H.264 files.
        minutes: how long.

    Returns:
        A sample each `SAMPLE_S`.

    Raises:
        PipelineError: the program failed.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, served(videos) as addresses:
        words = [sys.executable, "run_pipeline.py", "--quiet", "--serve", str(port)]
        words += ["--output", f"{folder}/run", "--videos", *addresses]
        program = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        with program:
            try:
                samples = list(_samples(program.pid, port, minutes))
                program.send_signal(signal.SIGINT)
                _, said = program.communicate(timeout=STOP_S)
            finally:
                program.kill()
        if program.returncode:
            raise PipelineError(f"the live run failed: {said.strip()[-300:]}")
    return samples


def _samples(pid: int, port: int, minutes: float) -> Iterator[Sample]:
    _wait_for(port)
    start_s = time.monotonic()
    last_s = start_s
    cpu_s = _cpu_s(pid)
    n_frames = 0
    while time.monotonic() < start_s + 60 * minutes:
        time.sleep(SAMPLE_S)
        cameras = _asked(port)["cameras"]
        now_s = time.monotonic()
        elapsed_s = now_s - last_s
        new_cpu_s = _cpu_s(pid)
        new_frames = sum(camera["n_frames"] for camera in cameras)
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
        yield Sample(
            minute=(now_s - start_s) / 60,
            rss_mb=int(pages[1]) * PAGE_S / 1e6,
            n_files=sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()),
            n_threads=sum(1 for _ in Path(f"/proc/{pid}/task").iterdir()),
            cores=(new_cpu_s - cpu_s) / elapsed_s,
            fps=(new_frames - n_frames) / elapsed_s,
            n_reconnects=sum(camera["n_reconnects"] for camera in cameras),
            delay_s=max((camera["delay_s"] for camera in cameras), default=0.0),
            n_live=sum(camera["state"] == "live" for camera in cameras),
        )
        last_s = now_s
        cpu_s = new_cpu_s
        n_frames = new_frames


def _wait_for(port: int) -> None:
    """Wait until the page answers; raises PipelineError when it does not."""
    for _ in range(120):
        try:
            _asked(port)
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise PipelineError("the page of the live run does not answer")


def _asked(port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/cameras", timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def _cpu_s(pid: int) -> float:
    """CPU time of a process so far, of user and system."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def table(samples: Sequence[Sample]) -> str:
    """Return the first fifth after the start beside the last one."""
    settled = samples[int(len(samples) * SETTLED) :]
    n_part = max(len(samples) // 5, 1)
    lines = [f"{'':<34}{'early':>10}{'late':>10}{'most':>10}"]
    for name, unit in COLUMNS.items():
        values = [getattr(sample, name) for sample in settled]
        shown = [np.mean(values[:n_part]), np.mean(values[-n_part:]), max(values)]
        lines.append(f"{unit:<34}" + "".join(f"{value:>10.2f}" for value in shown))
    return "\n".join(lines)


def main(videos: Sequence[Path], minutes: float, plots: Path | None) -> None:
    """Stream videos, and print and draw what was seen.

    Args:
        videos: H.264 files.
        minutes: how long.
        plots: folder for streamed_soak.png; None draws nothing.
    """
    samples = soak(videos, minutes)
    print(table(samples))
    if plots is not None:
        panels(samples, "minute", COLUMNS, plots / "streamed_soak.png")
