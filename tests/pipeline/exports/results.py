"""Results of runs that never were, written by the code that writes those of real ones."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.outputs import trajectories
from pipeline.records import Camera, Person

EVERYTHING: Mapping[str, Sequence[tuple[int, int]]] = {}


def write(
    folder: Path,
    people: Sequence[Person],
    cameras: Sequence[Camera],
    stride: int = 1,
    frame_ranges: Mapping[str, Sequence[tuple[int, int]]] = EVERYTHING,
) -> Path:
    """Write the files of a run that exports read, and those that a report needs.

    Args:
        folder: where they go.
        people: identities.
        cameras: all cameras.
        stride: processed frames are this many frames apart.
        frame_ranges: first and last frame processed without a break; other cameras have n_frames.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = trajectories.json_parts(people, cameras, 0.9)
    (folder / "trajectories.json").write_text("".join(parts))
    (folder / "tracks.csv").write_text("".join(trajectories.csv_lines(people)))
    (folder / "mot").mkdir(exist_ok=True)
    for camera in cameras:
        lines = "".join(trajectories.mot_lines(people, camera.name))
        (folder / "mot" / f"{camera.name}.txt").write_text(lines)
    manifest = {
        "schema": "run/1",
        "version": "1",
        "device": "cpu",
        "appearance": "appearance tells people apart well",
        "cameras": [
            {
                "camera": camera.name,
                "source": camera.source,
                "n_frames": camera.n_frames,
                "n_dropped": 0,
                "stride": stride,
                "frame_ranges": [
                    list(each)
                    for each in frame_ranges.get(camera.name, [(0, (camera.n_frames - 1) * stride)])
                ],
            }
            for camera in cameras
        ],
        "notes": [],
        "warnings": [],
        "files": ["trajectories.json", "tracks.csv", "run.json"],
    }
    (folder / "run.json").write_text(json.dumps(manifest))
    return folder
