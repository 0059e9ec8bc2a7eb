"""Batches of one epoch: decoding and augmentation in any number of workers, with the same bytes.
Nothing random lives longer than one draw: the batches of an epoch come from [seed, epoch], and the
frames and changes of the draw at a position from [seed, epoch, position]. So workers, devices and
an interruption change nothing, and an epoch goes on where it stopped by leaving out the batches it
has had.

Workers are forked from a clean server process ("forkserver"), not from a process with threads:
where OpenCV's were in use, forked workers were seen to abort. The server does the imports once, so
that an epoch's two workers have their first batch after 0.1 s; with "spawn", or without the
imports, after 2.5 s of every epoch (two cores). Ctrl-C, the end of a terminal and that of a job
reach all processes: the workers ignore them, from their first moment, and end with the process that
uses them.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import BaseContext
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models import files
from models.errors import InputError
from models.reid.data import augmentation, batches, clips
from models.reid.data.samples import Sample
from models.reid.settings import Settings

JPEG_QUALITY = 92
TO_ALL = [
    getattr(signal, name) for name in ("SIGINT", "SIGHUP", "SIGTERM") if hasattr(signal, name)
]
"""Signals that reach all processes of a terminal or a job; Windows has no SIGHUP."""
GRACE_S = 60.0
"""How long workers go on after SIGTERM, so that the training ends its batch and is saved."""


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
    """Read an image file.

    Args:
        path: The file.

    Returns:
        (h, w, 3) uint8 BGR.

    Raises:
        InputError: The file cannot be read or is not a whole image.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the data set") from None
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise InputError(f"{path}: is damaged or not an image; unpack the data set again")
    return np.asarray(image)


def write_image(path: Path, image: np.ndarray) -> None:
    """Write a JPEG, whole or not at all; `cv2.imwrite` would only return False where it fails.

    Args:
        path: The file.
        image: (h, w, 3) uint8 BGR.

    Raises:
        InputError: The file cannot be written.
    """
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    files.write(path, encoded.tobytes())


class TrainingClips(Dataset[Batch | InputError]):
    """The batches of one epoch, by number.

    Where every sample is a single image, clips have one frame whatever clips.length says; among
    tracklets, one of a single frame is filled up like any short one (see `clips`).
    """

    def __init__(self, samples: Sequence[Sample], settings: Settings, epoch: int) -> None:
        """Draw the batches; raises InputError where none can be made."""
        self.settings = settings
        self.epoch = epoch
        has_tracklets = any(len(sample.paths) > 1 for sample in samples)
        self.length = settings.clips.length if has_tracklets else 1
        self._paths: list[tuple[str, ...]] = []
        for sample in samples:
            # text reaches workers 30 times faster than Path objects
            self._paths.append(tuple(map(str, sample.paths)))
        self._targets = np.array([s.person_id for s in samples], np.int64)
        self._cameras = np.array([s.camera for s in samples], np.int64)
        sources = np.array([s.source for s in samples], np.int64)
        seed = settings.train.seed
        self.batches = batches.epoch_batches(self._targets, settings.batches, seed, epoch, sources)
        sizes = [len(drawn) for drawn in self.batches]
        self._starts = np.cumsum([0, *sizes]).tolist()

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> Batch | InputError:
        """`batch`, with its error as a value.

        torch would bury the one line of an error raised in a worker in a traceback.
        """
        try:
            return self.batch(number)
        except InputError as error:
            return error

    def batch(self, number: int) -> Batch:
        """Make one batch.

        Args:
            number: Which batch of the epoch, 0-based.

        Returns:
            The batch.

        Raises:
            InputError: An image cannot be read.
        """
        drawn = self.batches[number]
        clips_made = []
        frames_erased = []
        for position, index in enumerate(drawn, self._starts[number]):
            clip, erased_frames = self._draw(index, position)
            clips_made.append(clip)
            frames_erased.append(erased_frames)
        erased = torch.from_numpy(np.stack(frames_erased))
        return Batch(
            clips=torch.from_numpy(np.stack(clips_made)),
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
        numbers = chosen.tolist()
        images = {number: read_image(paths[number]) for number in set(numbers)}
        frames = [images[number] for number in numbers]
        size = self.settings.data
        augment = self.settings.augment
        return augmentation.augment(frames, augment, size.height_px, size.width_px, rng)


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
    """Load the batches of an epoch for one device, in order, in `train.workers` processes.

    Batch b of the epoch goes to rank b % world, as many to each as all can have.

    Args:
        samples: The training samples.
        settings: Of the run.
        epoch: 0-based; part of the seed.
        first_batch: Batches that every rank has had already: the steps made in this epoch.
        rank: Number of this device.
        world: Number of devices.

    Returns:
        An iterable of batches; its `len` says how many. Iterating raises InputError for an image
        that cannot be read.

    Raises:
        InputError: A rank would get no batch.
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
    """How workers start: from a server that has imported what takes long."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "models.reid.training.run"])
    # The server inherits what is blocked, and so do its workers. A signal that comes meanwhile is
    # handled afterwards; if signals were ignored instead, Ctrl-C would be lost here in every epoch.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TO_ALL)
    try:
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, TO_ALL)  # its start unblocks some
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def _as_it_is(batch: Any) -> Any:
    return batch


def _start_worker(number: int) -> None:
    for signal_number in TO_ALL:
        signal.signal(signal_number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave_late)
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_UNBLOCK, TO_ALL)
    cv2.setNumThreads(0)  # the processes are the threads


def _leave_late(number: int, frame: FrameType | None) -> None:
    """End this worker when the training has had time to stop at a good place: service managers and
    batch systems end all processes of a job at once.
    """
    timer = threading.Timer(GRACE_S, os._exit, (0,))
    timer.daemon = True
    timer.start()
