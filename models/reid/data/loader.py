"""From samples to the batches of one epoch: decoding and augmentation in workers, the same bytes
with any number of them.

Nothing random lives longer than one draw: the batches of an epoch come from [seed, epoch], and the
frames and changes of the draw at a position from [seed, epoch, position]. So workers, devices and
an interruption change nothing, and an epoch goes on where it stopped by leaving out the batches it
has had.

Workers are forked from a clean server process ("forkserver"), not from a process with threads:
where OpenCV's were in use, forked workers were seen to abort. The server does the imports once, so
that an epoch's two workers have their first batch after 0.1 s; with "spawn", or without the
imports, after 2.5 s of every epoch (two cores). Ctrl-C reaches every process of a terminal: the
workers ignore it, from their first moment, and end with the process that uses them.
"""

import multiprocessing
import signal
import threading
from collections.abc import Iterator, Sequence
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.errors import InputError
from models.reid.data import augmentation, batches, clips
from models.reid.data.samples import Sample
from models.reid.settings import Settings


class Batch(NamedTuple):
    """What a training step gets: B draws of T frames.

    clips (B, T, H, W, 3) uint8 BGR. mask (B, T) bool, all True: training clips are always full.
    quality (B, T) float32, ones. targets (B,) int64 person, cameras (B,) int64. erased (B, T) bool,
    frames in which a box was erased. indices (B,) int64 into the samples.
    """

    clips: Tensor
    mask: Tensor
    quality: Tensor
    targets: Tensor
    cameras: Tensor
    erased: Tensor
    indices: Tensor


def read_image(path: Path | str) -> np.ndarray:
    """Image file -> (h, w, 3) uint8 BGR. Raises InputError that names the file if it cannot be read
    or is not a whole image.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the data set") from None
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise InputError(f"{path}: is damaged or not an image; unpack the data set again")
    return np.asarray(image)


class TrainingClips(Dataset[Batch | InputError]):
    """The batches of one epoch, by number.

    Where every sample is a single image, clips have one frame whatever clips.length says; among
    tracklets, one of a single frame is filled up like any short one (see `clips`).
    """

    def __init__(self, samples: Sequence[Sample], settings: Settings, epoch: int) -> None:
        """Draw the batches; raises InputError where none can be made."""
        self.settings = settings
        self.epoch = epoch
        self.length = settings.clips.length if any(len(s.paths) > 1 for s in samples) else 1
        self._paths = [
            tuple(map(str, s.paths)) for s in samples
        ]  # text reaches workers 30 times faster than Path objects
        self._targets = np.array([s.person_id for s in samples], np.int64)
        self._cameras = np.array([s.camera for s in samples], np.int64)
        sources = np.array([s.source for s in samples], np.int64)
        self.batches = batches.epoch_batches(
            self._targets, settings.batches, settings.train.seed, epoch, sources
        )
        self._starts = np.cumsum([0, *map(len, self.batches)]).tolist()

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> Batch | InputError:
        """`batch`, with its error as a value: torch would bury the one line of an error raised in a
        worker in a traceback.
        """
        try:
            return self.batch(number)
        except InputError as error:
            return error

    def batch(self, number: int) -> Batch:
        """Batch of that number in the epoch; raises InputError that names an unreadable image."""
        drawn = self.batches[number]
        made = [
            self._draw(index, position)
            for position, index in enumerate(drawn, self._starts[number])
        ]
        erased = torch.from_numpy(np.stack([e for _, e in made]))
        return Batch(
            clips=torch.from_numpy(np.stack([clip for clip, _ in made])),
            mask=torch.ones_like(erased),
            quality=torch.ones(erased.shape),
            targets=torch.from_numpy(self._targets[drawn]),
            cameras=torch.from_numpy(self._cameras[drawn]),
            erased=erased,
            indices=torch.tensor(drawn),
        )

    def _draw(self, index: int, position: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([self.settings.train.seed, self.epoch, position])
        paths = self._paths[index]
        chosen = clips.training_clip(len(paths), self.length, self.settings.clips.rule, rng)
        images = {i: read_image(paths[i]) for i in set(chosen.tolist())}
        data = self.settings.data
        return augmentation.augment(
            [images[i] for i in chosen.tolist()],
            self.settings.augment,
            data.height_px,
            data.width_px,
            rng,
        )


class _Loader(DataLoader[Batch]):
    """Raises the errors that come out of the workers as values."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        for batch in super().__iter__():
            if isinstance(batch, InputError):
                raise batch
            yield batch


def training_batches(
    samples: Sequence[Sample],
    settings: Settings,
    epoch: int,
    first_batch: int = 0,
    rank: int = 0,
    world: int = 1,
) -> DataLoader[Batch]:
    """Batches of an epoch for device `rank` of `world`, in order; `len` says how many.

    Batch b of the epoch goes to rank b % world, as many to each as all can have. `first_batch`
    counts the batches that every rank has had already, so it is the number of steps made in this
    epoch. Takes train.workers processes. Raises InputError where a rank would get no batch, and
    while iterating for an unreadable image.
    """
    dataset = TrainingClips(samples, settings, epoch)
    n_steps = len(dataset) // world
    if not n_steps:
        raise InputError(
            f"an epoch of {len(dataset)} batches cannot be shared by {world} devices; "
            "set batches.n_people or train.n_devices lower"
        )
    workers = settings.train.workers
    return _Loader(
        dataset,  # type: ignore[arg-type]
        batch_size=None,
        sampler=range(first_batch * world + rank, n_steps * world, world),
        num_workers=workers,
        collate_fn=_as_it_is,
        worker_init_fn=_start_worker,
        multiprocessing_context=_context() if workers else None,
        generator=torch.Generator(),  # its own: the global one is the networks'
    )


def _context() -> BaseContext:
    """How workers start. Their server has imported what takes long, so that no worker does;
    commands import late what does.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "models.reid.training.run"])
    if threading.current_thread() is threading.main_thread():
        before = signal.signal(
            signal.SIGINT, signal.SIG_IGN
        )  # the server inherits it, and its workers
        try:
            forkserver.ensure_running()
        finally:
            signal.signal(signal.SIGINT, before)
    return context


def _as_it_is(batch: Any) -> Any:
    return batch


def _start_worker(number: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where there is no server
    cv2.setNumThreads(0)  # the processes are the threads
