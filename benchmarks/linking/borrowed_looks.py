"""Sequences of boxes with truth but without pixels, whose people borrow looks from crops of others.

Boxes go through our tracker and become tracklets, as in the program. Where a crop would have been
cut, one of a data set for re-identification is taken instead: of the identity that the true person
of the box has borrowed, seen by the camera that our camera stands for. The shipped network embeds
it. Places, times, missed boxes and switches of the tracker are real; looks are those of other real
people, more alike from crop to crop than at a new site, and never hidden by somebody else.

How hard it is to tell people apart is chosen (`LOOKS`):

- distinct: each person is an identity of Market-1501's test set
- alike: every two people share an identity, so that only place and time tell them apart
- foreign: each person is an identity of CUHK03's test set, which the network knows least

A box that shows nobody gets a crop of what Market-1501 marks as junk: parts of people and of the
background. A false track keeps a crop for `JUNK_S`. Who borrows what is drawn from a seed.
"""

import functools
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from benchmarks.linking import synthetic_scenes, tracklet_cache
from benchmarks.linking.synthetic_scenes import EmbeddedScene
from models.errors import InputError
from models.reid.preprocess import resize
from pipeline.config import Config
from pipeline.detect.mot_file import by_frame
from pipeline.embed import Embedder
from pipeline.evaluate import boxes
from pipeline.evaluate.boxes import Rows, Truth
from pipeline.records import NO_DETECTIONS, Array, Camera, Embedded, Frame, Tracklet
from pipeline.tracking.tracker import Tracker
from pipeline.tracklets import Gatherer

MARKET = "reid/Market-1501-v15.09.15"
CUHK03 = "reid/cuhk03-pair1-labeled/val"
LOOKS = ("distinct", "alike", "foreign")
SEED = 0
JUNK = -1
"""Market-1501's identity of crops that show nobody properly."""
MIN_CROPS = 2
"""Of an identity in each camera, so that it can be borrowed."""
LOOK_S = 0.5
"""A person gets a new crop so often."""
JUNK_S = 5.0
"""A false track gets a new crop so often."""
NEAR_S = 1.0
"""A box that shows nobody, as at the border where truth often ends, gets the look of whom its track
shows so near in time."""
N_AT_ONCE = 16
"""Tracklets that hold their crops at once."""

Crops = Mapping[tuple[int, int], Sequence[Path]]
"""Files of crops by identity and camera of the data set."""


