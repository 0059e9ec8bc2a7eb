"""A run over files on a cluster: workers read the cameras, and the driver takes what they find.

Each worker has one question open, "what is next?". Its chunk is in the log before it is asked
again, so that nothing is lost or counted twice, whoever dies. A worker that is ahead of the driver
waits.
"""

import threading
from collections.abc import Callable, Collection, Generator
from contextlib import closing

import tqdm

from models import device as devices
from pipeline import chunks
from pipeline import config as configuration
from pipeline.chunks import CameraEnd, Chunk
from pipeline.cluster.file_worker import FileWorker, Job
from pipeline.cluster.groups import CameraGroup, divide
from pipeline.cluster.log import RunLog
from pipeline.cluster.supervision import Answered, Event, Lost, Make, Started, Supervisor, Waiting
from pipeline.config import Config
from pipeline.group import Done
from pipeline.preparation import Chosen, Prepared
from pipeline.result import Result

POLL_S = 0.5


def groups_of(config: Config, done: Collection[str] = ()) -> list[CameraGroup]:
    """Return the groups of a run.

    Args:
        config: all settings, with the names of the cameras.
        done: cameras that have been read.
    """
    left = [camera for camera in config.cameras if camera.name not in done]
    return divide(left, config.ray, devices.resolve(config.device).type == "cuda")


class FileReader:
    """Reads all cameras of a run on a cluster; a resumed run goes on with its log."""

    def __init__(self, log: RunLog, quiet: bool) -> None:
        """Begin.

        Args:
            log: takes what is read.
            quiet: do not print what happens to workers.
        """
        self._log = log
        self._quiet = quiet
        self._n_frames: dict[str, int] = {}
        """Most frames of each camera that are in the log."""

    def __call__(
        self, prepared: Prepared, stop: threading.Event, progress: Callable[[int], object]
    ) -> Generator[Chunk, None, None]:
        """Read all cameras, see `pipeline.run.Read`.

        Raises:
            PipelineError: a source or a network fails, or a worker is lost again and again.
        """
        ended: set[str] = set()
        self._log.begin()
        for earlier in self._log.read():
            progress(self._count(earlier))
            ended.update(end.camera for end in earlier.ends)
            yield earlier
        groups = groups_of(prepared.config, ended)
        ray = prepared.config.ray
        supervisor = Supervisor(
            groups,
            self._maker(prepared),
            ray.start_timeout_s,
            n_spares=ray.spare_workers,
        )
        with closing(supervisor):
            supervisor.start()
            left = {group.name: group for group in groups}
            while left:
                events = supervisor.poll(POLL_S)
                for warning in supervisor.take_warnings():
                    prepared.result.warnings.append(warning)
                    self._say(warning)
                for event in events:
                    self._note(event, left[event.group], prepared.result)
                    chunk = self._acknowledged(event)
                    if chunk is not None:
                        n_new = self._count(chunk)
                        progress(n_new)
                        if n_new:
                            supervisor.progressed(event.group)
                        yield chunk
                    if chunk is not None and chunk.ends:
                        supervisor.finish(event.group)
                        del left[event.group]
                    elif isinstance(event, Started | Answered):
                        supervisor.ask(event.group, "next", stop.is_set())
                if stop.is_set():
                    for group in self._not_begun(left.values(), supervisor):
                        supervisor.finish(group.name)
                        del left[group.name]
                        yield _nothing_of(group)

    def _maker(self, prepared: Prepared) -> Make:
        """What workers are made of: what they need to go on where the log ends."""
        chosen = Chosen.of(prepared.result)
        config = configuration.absolute(prepared.config)
        config = config.model_copy(update={"device": chosen.device})
        all_cameras = tuple(prepared.cameras.values())

        def make(group: CameraGroup) -> tuple[type[FileWorker], tuple[Job]]:
            done = self._log.done(group.cameras) if group.cameras else Done()
            return FileWorker, (Job(config, group.cameras, all_cameras, chosen, done),)

        return make

    def _acknowledged(self, event: Event) -> Chunk | None:
        """The chunk of an answer, which is in the log then; None where there is none yet."""
        if not isinstance(event, Answered) or event.answer is None:
            return None
        self._log.append(event.answer)
        return chunks.from_bytes(event.answer)

    def _count(self, chunk: Chunk) -> int:
        """Count frames; returns how many were not processed before."""
        n_new = 0
        for camera, n in chunk.n_frames.items():
            before = self._n_frames.get(camera, 0)
            n_new += max(n - before, 0)
            self._n_frames[camera] = max(n, before)
        return n_new

    def _note(self, event: Event, group: CameraGroup, result: Result) -> None:
        """Note where workers run, and tell what happens to them."""
        title = f"the worker of {group.name}"
        text = ""
        if isinstance(event, Started):
            result.workers[group.name] = event.entry(group.cameras)
            if event.n_losses:
                text = f"{title} runs again, on {event.place.host}"
        elif isinstance(event, Lost):
            on_machine = f" on {event.place.host}" if event.place else ""
            text = f"{title} was lost{on_machine} and is started again: {event.reason}"
            result.warnings.append(text)
        elif isinstance(event, Waiting):
            text = f"{title} has no place yet: {event.reason}"
        if text:
            self._say(text)

    def _say(self, text: str) -> None:
        if not self._quiet:
            tqdm.tqdm.write(f"note: {text}")

    def _not_begun(
        self, groups: Collection[CameraGroup], supervisor: Supervisor
    ) -> list[CameraGroup]:
        """Groups whose workers have no place yet, and of which nothing was read before."""
        return [
            group
            for group in groups
            if group.name not in supervisor.places
            and not any(self._n_frames.get(camera, 0) for camera in group.cameras)
        ]


def _nothing_of(group: CameraGroup) -> Chunk:
    """The last chunk of a group of which no frame was read."""
    ends = [
        CameraEnd(camera, 0, float("-inf"), [], 0, 0, warnings=[], still=b"")
        for camera in group.cameras
    ]
    return Chunk(dict.fromkeys(group.cameras, 0), [], [], [], {}, {}, ends)
