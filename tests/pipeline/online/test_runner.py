"""A run that links while it reads: what is said when, and that it comes to the same."""

import csv
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.reid.crop_size import HEIGHT_PX, WIDTH_PX
from pipeline import cli
from pipeline.config import LinkingConfig
from pipeline.embed import bare
from pipeline.online.events import Event
from pipeline.online.linker import OnlineLinker, engine_of
from pipeline.online.runner import CachedEmbedder, EmbeddingCache, OnlineRunner
from pipeline.records import Camera, Embedded, Tracklet
from pipeline.timings import Timings
from pipeline.vectors import pool, unit
from tests.lateness import Lateness
from tests.videos import write_video

MAX_DELAY_S = 1.0


def write_walks(path: Path, n_frames: int, *walks: tuple[int, int, float]) -> None:
    """Boxes as a detector would find them: from frame, to frame, x of a person who walks a pixel a
    frame.
    """
    rows = [
        f"{frame + 1},-1,{x + frame - first},4,12,36,0.9"
        for first, last, x in walks
        for frame in range(first, min(last, n_frames))
    ]
    path.write_text("\n".join(rows) + "\n")


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cameras with one floor, which two people cross."""
    folder = tmp_path_factory.mktemp("live")
    config = folder / "site.yaml"
    floor = "[[0.1, 0, 0], [0, 0.1, 0], [0, 0, 1]]"
    sources = [write_video(folder / f"{name}.mp4", 60, size=(160, 48)) for name in ("east", "west")]
    cameras = [f"  - {{source: {source}, homography: {floor}}}" for source in sources]
    config.write_text("cameras:\n" + "\n".join(cameras) + "\n")
    write_walks(folder / "east.txt", 60, (0, 30, 10), (20, 60, 90))
    write_walks(folder / "west.txt", 60, (10, 30, 20), (25, 55, 95))
    online = [
        "linking.online=true",
        f"linking.max_delay_s={MAX_DELAY_S}",
        f"detector.detections={folder}",
        "reid.weights=none",
    ]
    flags = [word for setting in online for word in ("--set", setting)]
    assert (
        cli.main(
            [
                "--config",
                str(config),
                *flags,
                "--no-video",
                "--quiet",
                "--output",
                str(folder / "out"),
            ]
        )
        == 0
    )
    return folder / "out"


def said(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "events.jsonl").read_text().splitlines()]


def test_a_run_that_links_online_says_who_is_who_in_time(output: Path) -> None:
    assert "events.jsonl" in json.loads((output / "run.json").read_text())["files"]
    begins = {
        f"{r['camera']}/{r['track_id']}@{r['tracklet']}": float(r["tracklet"]) / 10
        for r in rows(output)
    }
    told = {e["tracklet"]: e["time_s"] for e in reversed(said(output)) if e["tracklet"]}
    assert begins.keys() == told.keys()
    assert len(begins) == 4
    assert all(0 < told[name] - begins[name] <= MAX_DELAY_S for name in begins)
    times = [event["time_s"] for event in said(output)]
    assert times == sorted(times)


def test_the_results_are_what_was_said_last(output: Path) -> None:
    owner: dict[str, int] = {}
    for event in said(output):
        if event["kind"] == "merged":
            owner = {
                name: event["person_id"] if p == event["before"] else p for name, p in owner.items()
            }
        elif event["tracklet"]:
            owner[event["tracklet"]] = event["person_id"]
    assert {
        f"{r['camera']}/{r['track_id']}@{r['tracklet']}": int(r["person_id"]) for r in rows(output)
    } == owner
    assert len(set(owner.values())) == 2


def rows(output: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((output / "tracks.csv").read_text().splitlines()))


def of(track_id: int, *greys: int) -> Tracklet:
    """A tracklet with a crop a second, each of one grey."""
    n = len(greys)
    crops = np.empty((n, HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    crops[:] = np.array(greys, np.uint8)[:, None, None, None]
    boxes, ones = np.zeros((n + 1, 4), np.float32), np.ones(n + 1, np.float32)
    quality = np.linspace(0.2, 0.8, n).astype(np.float32)
    return Tracklet(
        "cam",
        track_id,
        np.arange(n + 1),
        np.arange(n + 1.0),
        boxes,
        ones,
        crops,
        quality,
        np.array(greys, float),
    )


def embed(tracklets: list[Tracklet]) -> list[Embedded]:
    """The look of a crop is its grey, and the time says which crop it is."""
    found = []
    for t in tracklets:
        looks = unit(np.stack([t.crops[:, 0, 0, 0] / 255, 1 - t.crops[:, 0, 0, 0] / 255], axis=1))
        whole = pool(looks, t.crop_quality) if len(looks) else np.zeros(2, np.float32)
        found.append(
            Embedded(
                t.without_crops(), whole, looks.astype(np.float16), t.crop_quality, t.crop_times_s
            )
        )
    return found


def test_each_crop_of_an_open_tracklet_is_embedded_once() -> None:
    cache = EmbeddingCache()
    versions = [
        [of(1, 10, 20)],
        [of(1, 10, 20, 30), of(2, 40)],
        [of(1, 20, 50), of(2, 40), of(3)],
        [of(2, 40)],
        [of(1, 20)],
    ]
    embedded = []
    for open_ in versions:
        fresh = cache.missing(open_)
        embedded.append([t.crop_times_s.tolist() for t in fresh])
        for found, whole in zip(cache.merge(open_, embed(fresh)), embed(open_), strict=True):
            assert found.tracklet.key == whole.tracklet.key
            np.testing.assert_array_equal(found.crop_embeddings, whole.crop_embeddings)
            np.testing.assert_array_equal(found.crop_quality, whole.crop_quality)
            np.testing.assert_allclose(found.embedding, whole.embedding, atol=1e-3)
    assert embedded == [[[10, 20]], [[30], [40]], [[50], [], []], [[]], [[20]]]


def test_without_a_reid_network_there_is_nothing_to_remember() -> None:
    cache, tracklets = EmbeddingCache(), [of(1, 10, 20)]
    for _ in range(2):
        (found,) = cache.merge(
            tracklets, [bare(t, np.zeros(0, np.float32)) for t in cache.missing(tracklets)]
        )
        assert found.embedding.shape == (0,)
        assert len(found.crop_embeddings) == 0


class Recorded:
    """A worker whose tracklets were written down: what is open and what closes, round by round."""

    def __init__(self, rounds: list[tuple[list[Tracklet], list[Tracklet]]]) -> None:
        self._rounds = rounds
        self._open: list[Tracklet] = []
        self.now_s = 0.0
        self.n_frames = {"cam": 0}

    def run(self) -> Iterator[list[Tracklet]]:
        for open_, closed in self._rounds:
            self._open = open_
            self.now_s += 100
            self.n_frames["cam"] += 10
            yield closed
        self._open = []

    def provisional(self) -> list[Tracklet]:
        return self._open


class Counting:
    """Embeds as `embed` does, and writes down the time of every crop that it gets."""

    name, width, files = "grey", 2, ()

    def __init__(self, frame_wise: bool) -> None:
        self.frame_wise = frame_wise
        self.seen: list[float] = []

    def embed(self, tracklets: Sequence[Tracklet]) -> list[Embedded]:
        self.seen += [time_s for t in tracklets for time_s in t.crop_times_s.tolist()]
        return embed(list(tracklets))


@pytest.mark.parametrize(
    ("frame_wise", "expected"),
    [(True, [10, 20, 30, 40]), (False, [10, 10, 20, 20, 30, 30, 40])],
)
def test_a_crop_is_embedded_again_on_closing_only_by_a_network_for_clips(
    frame_wise: bool, expected: list[float]
) -> None:
    worker = Recorded(
        [([of(1, 10, 20)], []), ([of(1, 10, 20, 30)], []), ([], [of(1, 10, 20, 30), of(2, 40)])]
    )
    embedder = Counting(frame_wise)
    config = LinkingConfig()
    cameras = {"cam": Camera("cam", "cam.mp4", 160, 48, 10.0, 0.0, -1, np.zeros((0, 0)))}
    said: list[Event] = []
    engine = engine_of(cameras, config)
    online = OnlineLinker(engine, config.forget_after_s)
    runner = OnlineRunner(
        worker,
        CachedEmbedder(embedder, Timings()).embed,  # type: ignore[arg-type]
        online,
        config.max_delay_s,
        Timings(),
        said.extend,
    )
    linked = runner.follow(worker.run())
    assert sorted(embedder.seen) == expected
    tracklets = [t for person in linked.people for t in person.tracklets]
    assert sorted((t.track_id, len(t.frames)) for t in tracklets) == [(1, 4), (2, 2)]
    assert [event.kind for event in said][:1] == ["appeared"]


class RealTime:
    """Cameras in real time, one tracklet of which is open all the time."""

    n_frames: dict[str, int] = {}  # noqa: RUF012

    @property
    def now_s(self) -> float:
        return time.monotonic()

    def provisional(self) -> list[Tracklet]:
        return [of(1, 10, 20)]

    def rounds(self, lasts_s: float) -> Iterator[list[Tracklet]]:
        ends_s = time.monotonic() + lasts_s
        while time.monotonic() < ends_s:
            time.sleep(0.01)
            yield []


class Slow(Counting):
    """Takes 0.1 s for each step, however short the steps are apart."""

    def embed(self, tracklets: Sequence[Tracklet]) -> list[Embedded]:
        time.sleep(0.1)
        return super().embed(tracklets)


@pytest.mark.parametrize(("most_share", "fewest", "most"), [(1.0, 6, 11), (0.25, 1, 5)])
def test_linking_takes_no_more_than_its_share_of_the_time(
    most_share: float, fewest: int, most: int
) -> None:
    worker = RealTime()
    embedder = Slow(frame_wise=False)
    n_steps = 0

    def count(said: list[Event]) -> None:
        nonlocal n_steps
        n_steps += 1

    config = LinkingConfig()
    cameras = {"cam": Camera("cam", "cam.mp4", 160, 48, 10.0, 0.0, -1, np.zeros((0, 0)))}
    online = OnlineLinker(engine_of(cameras, config), config.forget_after_s)
    runner = OnlineRunner(
        worker,
        CachedEmbedder(embedder, Timings()).embed,  # type: ignore[arg-type]
        online,
        0.02,
        Timings(),
        count,
        most_share,
    )
    with Lateness() as machine:
        runner.follow(worker.rounds(1.0))
    n_while_reading = n_steps - 1  # the last one comes at the end
    assert n_while_reading <= most
    assert n_while_reading >= fewest or machine.worst_s > 0.05
