"""COCO-style JSON of all cameras: one image a processed frame, one annotation a box.

`videos`, and `video_id` and `frame_id` of images, are those of the video data sets in this form
(TAO, YouTube-VIS). Annotations have more than COCO asks for: `person_id`, the same in all cameras,
`track_id` and `tracklet` within the camera, `score`, and `filled` (1: interpolated, not detected).
Boxes may reach beyond the image. Images are named `<camera>/<frame>.jpg` with six digits; they are
not written, but FFmpeg can: `ffmpeg -i gate.mp4 -fps_mode passthrough -start_number 0
gate/%06d.jpg`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.exports.staging import staged
from pipeline.exports.table import NO_FRAMES, Footage, Table
from pipeline.outputs.trajectories import Rows
from pipeline.records import Array
from pipeline.version import VERSION

PERSON = 1
"""The only category; COCO's number of it too."""


def write(table: Table, path: Path) -> None:
    """Write the file.

    Args:
        table: the rows of a run.
        path: the file.

    Raises:
        PipelineError: the results are damaged, or the file cannot be written.
    """
    frames = _frames(table)
    with staged(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(_document(table, frames))


def _frames(table: Table) -> dict[str, Array]:
    """Frames of each camera that are images: (n,) int64, ascending."""
    frames = {}
    for footage, parts in table.by_camera():
        with_people = [np.unique(rows.frames) for rows in parts]
        frames[footage.camera.name] = np.unique(
            np.concatenate([NO_FRAMES, footage.frames, *with_people])
        )
    return frames


def _document(table: Table, frames: Mapping[str, Array]) -> Iterator[str]:
    head = {
        "info": {"description": f"multi-camera people tracker {VERSION}", "version": "1.0"},
        "licenses": [],
        "categories": [{"id": PERSON, "name": "person", "supercategory": "person"}],
        "videos": _videos(table.footage.values()),
    }
    yield _dump(head).removesuffix("}")
    numbers = {name: number for number, name in enumerate(table.footage, start=1)}
    first_ids = _first_ids(frames, numbers)
    yield ',"images":'
    yield from _list(
        _image(table.footage[name], number, frame, first_ids[name])
        for name, number in numbers.items()
        for frame in frames[name].tolist()
    )
    yield ',"annotations":'
    of_cameras = (
        _annotations(parts, first_ids[footage.camera.name]) for footage, parts in table.by_camera()
    )
    annotations = chain.from_iterable(of_cameras)
    yield from _list({"id": i, **each} for i, each in enumerate(annotations, start=1))
    yield "}\n"


def _videos(cameras: Iterable[Footage]) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "name": each.camera.name,
            "width": each.camera.width,
            "height": each.camera.height,
            "fps": each.camera.fps,
        }
        for number, each in enumerate(cameras, start=1)
    ]


def _first_ids(frames: Mapping[str, Array], cameras: Iterable[str]) -> dict[str, int]:
    """Id of the image of frame 0 by camera: ids of images follow each other."""
    first_ids = {}
    next_id = 1
    for name in cameras:
        first_ids[name] = next_id
        next_id += int(frames[name].max(initial=-1)) + 1
    return first_ids


def _image(footage: Footage, video_id: int, frame: int, first_id: int) -> dict[str, Any]:
    camera = footage.camera
    return {
        "id": first_id + frame,
        "file_name": f"{camera.name}/{frame:06d}.jpg",
        "width": camera.width,
        "height": camera.height,
        "video_id": video_id,
        "frame_id": frame,
    }


def _annotations(parts: Iterable[Rows], first_id: int) -> Iterator[dict[str, Any]]:
    for rows in parts:
        corners = rows.boxes[:, :2]
        sizes = rows.boxes[:, 2:] - corners
        boxes = np.round(np.concatenate([corners, sizes], axis=1), 2).tolist()
        areas = np.round(sizes.prod(axis=1), 2).tolist()
        for i, box in enumerate(boxes):
            yield {
                "image_id": first_id + int(rows.frames[i]),
                "category_id": PERSON,
                "bbox": box,
                "area": areas[i],
                "iscrowd": 0,
                "segmentation": [],  # readers warn where it is missing
                "person_id": int(rows.person_ids[i]),
                "track_id": int(rows.track_ids[i]),
                "tracklet": int(rows.first_frames[i]),
                "score": round(float(rows.scores[i]), 4),
                "filled": int(rows.is_filled[i]),
            }


def _list(items: Iterable[Any]) -> Iterator[str]:
    """A list as text, item by item."""
    yield "["
    for index, item in enumerate(items):
        yield ",\n" if index else "\n"
        yield _dump(item)
    yield "]"


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
