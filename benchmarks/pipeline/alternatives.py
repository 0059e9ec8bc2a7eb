"""What a user would otherwise write: two scripts, run as `run_pipeline.py` is.

    python -m benchmarks.pipeline.alternatives plain|demo --config FILE --output DIR
                                                          [--max-seconds S] [--device NAME]
                                                          [--set KEY=VALUE] [--threads N]

Both take the detector and the ReID network of the settings, and look at every frame and every box.

- plain: ultralytics' `model.track` (its ByteTrack) on one video after the other, and the ReID
  network in torch. On a CPU ultralytics sets the threads of torch to one less than there are cores,
  8 at most; --threads sets another number.
- demo: the loop of multi-camera demos: a frame of every camera at a time, networks in the runtime
  that `models.runtimes` chooses, and a tracker that joins boxes by overlap and appearance.

In both, the tracks of all cameras then go greedily to the most similar person above one cosine
threshold who is not in the same frame.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from models import command, torchvision_ops, weights
from models import device as devices
from models.boxes import iou
from models.detector import inference
from models.detector import network as networks
from models.detector.inference import PersonDetector
from models.errors import InputError
from models.reid import encoder
from models.reid.encoder import Encoder
from models.runtimes.names import PrecisionName
from models.weights.shipped import Role
from pipeline import config as configuration
from pipeline import mot
from pipeline.config import CameraConfig, Config
from pipeline.errors import PipelineError
from pipeline.records import Array
from pipeline.tracklets import inside
from pipeline.vectors import unit

NAMES = ("plain", "demo")
MIN_SIMILARITY = 0.6
"""Of a track and a person, the usual first guess."""
BATCH_CROPS = 64
SIZE_PX = 640
PLAIN_SCORE = 0.1
"""ByteTrack uses weak boxes, too."""
DEMO_SCORE = 0.5
MIN_IOU = 0.1
MIN_AFFINITY = 0.4
"""Of a box and a track: the mean of IoU and cosine similarity."""
MEMORY = 0.9
"""Share of the old feature of a track in the new one."""
MAX_LOST_FRAMES = 25

Track = tuple[str, int]
"""Camera and number of a track."""


class Row(NamedTuple):
    """One box of a track. box: (4,) px."""

    camera: str
    frame: int
    track: int
    box: Array
    score: float


@dataclass
class Found:
    """What a script finds: rows, the sum of the features of each track, and frames by camera."""

    rows: list[Row] = field(default_factory=list)
    sums: dict[Track, Array] = field(default_factory=dict)
    n_frames: dict[str, int] = field(default_factory=dict)

    def add(
        self, camera: str, frame: int, tracks: list[int], boxes: Array, scores: Array, looks: Array
    ) -> None:
        """Add the boxes of a frame.

        Args:
            camera: Its name.
            frame: Number of the frame, from 0.
            tracks: Number of the track of each box, n.
            boxes: (n, 4) px.
            scores: (n,).
            looks: Features (n, D).
        """
        for i, number in enumerate(tracks):
            track = (camera, number)
            self.rows.append(Row(camera, frame, number, boxes[i], float(scores[i])))
            self.sums[track] = self.sums.get(track, 0) + looks[i]


def plain(config: Config, detector: Path, reid: Path, n_threads: int = 0) -> Found:
    """Run the script with ultralytics.

    Args:
        config: Cameras and settings.
        detector: Weights of the detector.
        reid: Weights of the ReID network.
        n_threads: Threads of torch; 0 leaves what ultralytics sets.
    """
    device = str(devices.resolve(config.device))
    model = _yolo(detector, config.detector.architecture)
    people = inference.people_classes(model.names, ())
    network = encoder.load(reid, device, BATCH_CROPS, precision=_torch_precision(device))
    found = Found()
    for camera in config.cameras:
        tracked = model.track(
            camera.source,
            stream=True,
            persist=False,
            classes=people,
            imgsz=SIZE_PX,
            conf=PLAIN_SCORE,
            tracker="bytetrack.yaml",
            device=device,
            verbose=False,
        )
        if n_threads:
            torch.set_num_threads(n_threads)  # after `track`, which sets them for each video
        last = _n_wanted(cv2.VideoCapture(camera.source), config)
        for frame, result in enumerate(itertools.islice(tracked, last)):
            found.n_frames[camera.name] = frame + 1
            if result.boxes.id is None:
                continue
            boxes = result.boxes.xyxy.cpu().numpy()
            scores = result.boxes.conf.cpu().numpy()
            looks = _features(network, result.orig_img, boxes)
            found.add(camera.name, frame, result.boxes.id.int().tolist(), boxes, scores, looks)
        model.predictor = None
    return found


def _yolo(weights_path: Path, architecture: str) -> Any:
    """Open weights as a user of ultralytics does; files of ours hold a state dict."""
    networks.disable_telemetry()
    import torchvision  # noqa: F401 - as `model.track` does
    from ultralytics import YOLO

    torchvision_ops.complete()
    if weights_path.suffix != ".safetensors":
        return YOLO(weights_path, task="detect")
    network = networks.load(weights_path, architecture)
    model = YOLO(network.yaml["yaml_file"], task="detect")
    model.model = network
    return model


def _torch_precision(device: str) -> PrecisionName:
    """What a script gets that asks for nothing: float32, where `encoder` has it."""
    return "auto" if device.startswith("cuda") else "float32"


def demo(config: Config, detector: Path, reid: Path) -> Found:
    """Run the loop of multi-camera demos.

    Args:
        config: Cameras and settings.
        detector: Weights of the detector.
        reid: Weights of the ReID network.
    """
    finder = PersonDetector(
        str(detector),
        config.detector.architecture,
        SIZE_PX,
        DEMO_SCORE,
        device=config.device,
        runtime="auto",
    )
    network = encoder.load(reid, config.device, BATCH_CROPS, runtime="auto")
    trackers = {camera.name: Tracker() for camera in config.cameras}
    found = Found()
    for frame, images in enumerate(_together(config.cameras, config)):
        answers = finder.detect(list(images.values()))
        for (camera, image), (boxes, scores) in zip(images.items(), answers, strict=True):
            found.n_frames[camera] = frame + 1
            if not len(boxes):
                continue
            looks = _features(network, image, boxes)
            tracks = trackers[camera].update(boxes, looks, frame)
            found.add(camera, frame, tracks, boxes, scores, looks)
    return found


def _together(cameras: list[CameraConfig], config: Config) -> Iterator[dict[str, Array]]:
    """The next image of every camera that has one, by its name."""
    captures = {camera.name: cv2.VideoCapture(camera.source) for camera in cameras}
    n_wanted = {name: _n_wanted(capture, config) for name, capture in captures.items()}
    for frame in itertools.count():
        images: dict[str, Array] = {}
        for name, capture in captures.items():
            wanted = n_wanted[name]
            if wanted is not None and frame >= wanted:
                continue
            is_read, image = capture.read()
            if is_read:
                images[name] = image
        if not images:
            return
        yield images


def _n_wanted(capture: cv2.VideoCapture, config: Config) -> int | None:
    """Frames of a video in the first seconds; None for all."""
    n_wanted = round(config.sources.max_seconds * capture.get(cv2.CAP_PROP_FPS))
    return n_wanted or None


def _features(network: Encoder, image: Array, boxes: Array) -> Array:
    """Features (n, D) of unit length of the boxes (n, 4) of an image."""
    return unit(network.features([inside(image, box)[None] for box in boxes]))


class Tracker:
    """Joins the boxes of one camera by overlap and appearance, frame by frame.

    The tracker of the product predicts where a box will be; this one does not.
    """

    def __init__(self) -> None:
        self._n_tracks = 0
        self._numbers: list[int] = []
        self._boxes = np.zeros((0, 4), np.float32)
        self._looks: list[Array] = []
        self._seen: list[int] = []

    def update(self, boxes: Array, looks: Array, frame: int) -> list[int]:
        """Join the boxes of the next frame.

        Args:
            boxes: (n, 4) px.
            looks: Features (n, D) of unit length.
            frame: Number of the frame.

        Returns:
            The number of the track of each box.
        """
        self._end_lost(frame)
        places: list[int] = [-1] * len(boxes)
        if self._numbers:
            overlap = iou(self._boxes, boxes)
            affinity = (overlap + np.stack(self._looks) @ looks.T) / 2
            affinity[overlap < MIN_IOU] = 0
            for place, box in zip(*linear_sum_assignment(-affinity), strict=True):
                if affinity[place, box] >= MIN_AFFINITY:
                    places[box] = int(place)
        for box, place in enumerate(places):
            if place < 0:
                places[box] = self._start(boxes[box], looks[box], frame)
                continue
            mixed = MEMORY * self._looks[place] + (1 - MEMORY) * looks[box]
            self._looks[place] = unit(mixed)
            self._boxes[place] = boxes[box]
            self._seen[place] = frame
        return [self._numbers[place] for place in places]

    def _end_lost(self, frame: int) -> None:
        kept = [i for i, seen in enumerate(self._seen) if frame - seen <= MAX_LOST_FRAMES]
        self._numbers = [self._numbers[i] for i in kept]
        self._boxes = self._boxes[kept]
        self._looks = [self._looks[i] for i in kept]
        self._seen = [self._seen[i] for i in kept]

    def _start(self, box: Array, looks: Array, frame: int) -> int:
        """Start a track; returns its place in the lists."""
        self._n_tracks += 1
        self._numbers.append(self._n_tracks)
        self._boxes = np.concatenate([self._boxes, box[None]])
        self._looks.append(looks)
        self._seen.append(frame)
        return len(self._numbers) - 1


def match_greedily(found: Found) -> dict[Track, int]:
    """Give each track a person, greedily in the order of the tracks.

    It is the most similar person so far above the threshold who is not in the same frame already,
    else a new one.

    Args:
        found: Rows and sums of features.

    Returns:
        Persons from 1, by track.
    """
    frames: dict[Track, set[tuple[str, int]]] = {}
    for row in found.rows:
        frames.setdefault((row.camera, row.track), set()).add((row.camera, row.frame))
    people: list[Array] = []
    present: list[set[tuple[str, int]]] = []
    chosen: dict[Track, int] = {}
    for track, total in found.sums.items():
        feature = unit(total)
        similarities = []
        for person, seen in zip(people, present, strict=True):
            similarity = float(feature @ unit(person))
            similarities.append(-1.0 if seen & frames[track] else similarity)
        best = int(np.argmax(similarities)) if similarities else -1
        if best < 0 or similarities[best] < MIN_SIMILARITY:
            best = len(people)
            people.append(np.zeros_like(feature))
            present.append(set())
        people[best] = people[best] + feature
        present[best] |= frames[track]
        chosen[track] = best + 1
    return chosen


def write(found: Found, config: Config, output: Path) -> None:
    """Write a MOT file for each camera, and of run.json what the benchmark reads.

    Args:
        found: Rows and sums of features.
        config: The cameras.
        output: A new folder.
    """
    people = match_greedily(found)
    output.mkdir(parents=True)
    cameras = []
    for camera in config.cameras:
        n_frames = found.n_frames.get(camera.name, 0)
        cameras.append({"camera": camera.name, "n_frames": n_frames, "stride": 1})
        lines = []
        for row in found.rows:
            if row.camera == camera.name:
                person = people[row.camera, row.track]
                lines.append(mot.line(row.frame, person, row.box, row.score))
        (output / f"{camera.name}.txt").write_text("".join(lines), encoding="utf-8")
    (output / "run.json").write_text(json.dumps({"cameras": cameras}), encoding="utf-8")


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--config", required=True, metavar="FILE")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--max-seconds", type=float, default=0.0, metavar="S")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="of plain")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(words), (InputError, PipelineError))


def _run(arguments: argparse.Namespace) -> None:
    config = configuration.load(arguments.config, arguments.set)
    flags = {"sources.max_seconds": arguments.max_seconds, "device": arguments.device}
    config = configuration.change(config, flags)
    on = devices.resolve(config.device).type
    detector = used("detector", config.detector.weights, on)
    reid = used("reid", config.reid.weights, on)
    if arguments.name == "plain":
        found = plain(config, detector, reid, arguments.threads)
    else:
        found = demo(config, detector, reid)
    write(found, config, arguments.output)


def used(kind: Role, given: str, device: str) -> Path:
    """Return the file of the weights that the product would use.

    Args:
        kind: "detector" or "reid".
        given: The setting: a file, or "auto" for what ships.
        device: "cpu", "cuda" or "mps".

    Raises:
        InputError: No weights ship.
    """
    if given != "auto":
        return Path(given)
    shipped = weights.bundled(kind, device)
    if shipped is None:
        raise InputError(f"no {kind} ships; give --{kind} FILE")
    return shipped


if __name__ == "__main__":
    sys.exit(main())