@dataclass(frozen=True, slots=True)
class Wardrobe:
    """Who borrows whose look in one sequence.

    Attributes:
        crops: What there is to borrow; `JUNK` stands for nobody.
        identity: Borrowed identity by true person.
        camera: Camera of the data set by our camera.
        seed: Choices among crops depend on it.
    """

    crops: Crops
    identity: Mapping[int, int]
    camera: Mapping[str, int]
    seed: int

    def crop(self, person: int, camera: str, time_s: float, track_id: int) -> Array:
        """Return the look of somebody at a time.

        Args:
            person: A true person, or JUNK.
            camera: Our camera.
            time_s: Seconds.
            track_id: Track of the box; it tells false tracks apart.

        Returns:
            (HEIGHT_PX, WIDTH_PX, 3) uint8 BGR.
        """
        if person == JUNK:
            who = [camera, "junk", track_id, int(time_s // JUNK_S)]
        else:
            who = [camera, person, int(time_s // LOOK_S)]
        files = self.crops[self.identity.get(person, JUNK), self.camera[camera]]
        number = zlib.crc32("/".join(map(str, [self.seed, *who])).encode())
        return _read(files[number % len(files)])


def load(
    folder: Path, data: Path, config: Config, embedder: Embedder, cache: Path
) -> list[EmbeddedScene]:
    """Read a sequence in all looks; it is tracked and embedded unless the cache has that.

    Args:
        folder: Holds about.yaml, truth/<camera>.txt and det/<camera>.txt, as MOTChallenge has them.
        data: Folder that holds `MARKET` and `CUHK03`.
        config: All settings.
        embedder: Embeds the tracklets.
        cache: Folder of `tracklet_cache`.

    Returns:
        A scene for each of `LOOKS`.

    Raises:
        InputError, PipelineError: A crop, or a file of the sequence, cannot be read.
    """
    truth = boxes.read_truth(folder / "truth", 0.0)
    inputs = [folder / "about.yaml", Path(__file__), *embedder.files]
    inputs += [*folder.glob("truth/*.txt"), *folder.glob("det/*.txt")]
    scenes = []
    tracked: list[Tracklet] = []
    for looks in LOOKS:
        settings = {**config.model_dump(mode="json"), "looks": looks, "seed": SEED}
        key = tracklet_cache.key(inputs, settings)
        kept = cache / f"{folder.name}-{looks}-{key}.npz"
        cached = tracklet_cache.load(kept)
        if cached is None:
            cameras = _cameras(folder)
            tracked = tracked or _tracked(folder, cameras, config)
            names = [camera.name for camera in cameras]
            wardrobe = choose(data, folder.name, _people(truth), names, looks)
            embedded = _embedded(tracked, truth, wardrobe, embedder)
            tracklet_cache.save(kept, embedded, cameras)
        else:
            embedded, cameras = cached
        name = f"{folder.name} {looks}"
        scenes.append(EmbeddedScene(name, embedded, {c.name: c for c in cameras}, truth))
    return scenes


def _embedded(
    tracklets: Sequence[Tracklet],
    truth: Mapping[str, Truth],
    wardrobe: Wardrobe,
    embedder: Embedder,
) -> list[Embedded]:
    """Dress and embed tracklets of all cameras."""
    found: list[Embedded] = []
    for camera, in_camera in truth.items():
        own = [tracklet for tracklet in tracklets if tracklet.camera == camera]
        shown = shown_people(own, in_camera)
        for start in range(0, len(own), N_AT_ONCE):
            some = slice(start, start + N_AT_ONCE)
            pairs = zip(own[some], shown[some], strict=True)
            found += embedder.embed([_dress(tracklet, who, wardrobe) for tracklet, who in pairs])
    return found


def choose(
    data: Path, sequence: str, people: Sequence[int], cameras: Sequence[str], looks: str
) -> Wardrobe:
    """Draw identities for people, and cameras of the data set for cameras.

    Args:
        data: Folder that holds `MARKET` and `CUHK03`.
        sequence: Name of the sequence.
        people: All people in truth.
        cameras: All cameras.
        looks: One of `LOOKS`.

    Returns:
        Looks of all of them: identities that all the cameras have seen.
    """
    rng = np.random.default_rng([SEED, zlib.crc32(sequence.encode())])
    market = _market(data / MARKET)
    crops = dict(market)
    if looks == "foreign":
        crops = _cuhk03(data / CUHK03)
        crops |= {(JUNK, camera): market[JUNK, camera] for camera in (1, 2)}
    there = np.array(sorted({camera for _, camera in crops}))
    drawn = np.resize(rng.permutation(there), len(cameras))
    camera_of = dict(zip(cameras, drawn.tolist(), strict=True))
    able = []
    for identity in sorted({identity for identity, _ in crops if identity > 0}):
        counts = [len(crops.get((identity, camera), ())) for camera in camera_of.values()]
        if min(counts) >= MIN_CROPS:
            able.append(identity)
    identities = rng.permutation(able).tolist()
    people_to_a_look = 2 if looks == "alike" else 1
    identity_of = {}
    for number, person in enumerate(people):
        identity_of[person] = identities[number // people_to_a_look]
    return Wardrobe(crops, identity_of, camera_of, SEED)


def shown_people(tracklets: Sequence[Tracklet], truth: Truth) -> list[Array]:
    """Return whom each row of the tracklets of one camera shows: the true person, or JUNK.

    Args:
        tracklets: Tracklets of one camera.
        truth: Truth of this camera.

    Returns:
        People of the rows (n,) of each tracklet.
    """
    parts = [boxes.NOTHING]
    for number, tracklet in enumerate(tracklets):
        numbers = np.full(len(tracklet.frames), number)
        parts.append(Rows(tracklet.frames, tracklet.boxes, numbers, numbers, numbers))
    rows = synthetic_scenes.stack(parts)
    people = synthetic_scenes.true_ids(boxes.match_frames("", rows, truth))
    ends = np.cumsum([len(tracklet.frames) for tracklet in tracklets])
    return np.split(people, ends[:-1]) if tracklets else []


def _dress(tracklet: Tracklet, shown: Array, wardrobe: Wardrobe) -> Tracklet:
    """Replace the crops of a tracklet by those of whom its rows (n,) show."""
    crops = []
    for time_s in tracklet.crop_times_s.tolist():
        away_s = np.abs(tracklet.times_s - time_s)
        away_s[shown == JUNK] = np.inf
        nearest = int(away_s.argmin())
        person = int(shown[nearest]) if away_s[nearest] <= NEAR_S else JUNK
        crops.append(wardrobe.crop(person, tracklet.camera, time_s, tracklet.track_id))
    dressed = np.array(crops, np.uint8).reshape(tracklet.crops.shape)
    return replace(tracklet, crops=dressed)


def _tracked(folder: Path, cameras: Sequence[Camera], config: Config) -> list[Tracklet]:
    """Track the boxes of a sequence; crops are cut from noise, so that all are equally sharp."""
    found: list[Tracklet] = []
    for camera in cameras:
        detections = by_frame(folder / "det" / f"{camera.name}.txt", config.detector.min_score)
        tracker = Tracker(config.tracker)
        gatherer = Gatherer(camera.name, config.tracklets)
        rng = np.random.default_rng(SEED)
        noise = rng.integers(0, 256, (camera.height, camera.width, 3), np.uint8)
        for index in range(camera.n_frames):
            time_s = camera.start_s + index / camera.fps
            frame = Frame(camera.name, index, time_s, noise)
            tracks = tracker.update(detections.get(index, NO_DETECTIONS), time_s, index)
            found += gatherer.add(frame, tracks, tracker.live_ids)
        found += gatherer.flush()
    return found


def _cameras(folder: Path) -> list[Camera]:
    about: dict[str, Any] = yaml.safe_load((folder / "about.yaml").read_text(encoding="utf-8"))
    no_homography = np.zeros((0, 0))
    found = []
    for listed in about["cameras"]:
        camera = Camera(
            name=listed["name"],
            source="",
            width=listed["width"],
            height=listed["height"],
            fps=listed["fps"],
            start_s=listed["start_s"],
            n_frames=listed["frames"],
            homography=no_homography,
        )
        found.append(camera)
    return sorted(found, key=lambda camera: camera.name)


def _people(truth: Mapping[str, Truth]) -> list[int]:
    people: set[int] = set()
    for in_camera in truth.values():
        people.update(in_camera.rows.ids.tolist())
    return sorted(people)


@functools.cache
def _market(folder: Path) -> dict[tuple[int, int], list[Path]]:
    """Crops of the test set; files are named <identity>_c<camera>s<sequence>_..."""
    files = [*folder.glob("query/*.jpg"), *folder.glob("bounding_box_test/*.jpg")]
    named = []
    for path in files:
        identity, camera, *_ = path.name.split("_")
        named.append((int(identity), int(camera[1]), path))
    return _grouped(named)


@functools.cache
def _cuhk03(folder: Path) -> dict[tuple[int, int], list[Path]]:
    """Crops of the test set; files are named <identity>_<number>, from 5 on of the 2nd camera."""
    named = []
    for path in folder.glob("*.jpg"):
        identity, number = path.stem.split("_")
        named.append((1 + int(identity), 1 if int(number) < 5 else 2, path))
    return _grouped(named)


def _grouped(named: Iterable[tuple[int, int, Path]]) -> dict[tuple[int, int], list[Path]]:
    found: dict[tuple[int, int], list[Path]] = {}
    for identity, camera, path in sorted(named):
        found.setdefault((identity, camera), []).append(path)
    return found


@functools.lru_cache(maxsize=4096)
def _read(path: Path) -> Array:
    image = cv2.imread(str(path))
    if image is None:
        raise InputError(f"{path}: is no image that can be read; fetch the data set again")
    return resize(image)
