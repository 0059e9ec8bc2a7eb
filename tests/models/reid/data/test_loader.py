"""An epoch is the same bytes whoever loads it, and a damaged image stops it by name."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterable
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.testing import assert_close

from models.errors import InputError
from models.reid import preprocess
from models.reid.data import loader
from models.reid.data.loader import Batch, TrainingClips, read_image, training_batches
from models.reid.data.samples import Sample
from models.reid.settings import Settings

pytestmark = pytest.mark.filterwarnings(
    "ignore:This DataLoader will create"
)  # a machine with one core
PLAIN = {"flip": 0, "crop": "none", "erase": 0}


def chosen(workers: int = 0, length: int = 3, **sections: Any) -> Settings:
    values: dict[str, Any] = {
        "data": {"height_px": 32, "width_px": 16},
        "clips": {"length": length},
        "batches": {"n_people": 2, "n_each": 2},
        "train": {"workers": workers},
    }
    return Settings.model_validate(values | sections)


def write(path: Path, seed: int) -> Path:
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, (20, 10, 3), np.uint8))
    return path


@pytest.fixture(scope="module")
def tracklets(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """Five people, four tracklets of one to six frames each."""
    folder = tmp_path_factory.mktemp("frames")
    samples = []
    for i in range(20):
        paths = [write(folder / f"{i}_{j}.png", 10 * i + j) for j in range(1 + i % 6)]
        samples.append(Sample(tuple(paths), person_id=i % 5, camera=i // 5))
    return samples


def assert_same(found: Iterable[Batch], expected: Iterable[Batch]) -> None:
    for batch, other in zip(found, expected, strict=True):
        for values, others in zip(batch, other, strict=True):
            assert_close(values, others, rtol=0, atol=0)


def test_an_image_is_read_as_it_was_written(tmp_path: Path) -> None:
    image = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
    cv2.imwrite(str(tmp_path / "a b.png"), image)
    assert (read_image(tmp_path / "a b.png") == image).all()


def test_a_grey_image_has_three_channels(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((4, 2), 9, np.uint8))
    assert (read_image(tmp_path / "grey.png") == np.full((4, 2, 3), 9)).all()


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "half .jpg", "half .png"])
def test_what_is_not_a_whole_image_is_named(tmp_path: Path, kind: str) -> None:
    path, picture = (
        tmp_path / "crop.jpg",
        np.random.default_rng(0).integers(0, 256, (64, 32, 3), np.uint8),
    )
    if kind == "folder":
        path.mkdir()
    elif kind.startswith("half"):
        whole = cv2.imencode(kind.removeprefix("half "), picture)[1].tobytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif kind != "missing":
        path.write_bytes(b"words" if kind == "text" else b"")
    with pytest.raises(InputError) as error:
        read_image(path)
    assert str(error.value).startswith(f"{path}: ") and len(str(error.value).splitlines()) == 1


def test_a_batch_holds_the_frames_people_and_cameras_of_its_samples(
    tracklets: list[Sample],
) -> None:
    (batch, *_) = training_batches(
        tracklets, chosen(augment=PLAIN, clips={"length": 6, "rule": "evenly"}), epoch=0
    )
    assert batch.clips.shape == (4, 6, 32, 16, 3) and batch.clips.dtype == torch.uint8
    assert batch.mask.shape == batch.erased.shape == batch.quality.shape == (4, 6)
    assert (
        batch.mask.dtype == batch.erased.dtype == torch.bool
        and batch.quality.dtype == torch.float32
    )
    assert batch.mask.all() and (batch.quality == 1).all() and not batch.erased.any()
    assert batch.targets.dtype == batch.cameras.dtype == batch.indices.dtype == torch.int64
    for clip, target, camera, index in zip(
        batch.clips, batch.targets, batch.cameras, batch.indices.tolist(), strict=True
    ):
        sample = tracklets[index]
        assert (sample.person_id, sample.camera) == (int(target), int(camera))
        frames = [*sample.paths, *[sample.paths[-1]] * 6][:6]
        expected = np.stack([preprocess.resize(read_image(path), 32, 16) for path in frames])
        assert (clip.numpy() == expected).all()


def test_images_are_clips_of_one_frame_and_only_among_images(tracklets: list[Sample]) -> None:
    images = [Sample(s.paths[:1], s.person_id, s.camera) for s in tracklets]
    assert {batch.clips.shape[1] for batch in training_batches(images, chosen(), epoch=0)} == {1}
    assert {
        batch.clips.shape[1]
        for batch in training_batches([*images, tracklets[5]], chosen(), epoch=0)
    } == {3}


def test_erased_frames_are_flagged(tracklets: list[Sample]) -> None:
    values = {**PLAIN, "erase": 0.5, "whole_clip": False}
    with_boxes = training_batches(tracklets, chosen(augment=values), epoch=0)
    erased = torch.cat([batch.erased.flatten() for batch in with_boxes])
    assert 0 < erased.float().mean() < 1


def test_any_number_of_workers_loads_the_same_bytes_and_no_global_generator_is_touched(
    tracklets: list[Sample],
) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002 - that it stays as it is
    alone = list(training_batches(tracklets, chosen(), epoch=1))
    assert_same(training_batches(tracklets, chosen(workers=2), epoch=1), alone)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002


@pytest.mark.parametrize("number", loader.TO_ALL)
def test_a_signal_to_all_processes_leaves_the_workers_at_work(
    tracklets: list[Sample], number: int
) -> None:
    before = signal.getsignal(signal.SIGINT)
    others = {process.pid for process in multiprocessing.active_children()}  # of an earlier test
    batches = iter(training_batches(tracklets, chosen(workers=2), epoch=1))
    first = next(batches)
    started = multiprocessing.active_children()
    workers = [process for process in started if process.pid not in others]
    for worker in workers:
        os.kill(worker.pid or 0, number)
        worker.join(0.3)
    assert len(workers) == 2 and all(worker.is_alive() for worker in workers)
    assert_same([first, *batches], training_batches(tracklets, chosen(), epoch=1))
    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.parametrize("number", loader.TO_ALL)
def test_a_worker_ignores_a_signal_to_all_from_its_first_moment(number: int) -> None:
    worker = loader._context().Process(target=time.sleep, args=(600,))
    worker.start()
    for _ in range(50):
        os.kill(worker.pid or 0, number)
        worker.join(0.01)
        assert worker.is_alive()
    worker.kill()
    worker.join()


@pytest.mark.parametrize("number", loader.TO_ALL)
def test_a_signal_that_comes_while_the_workers_are_started_is_heard(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = forkserver.ensure_running

    def interrupted() -> None:
        os.kill(os.getpid(), number)
        start()

    monkeypatch.setattr(forkserver, "ensure_running", interrupted)
    heard: list[int] = []
    before = signal.signal(number, lambda number, _: heard.append(number))
    try:
        loader._context()
    finally:
        signal.signal(number, before)
    assert heard == [number]


def test_epochs_and_seeds_differ(tracklets: list[Sample]) -> None:
    def first(seed: int, epoch: int) -> Batch:
        dataset = TrainingClips(tracklets, chosen(train={"workers": 0, "seed": seed}), epoch)
        return dataset.batch(0)

    assert_same([first(1, 0)], [first(1, 0)])
    assert not torch.equal(first(1, 0).clips, first(1, 1).clips)
    assert not torch.equal(first(1, 0).clips, first(2, 0).clips)


def test_every_draw_of_an_epoch_changes_in_its_own_way(tracklets: list[Sample]) -> None:
    same_image = [Sample(tracklets[0].paths, person, 0) for person in range(4) for _ in range(4)]
    values = chosen(augment={"erase": 1, "erase_fill": "noise"})
    drawn = [
        clip.numpy().tobytes()
        for batch in training_batches(same_image, values, epoch=0)
        for clip in batch.clips
    ]
    assert len(set(drawn)) == len(drawn) == 16


@pytest.mark.parametrize("sampler", ["groups", "shuffled"])
def test_an_interrupted_epoch_goes_on_with_the_batches_it_would_have_had(
    tracklets: list[Sample], sampler: str
) -> None:
    batches = {
        "sampler": sampler,
        "n_people": 1,
        "n_each": 3,
    }  # shuffled: the last batch is smaller
    values = chosen(batches=batches, losses={"triplet": {"weight": 0}})
    whole = list(training_batches(tracklets, values, epoch=2))
    assert len(whole) > 2
    rest = training_batches(tracklets, values, epoch=2, first_batch=2)
    assert len(rest) == len(whole) - 2
    assert_same(rest, whole[2:])
    assert len(list(training_batches(tracklets, values, epoch=2, first_batch=len(whole)))) == 0


def test_devices_take_turns_and_get_as_many_batches_each(tracklets: list[Sample]) -> None:
    values = chosen(batches={"n_people": 1, "n_each": 4})
    whole = list(training_batches(tracklets, values, epoch=0))
    assert len(whole) == 5
    shares = [training_batches(tracklets, values, epoch=0, rank=rank, world=2) for rank in range(2)]
    assert [len(share) for share in shares] == [2, 2]
    assert_same(shares[0], whole[0:4:2])
    assert_same(shares[1], whole[1:4:2])
    assert_same(
        training_batches(tracklets, values, epoch=0, first_batch=1, rank=1, world=2), whole[3:4]
    )


def test_more_devices_than_batches_is_an_error(tracklets: list[Sample]) -> None:
    with pytest.raises(InputError, match="cannot be shared by 99 devices"):
        training_batches(tracklets, chosen(), epoch=0, world=99)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_image_ends_the_epoch_with_one_line_that_names_it(
    tracklets: list[Sample], tmp_path: Path, workers: int
) -> None:
    bad = tmp_path / "0003C1T0001F005.jpg"
    bad.write_bytes(b"\xff\xd8 not a JPEG")
    samples = [*tracklets, *[Sample((bad,), person, 0) for person in range(5) for _ in range(8)]]
    with pytest.raises(InputError) as error:
        list(training_batches(samples, chosen(workers), epoch=0))
    assert str(error.value).startswith(f"{bad}: ") and len(str(error.value).splitlines()) == 1
