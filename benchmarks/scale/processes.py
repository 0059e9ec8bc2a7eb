"""CPU time, memory and network of a command and of all processes below it, by what they are.

Ray starts processes that the command does not wait for, so its own count of CPU time leaves them
out. A thread reads /proc instead, ten times a second: a process that ends takes the CPU time since
the last look with it, 0.05 s on average. Memory is proportional set size: what processes share
counts once. What each socket has sent is what the kernel says (`ss` of iproute2); without `ss`, the
network is not measured.
"""

import os
import re
import shutil
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from pipeline.cluster import linking

PERIOD_S = 0.1
SLOW_PERIOD_S = 1.0
"""Memory and sockets take longer to read."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
SOCKET = re.compile(r"pid=(\d+)")
SENT = re.compile(r"bytes_sent:(\d+)")
KIB_IN_MIB = 1024
COMMAND = "command"
WORKERS = "workers"
LINKER = "linker"
OF_RAY = "ray"


@dataclass(slots=True)
class Process:
    """What one process used.

    Attributes:
        root: Process id of the command that it is below.
        title: Its command line, the last one that says what it does.
        cpu_s: User and system time.
        before_s: The same when sampling began.
        peak_mib: The largest memory.
    """

    root: int
    title: str
    cpu_s: float
    before_s: float = 0.0
    peak_mib: float = 0.0


@dataclass(frozen=True, slots=True)
class Used:
    """What processes used while they were sampled.

    Attributes:
        wall_s: How long that was.
        processes: By process id and start.
        sent: Bytes from one root to another, roots by process id.
    """

    wall_s: float
    processes: Mapping[tuple[int, int], Process]
    sent: Mapping[tuple[int, int], int]

    def cpu_s(self, kind: str, command: int) -> float:
        """Return the CPU time of processes of a kind (`kind_of`)."""
        return sum(each.cpu_s - each.before_s for each in self.of(kind, command))

    def of(self, kind: str, command: int) -> list[Process]:
        """Return the processes of a kind.

        Args:
            kind: One of COMMAND, WORKERS, LINKER, OF_RAY.
            command: Process id of the program.
        """
        return [
            each for (pid, _), each in self.processes.items() if kind_of(pid, each, command) == kind
        ]


def kind_of(pid: int, process: Process, command: int) -> str:
    """Return what a process is: the program, a worker, the linker, or of Ray itself.

    Args:
        pid: Its id.
        process: What is known of it.
        command: Process id of the program.
    """
    title = process.title
    if title.startswith("ray::") and not _is_of_ray(title):
        return LINKER if title.startswith(f"ray::{linking.TASK}") else WORKERS
    is_program = pid == command or "ray" not in title
    return COMMAND if is_program and process.root == command else OF_RAY


def _is_of_ray(title: str) -> bool:
    """Whether Ray itself gives a process this title: an idle worker, or an agent."""
    return title.startswith(("ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent"))


@dataclass(slots=True)
class Sampler:
    """Watches commands and all below them, from `start` to `stop`; commands may be added."""

    roots: set[int] = field(default_factory=set)
    _processes: dict[tuple[int, int], Process] = field(default_factory=dict)
    _sockets: dict[tuple[str, str], tuple[int, int, int]] = field(default_factory=dict)
    _roots_of: dict[int, int] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _start_s: float = 0.0

    def start(self) -> None:
        """Begin: what was used before does not count."""
        self._look(is_slow=True)
        for process in self._processes.values():
            process.before_s = process.cpu_s
        self._sockets = {ends: (pid, sent, sent) for ends, (pid, _, sent) in self._sockets.items()}
        self._start_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    def stop(self) -> Used:
        """End, and return what was used."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        return self.used()

    def used(self) -> Used:
        """Return what was used so far."""
        wall_s = time.monotonic() - self._start_s
        return Used(wall_s, dict(self._processes), self._sent())

    def _run(self) -> None:
        slow_due_s = 0.0
        while not self._stop.wait(PERIOD_S):
            is_slow = time.monotonic() >= slow_due_s
            self._look(is_slow)
            if is_slow:
                slow_due_s = time.monotonic() + SLOW_PERIOD_S

    def _look(self, is_slow: bool) -> None:
        """Read all processes below the roots."""
        found = _all_processes()
        for pid, (parent, start, cpu_s) in found.items():
            root = self._root_of(pid, parent, found)
            if not root:
                continue
            self._roots_of[pid] = root
            key = (pid, start)
            if key not in self._processes:
                self._processes[key] = Process(root, "", 0.0)
            process = self._processes[key]
            process.cpu_s = max(process.cpu_s, cpu_s)
            title = _title(pid)
            if title and not (title.startswith("ray::IDLE") and process.title):
                process.title = title
            if is_slow:
                process.peak_mib = max(process.peak_mib, _memory_mib(pid))
        if is_slow:
            for ends, pid, sent in _sockets():
                _, before, _ = self._sockets.get(ends, (pid, 0, 0))
                self._sockets[ends] = (pid, before, sent)

    def _root_of(self, pid: int, parent: int, found: Mapping[int, tuple[int, int, float]]) -> int:
        """The command that a process is below; 0 for none. Orphans stay below theirs."""
        above = pid
        while above in found:
            if above in self.roots:
                return above
            above, _, _ = found[above]
        return self._roots_of.get(pid, 0)

    def _sent(self) -> dict[tuple[int, int], int]:
        """Bytes between roots, over the sockets whose two ends are known."""
        sent: dict[tuple[int, int], int] = defaultdict(int)
        for (here, there), (pid, before, now) in dict(self._sockets).items():
            peer = self._sockets.get((there, here))
            if peer is None:
                continue
            source = self._roots_of.get(pid, 0)
            target = self._roots_of.get(peer[0], 0)
            if source and target and source != target:
                sent[source, target] += now - before
        return dict(sent)


def _all_processes() -> dict[int, tuple[int, int, float]]:
    """Parent, start and CPU time of each process, by id."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text(encoding="ascii", errors="replace")
            except OSError:
                continue
            fields = text.rpartition(")")[2].split()
            cpu_s = (int(fields[11]) + int(fields[12])) / TICKS_PER_S
            found[int(folder.name)] = (int(fields[1]), int(fields[19]), cpu_s)
    return found


def _title(pid: int) -> str:
    """Command line of a process; "" where it has gone."""
    try:
        text = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return text.replace("\0", " ").strip()


def _memory_mib(pid: int) -> float:
    """Proportional set size of a process; 0 where it has gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0.0
    lines = [line for line in text.splitlines() if line.startswith("Pss:")]
    return float(lines[0].split()[1]) / KIB_IN_MIB if lines else 0.0


def _sockets() -> Iterable[tuple[tuple[str, str], int, int]]:
    """Ends, owner and bytes sent of each TCP connection of this machine; none without `ss`."""
    program = shutil.which("ss")
    if program is None:
        return []
    words = [program, "-tinpH", "state", "established"]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    found = []
    lines = done.stdout.splitlines()
    for line, details in pairwise(lines):
        owner = SOCKET.search(line)
        sent = SENT.search(details)
        if owner and not SOCKET.search(details):
            _, _, here, there, *_ = line.split()
            n_bytes = int(sent.group(1)) if sent else 0
            found.append(((here, there), int(owner.group(1)), n_bytes))
    return found
