"""Workers that are started, asked one thing after the other, and started again when they are lost.

A worker has at most one question open. It is lost when its process or machine dies, which Ray
tells, or when it does not answer for `hang_s`: Ray takes half a minute to notice a machine that is
cut off. It is then started again with what it needs to go on, on another machine if there is one.
Ray's own restarts (`max_restarts`) would not do: they start a worker with what it was started with
at first, and not at all while the machine is believed to be alive.

An error that a worker raises is no loss: it is raised here as it was there.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from models.errors import one_line
from pipeline.cluster import connection
from pipeline.cluster.groups import CameraGroup, place
from pipeline.errors import ClusterError, PipelineError
from pipeline.version import VERSION

HANG_S = 6.0
"""Longest silence of a worker that has been asked. It answers at least every two seconds."""
BEGIN_S = 30.0
"""The same before its first answer that is not None: libraries hold it up while they load."""
MAX_LOSSES = 3
"""Losses of a worker in a row, without progress between them, after which a run gives up."""
TELL_AFTER_S = 5.0
"""After so long it is told that a worker waits for a place."""
RETRY_AFTER_S = (0.0, 1.0, 5.0, 15.0, 60.0)
"""Waits before a worker is started again, by how often it was lost in a row, where a run does not
give up: one that dies at once, again and again, should not keep its machine busy.
"""
PROCESS_DIED = "its process died"
AVOID_S = 20.0
"""How long a worker waits for another machine than the one it was lost on; by then Ray has noticed
whether that one is dead.
"""

LOW_ON_MEMORY = "low on memory"
NO_MODULE = "ModuleNotFoundError:"
"""Stand in Ray's texts of why a worker is gone."""


class Place(NamedTuple):
    """Where a worker runs: Ray's id of the machine, its name, and the process."""

    node_id: str
    host: str
    pid: int


class SupervisedWorker:
    """What the actors that are supervised have in common.

    A spare one begins with a job that has no cameras, prepares what takes long, and waits for
    `_has_cameras`; `take_over` brings the job that has some.
    """

    def __new__(cls, *_: Any) -> "SupervisedWorker":
        """Prepare the process before anything of the worker begins."""
        connection.use_own_web()
        return super().__new__(cls)

    def __init__(self, job: Any, has_cameras: bool) -> None:
        self._job = job
        self._has_cameras = threading.Event()
        if has_cameras:
            self._has_cameras.set()

    def take_over(self, job: Any) -> None:
        """Give a spare worker its cameras."""
        self._job = job
        self._has_cameras.set()

    def where(self) -> Place:
        """Return where this worker runs."""
        context = connection.import_ray().get_runtime_context()
        return Place(context.get_node_id(), socket.gethostname(), os.getpid())


def refuse_other_version(version: str) -> None:
    """Check that the program of a worker is that of the driver.

    Args:
        version: of the driver's program.

    Raises:
        ClusterError: this machine has another one.
    """
    if version != VERSION:
        raise ClusterError(
            f"{socket.gethostname()} has version {VERSION} of this program, and the command"
            f" {version}; install the same on all machines"
        )


@dataclass(frozen=True, slots=True)
class Started:
    """A worker runs, for the first time or again, and can be asked."""

    group: str
    place: Place
    n_losses: int

    def entry(self, cameras: Iterable[str]) -> dict[str, Any]:
        """Return what `run.json` says of the worker.

        Args:
            cameras: names of the cameras of its group.
        """
        return {
            "group": self.group,
            "cameras": list(cameras),
            "machine": self.place.host,
            "node": self.place.node_id,
            "restarts": self.n_losses,
        }


@dataclass(frozen=True, slots=True)
class Answered:
    """A worker has answered, and can be asked again."""

    group: str
    answer: Any


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker is gone, and is being started again. place: where it ran; None: it had not begun."""

    group: str
    place: Place | None
    reason: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A worker has found no place yet; `reason` says what it waits for."""

    group: str
    reason: str


Event = Started | Answered | Lost | Waiting
Make = Callable[[CameraGroup], tuple[type[SupervisedWorker], Sequence[Any]]]
"""Returns the class of a worker, and what it is made of, each time that it is started."""


