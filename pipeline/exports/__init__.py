"""Results in the formats of other tools, and what a human corrected there as results again.

    people-tracker export outputs/monday --coco monday.json --cvat monday_cvat
    people-tracker import outputs/monday monday_cvat/*.xml --output outputs/monday_by_hand

All formats are written from `tracks.csv`, which `table` reads as a stream.

- `mot`: MOTChallenge sequences
- `coco`: COCO-style JSON
- `cvat`: CVAT for video 1.1
- `parquet`: Apache Parquet
- `rerun`: a recording for the rerun viewer
- `supervision`: `supervision.Detections`, from Python
- `labelled`, `labelled_cvat`, `labelled_tracklets`, `corrected`, `read_back`: the way back
"""

from pipeline.exports.supervision import to_supervision

__all__ = ["to_supervision"]
