"""Trackers of other projects behind one call.

`update(boxes (n, 4), scores (n,), time_s, frame) -> (frames (k,), ids (k,), boxes (k, 4))`: rows of
  this frame or before.

Every peer runs with its defaults and is told the frame rate where it asks for one; one that is not
installed is skipped.
"""

import logging
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

import models.torchvision_ops  # noqa: F401 - before ultralytics and BoxMOT
from pipeline.config import TrackerConfig
from pipeline.records import Array, Detections
from pipeline.tracking.tracker import Tracker

Update = Callable[[Array, Array, float, int], tuple[Array, Array, Array]]
Make = Callable[[float], Update]
"""Frame rate -> a fresh tracker."""

IMAGE = np.zeros((1080, 1920, 3), np.uint8)
"""BoxMOT wants a picture even from trackers that do not look at it."""


def ours(config: TrackerConfig | None = None, live: bool = False) -> Make:
    """Our tracker, with its defaults unless told otherwise; live: without rows of frames before,
    which no screen can show.
    """

    def make(fps: float) -> Update:
        tracker = Tracker(config or TrackerConfig())

        def update(
            boxes: Array, scores: Array, time_s: float, frame: int
        ) -> tuple[Array, Array, Array]:
            tracks = tracker.update(Detections(boxes, scores), time_s, frame)
            shown = tracks.frames == frame if live else slice(None)
            return tracks.frames[shown], tracks.track_ids[shown], tracks.boxes[shown]

        return update

    return make


def roboflow(name: str, **options: bool) -> Make:
    """One of roboflow's `trackers`."""
    import supervision
    import trackers

    def make(fps: float) -> Update:
        tracker = getattr(trackers, name)(frame_rate=fps, **options)

        def update(
            boxes: Array, scores: Array, time_s: float, frame: int
        ) -> tuple[Array, Array, Array]:
            found = tracker.update(
                supervision.Detections(
                    xyxy=boxes, confidence=scores, class_id=np.zeros(len(boxes), np.int64)
                ),
                timestamp=time_s,
            )
            ids = (
                np.zeros(0, np.int64) if found.tracker_id is None else np.asarray(found.tracker_id)
            )
            return _of(frame, ids[ids >= 0], found.xyxy[ids >= 0])

        return update

    return make


def boxmot(name: str, **options: bool) -> Make:
    """One of BoxMOT's trackers that do without appearance."""
    import boxmot as package

    logging.disable(logging.INFO)  # it announces every tracker it makes

    def make(fps: float) -> Update:
        rate = {"frame_rate": round(fps)} if name == "ByteTrack" else {}
        tracker = getattr(package, name)(**rate, **options)

        def update(
            boxes: Array, scores: Array, time_s: float, frame: int
        ) -> tuple[Array, Array, Array]:
            return _ids_and_boxes(frame, tracker.update(_rows(boxes, scores), IMAGE))

        return update

    return make


def ultralytics(name: str) -> Make:
    """One of ultralytics' trackers with the settings of its file, but for the motion of the camera,
    which needs pictures.
    """
    from ultralytics.engine.results import Boxes
    from ultralytics.trackers.track import TRACKER_MAP
    from ultralytics.utils import ROOT, YAML

    settings = SimpleNamespace(
        **{**YAML.load(ROOT / f"cfg/trackers/{name}.yaml"), "gmc_method": "none"}
    )

    def make(fps: float) -> Update:
        tracker = TRACKER_MAP[name](settings)

        def update(
            boxes: Array, scores: Array, time_s: float, frame: int
        ) -> tuple[Array, Array, Array]:
            return _ids_and_boxes(
                frame, tracker.update(Boxes(_rows(boxes, scores), (1080, 1920)), IMAGE)
            )

        return update

    return make


def norfair(fps: float) -> Update:
    """Return norfair with IoU distance 0.7, as its MOT17 demo has it."""
    import norfair as package

    tracker = package.Tracker(distance_function="iou", distance_threshold=0.7)

    def update(
        boxes: Array, scores: Array, time_s: float, frame: int
    ) -> tuple[Array, Array, Array]:
        found = tracker.update(
            [
                package.Detection(box.reshape(2, 2), np.array([s, s]))
                for box, s in zip(boxes, scores, strict=True)
            ]
        )
        ids = np.array([t.id for t in found], np.int64)
        return _of(
            frame, ids, np.array([t.estimate.ravel() for t in found], np.float32).reshape(-1, 4)
        )

    return update


def _rows(boxes: Array, scores: Array) -> Array:
    """x1 y1 x2 y2 score class, (n, 6), as BoxMOT and ultralytics take them."""
    return np.concatenate([boxes, scores[:, None], np.zeros((len(boxes), 1), np.float32)], axis=1)


def _ids_and_boxes(frame: int, found: Array) -> tuple[Array, Array, Array]:
    """Out of x1 y1 x2 y2 id score class index, (k, 8), as BoxMOT and ultralytics give them."""
    found = np.asarray(found).reshape(-1, 8)
    return _of(frame, found[:, 4].astype(np.int64), found[:, :4])


def _of(frame: int, ids: Array, boxes: Array) -> tuple[Array, Array, Array]:
    return np.full(len(ids), frame), ids, boxes


PEERS: dict[str, Callable[[], Make]] = {
    "ours": ours,
    "roboflow SORT": lambda: roboflow("SORTTracker"),
    "roboflow ByteTrack": lambda: roboflow("ByteTrackTracker"),
    "roboflow OC-SORT": lambda: roboflow("OCSORTTracker"),
    "roboflow BoT-SORT": lambda: roboflow("BoTSORTTracker", enable_cmc=False),
    "roboflow C-BIoU": lambda: roboflow("CBIoUTracker"),
    "BoxMOT ByteTrack": lambda: boxmot("ByteTrack"),
    "BoxMOT OC-SORT": lambda: boxmot("OcSort"),
    "BoxMOT SFSORT": lambda: boxmot("SFSORT"),
    "BoxMOT BoostTrack": lambda: boxmot("BoostTrack", use_cmc=False, use_embeddings=False),
    "ultralytics ByteTrack": lambda: ultralytics("bytetrack"),
    "ultralytics TrackTrack": lambda: ultralytics("tracktrack"),
    "ultralytics FastTrack": lambda: ultralytics("fasttrack"),
    "norfair": lambda: norfair,
}


def installed() -> tuple[dict[str, Make], dict[str, str]]:
    """Return the peers that can be imported, and for the others why not."""
    found: dict[str, Make] = {}
    missing: dict[str, str] = {}
    for name, load in PEERS.items():
        try:
            make = load()
            make(30.0)
        except ImportError as error:
            missing[name] = str(error)
        else:
            found[name] = make
    return found, missing