@dataclass(slots=True)
class _Post:
    """A group, and the worker that has it now.

    question: what is waited for; None while nothing is asked.
    since_s: when it was asked.
    place: where the worker runs; None until it has said so.
    avoided: machine on which no new worker is started; "" for none.
    suspect: machine on which no spare one takes over: it, and not the process alone, may be dead;
        "" for none, and for the machine of the driver.
    has_begun: whether it has answered something else than None.
    start_at_s: when a lost worker is started again, by `time.monotonic`.
    """

    group: CameraGroup
    actor: Any = None
    question: Any = None
    since_s: float = 0.0
    place: Place | None = None
    n_losses: int = 0
    n_in_row: int = 0
    avoided: str = ""
    suspect: str = ""
    has_begun: bool = False
    start_at_s: float = 0.0
    is_told: bool = False


@dataclass(slots=True)
class Supervisor:
    """Keeps a worker for each group; to be used on one thread, within a connection.

    Attributes:
        groups: who is to have a worker.
        make: what a worker is made of, each time that it is started; a spare one has no cameras.
        start_timeout_s: longest wait for a place while no other worker runs.
        hang_s: longest silence of a worker that was asked.
        max_losses: losses in a row after which it gives up; 0 for never.
        n_spares: workers of each kind of needs that have begun without a group, when all groups had
            a place. One of them has `take_over` called with what a worker is made of, when a worker
            is lost; loading networks takes longer than all else.
    """

    groups: Sequence[CameraGroup]
    make: Make
    start_timeout_s: float
    hang_s: float = HANG_S
    max_losses: int = MAX_LOSSES
    n_spares: int = 0
    _posts: dict[str, _Post] = field(default_factory=dict)
    _spares: list[_Post] = field(default_factory=list)
    _replaced: list[Event] = field(default_factory=list)
    """Spare workers that took over since the last `poll`."""
    _warnings: list[str] = field(default_factory=list)
    _last_at_work_s: float = 0.0
    """When a worker had a place at last; until then, others may have waited for that place."""

    def start(self) -> None:
        """Start all workers; `poll` tells when each runs."""
        for group in self.groups:
            self.add(group)
        self._spares = [_Post(group) for group in spares(self.groups, self.n_spares)]

    def add(self, group: CameraGroup) -> None:
        """Start a worker for another group."""
        self._posts[group.name] = _Post(group)
        self._start(self._posts[group.name])

    @property
    def places(self) -> dict[str, Place]:
        """Where the workers run that run now, by group."""
        return {name: post.place for name, post in self._posts.items() if post.place is not None}

    def ask(self, group: str, method: str, *values: Any) -> None:
        """Ask a worker that has started and has nothing to answer; `poll` brings the answer.

        Args:
            group: name of its group.
            method: of the worker.
            values: what the method takes.
        """
        post = self._posts[group]
        post.question = getattr(post.actor, method).remote(*values)
        post.since_s = time.monotonic()

    def progressed(self, group: str) -> None:
        """Note that a worker has brought what is not done again if it is lost."""
        self._posts[group].n_in_row = 0

    def finish(self, group: str) -> None:
        """End a worker that is not needed any more."""
        self._kill(self._posts.pop(group))

    def poll(self, timeout_s: float) -> list[Event]:
        """Return what has happened, after a wait until something does.

        Args:
            timeout_s: longest wait.

        Raises:
            ClusterError: a worker finds no place, or was lost too often without progress.
            Exception: what a worker has raised.
        """
        ray = connection.import_ray()
        if self.places:
            self._last_at_work_s = time.monotonic()
        needed = list(self._posts.values())
        if len(self.places) == len(needed):  # spare ones take no place that a group waits for
            needed += self._spares
        for post in needed:
            if post.actor is None and time.monotonic() >= post.start_at_s:
                self._start(post)
        self._look_at_spares()
        if self._replaced:
            replaced = self._replaced
            self._replaced = []
            return replaced
        open_posts = {post.question: post for post in self._posts.values() if post.question}
        if not open_posts:
            time.sleep(timeout_s)
            return []
        ray.wait(list(open_posts), timeout=timeout_s)
        ready, _ = ray.wait(list(open_posts), num_returns=len(open_posts), timeout=0)
        events: list[Event] = []
        for question in ready:
            events.append(self._take(open_posts.pop(question)))
        for post in open_posts.values():
            events += self._look_after(post)
        return events

    def take_warnings(self) -> list[str]:
        """Return what is wrong with spare workers since the last call."""
        warnings = self._warnings
        self._warnings = []
        return warnings

    def close(self) -> None:
        """End all workers."""
        for name in list(self._posts):
            self.finish(name)
        for spare in self._spares:
            self._kill(spare)

    def _start(self, post: _Post) -> None:
        """Start a worker, and ask where it runs; or let a spare one take over."""
        ray = connection.import_ray()
        is_spare = not post.group.cameras
        if post.n_losses and self._has_taken_over(post):
            return
        kind, values = self.make(post.group)
        options = post.group.options
        if is_spare:
            options["scheduling_strategy"] = "SPREAD"
        if post.avoided:
            options["label_selector"] = {"ray.io/node-id": f"!{post.avoided}"}
        remote = ray.remote(kind).options(max_restarts=0, max_task_retries=0, **options)
        post.actor = remote.remote(*values)
        post.question = post.actor.where.remote()
        post.since_s = time.monotonic()
        post.has_begun = False
        post.is_told = False

    def _has_taken_over(self, post: _Post) -> bool:
        """Whether a spare worker has taken the group of a lost one; another spare is started."""
        for spare in self._spares:
            fits = spare.group.options == post.group.options
            if not fits or spare.place is None or spare.place.node_id == post.suspect:
                continue
            _, values = self.make(post.group)
            spare.actor.take_over.remote(*values)
            post.actor = spare.actor
            post.place = spare.place
            post.avoided = ""
            post.has_begun = False
            spare.actor = None
            spare.place = None
            self._replaced.append(Started(post.group.name, post.place, post.n_losses))
            return True
        return False

    def _look_at_spares(self) -> None:
        """Note where spare workers run; those that are lost are started again later."""
        ray = connection.import_ray()
        for spare in self._spares:
            if spare.question is None:
                continue
            if not ray.wait([spare.question], timeout=0)[0]:
                if reason := self._waits_long_for(spare):
                    self._warnings.append(f"a spare worker has no place: {reason}")
                continue
            try:
                spare.place = ray.get(spare.question)
            except ray.exceptions.RayError:
                self._kill(spare)
                spare.start_at_s = time.monotonic() + RETRY_AFTER_S[-1]
            spare.question = None

    def _take(self, post: _Post) -> Event:
        """What an answer says; raises what the worker has raised."""
        ray = connection.import_ray()
        try:
            answer = ray.get(post.question)
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, PipelineError):
                raise cause from None
            raise
        except ray.exceptions.RayError as error:
            return self._lose(post, _in_words(error))
        post.question = None
        post.has_begun |= post.place is not None and answer is not None
        if post.place is None:
            post.place = answer
            post.avoided = ""
            return Started(post.group.name, answer, post.n_losses)
        return Answered(post.group.name, answer)

    def _look_after(self, post: _Post) -> Iterable[Event]:
        """What becomes of a worker that has not answered yet."""
        silent_s = time.monotonic() - post.since_s
        if post.place is not None:
            longest_s = self.hang_s if post.has_begun else max(self.hang_s, BEGIN_S)
            if silent_s > longest_s:
                yield self._lose(post, f"it did not answer for {longest_s:g} s")
            return
        if post.avoided and silent_s > AVOID_S:
            self._kill(post)
            post.avoided = ""
            self._start(post)
        elif self._has_waited_too_long(post) and not self._goes_on(post):
            raise ClusterError(
                f"the worker of {post.group.title} found no place within"
                f" {self.start_timeout_s:g} s: {self._waits_for(post)}; end other work in the"
                " cluster, change ray.groups, or raise ray.start_timeout_s"
            )
        elif reason := self._waits_long_for(post):
            yield Waiting(post.group.name, reason)

    def _has_waited_too_long(self, post: _Post) -> bool:
        """Whether a worker has found no place, and none was given up for it by another one."""
        since_s = max(post.since_s, self._last_at_work_s)
        return time.monotonic() - since_s > self.start_timeout_s

    def _lose(self, post: _Post, reason: str) -> Event:
        """Start a lost worker again; raises ClusterError when that was done too often."""
        place_before = post.place
        self._kill(post)
        post.place = None
        post.n_losses += 1
        post.n_in_row += 1
        if self.max_losses and post.n_in_row >= self.max_losses:
            on_host = f" on {place_before.host}" if place_before else ""
            raise ClusterError(
                f"the worker of {post.group.title} was lost {post.n_in_row} times without"
                f" progress, at last{on_host}: {reason}"
            )
        post.suspect = ""
        if place_before is not None and (reason != PROCESS_DIED or post.n_in_row > 1):
            own = connection.import_ray().get_runtime_context().get_node_id()
            post.suspect = "" if place_before.node_id == own else place_before.node_id
        if place_before is not None and _has_another(post.group, place_before.node_id):
            post.avoided = place_before.node_id
        if self.max_losses:
            self._start(post)
        else:
            number = min(post.n_in_row, len(RETRY_AFTER_S)) - 1
            post.start_at_s = time.monotonic() + RETRY_AFTER_S[number]
        return Lost(post.group.name, place_before, reason)

    def _goes_on(self, post: _Post) -> bool:
        """Whether a worker that ran before is waited for, however long."""
        return not self.max_losses and post.n_losses > 0

    def _kill(self, post: _Post) -> None:
        ray = connection.import_ray()
        if post.actor is not None and ray.is_initialized():
            ray.kill(post.actor)
        post.actor = None
        post.question = None

    def _waits_long_for(self, post: _Post) -> str:
        """What a worker waits for that is to be told now; "" for nothing, or if it was told."""
        if post.is_told or time.monotonic() - post.since_s < TELL_AFTER_S:
            return ""
        reason = self._waits_for(post)
        post.is_told = bool(reason)
        return reason

    def _waits_for(self, post: _Post) -> str:
        """What a worker without a place waits for; "" where there is room for it."""
        free: Mapping[str, float] = connection.import_ray().available_resources()
        missing = [
            f"{amount:g} {name} ({free.get(name, 0):g} free)"
            for name, amount in post.group.resources.items()
            if free.get(name, 0) < amount
        ]
        return f"it waits for {', '.join(missing)}" if missing else ""


def spares(groups: Sequence[CameraGroup], n_spares: int) -> list[CameraGroup]:
    """Return groups without cameras, for spare workers.

    Args:
        groups: all groups.
        n_spares: spare workers of each kind of needs.
    """
    kinds = {repr(group.options): group for group in groups}
    found: list[CameraGroup] = []
    for group in kinds.values():
        found += [replace(group, name="a spare worker", cameras=())] * n_spares
    return found


def _has_another(group: CameraGroup, node_id: str) -> bool:
    """Whether another machine has room for a group now."""
    free = connection.free_by_node()
    free.pop(node_id, None)
    return not place([group], list(free.values()))


def _in_words(error: Exception) -> str:
    """Why a worker is gone, in one line; Ray's texts have many."""
    exceptions = connection.import_ray().exceptions
    text = str(error)
    if LOW_ON_MEMORY in text:
        return "its machine was low on memory, so Ray ended it; give workers fewer cameras"
    missing = next((line.strip() for line in text.splitlines() if NO_MODULE in line), "")
    if missing:
        return f"{one_line(ClusterError(missing))}; install this program on all machines"
    if isinstance(error, exceptions.ActorUnavailableError):
        return "it cannot be reached"
    if "its node has died" in text:
        return "its machine died"
    if isinstance(error, exceptions.ActorDiedError) and "creation task" not in text:
        return PROCESS_DIED
    return one_line(error)
