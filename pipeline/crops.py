"""Cut people out of videos into `person/camera/frame.jpg`, the folder layout that ReID training
reads.

    python -m pipeline.crops --videos cam1.mp4 cam2.mp4 --boxes outputs/monday --output people

The boxes are an output folder of a run (look through it first: its people become the labels) or
MOTChallenge truth. So a site's own recordings can train or test a ReID model. Videos are read as
the pipeline reads them.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from pipeline.config import CameraConfig, SourcesConfig
from pipeline.errors import OutputError, PipelineError, SourceError
from pipeline.evaluate import boxes
from pipeline.evaluate.boxes import Rows
from pipeline.records import Array
from pipeline.sources import Source, open_source
from pipeline.tracklets import inside

ROUNDING_S = 0.001
"""Times are rounded: a second after 1.3 s may be 0.9999999 s later."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.crops", description="Cut people out of videos for ReID training."
    )
    add = parser.add_argument
    add(
        "--videos",
        nargs="+",
        required=True,
        metavar="VIDEO",
        help="one a camera; the file name is the camera's",
    )
    add(
        "--boxes",
        type=Path,
        required=True,
        metavar="DIR",
        help="output folder of a run, or MOTChallenge truth <camera>.txt",
    )
    add("--output", type=Path, required=True, metavar="DIR", help="a new folder")
    add(
        "--every-s",
        type=float,
        default=1.0,
        metavar="S",
        help="seconds between two crops of a person (default 1)",
    )
    add(
        "--min-height",
        type=float,
        default=40,
        metavar="PX",
        help="leave out boxes lower than this (default 40)",
    )
    add(
        "--min-visibility",
        type=float,
        default=0.5,
        metavar="V",
        help="leave out truth less visible than this (default 0.5)",
    )
    return parser.parse_args(arguments)


def write(
    videos: list[str], rows: dict[str, Rows], output: Path, every_s: float, min_height_px: float
) -> int:
    """Write the crops of all videos; returns how many. Raises SourceError and OutputError."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise OutputError(f"{output}: is not an empty folder; give another --output")
    sources = [
        open_source(CameraConfig(source=video, name=camera), SourcesConfig())
        for camera, video in _cameras(videos, rows)
    ]
    n_written = 0
    for source in sources:
        camera = source.camera.name
        for person_id, frame, crop in people(source, rows[camera], every_s, min_height_px):
            path = output / f"{person_id:04d}" / camera / f"{frame:06d}.jpg"
            encoded = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encoded.tobytes())
            except OSError as error:
                raise OutputError(
                    f"{path}: cannot be written ({error.strerror}); {n_written} crops were"
                ) from None
            n_written += 1
    return n_written


def people(
    source: Source, rows: Rows, every_s: float, min_height_px: float
) -> Iterator[tuple[int, int, Array]]:
    """Crops of one video: person_id, frame from 0, (h, w, 3) uint8 BGR in the size they have in the
    image.

    Boxes of which less than half lies in the image are left out.
    """
    last_s: dict[int, float] = {}
    starts = np.searchsorted(rows.frames, np.arange(rows.frames.max(initial=-1) + 2))
    for frame in source:
        if frame.index + 1 >= len(starts):
            return
        for i in range(starts[frame.index], starts[frame.index + 1]):
            person_id, box = int(rows.ids[i]), rows.boxes[i]
            if (
                frame.time_s - last_s.get(person_id, -np.inf) < every_s - ROUNDING_S
                or _share(box, frame.image) < 0.5
            ):
                continue
            crop = inside(frame.image, box)
            if crop.shape[0] >= min_height_px:
                last_s[person_id] = frame.time_s
                yield person_id, frame.index, crop


def _cameras(videos: list[str], rows: dict[str, Rows]) -> list[tuple[str, str]]:
    """Camera and video, once each and with boxes; raises SourceError."""
    found: dict[str, str] = {}
    for video in videos:
        camera = Path(video).stem
        if camera not in rows:
            raise SourceError(
                f"{video}: no boxes for camera {camera}; there are boxes for {', '.join(rows)}"
            )
        if camera in found:
            raise SourceError(
                f"{video}: there is another video of camera {camera}, {found[camera]}; give one a"
                " camera"
            )
        found[camera] = video
    return list(found.items())


def _share(box: Array, image: Array) -> float:
    """Share 0..1 of a box x1 y1 x2 y2 that lies in the image."""
    least, most = np.maximum(box[:2], 0), np.minimum(box[2:], image.shape[1::-1])
    return float(np.prod(np.maximum(most - least, 0)) / max(np.prod(box[2:] - box[:2]), 1e-9))


def read_boxes(path: Path, min_visibility: float) -> dict[str, Rows]:
    """Boxes per camera, in the order of their frames, from an output folder or from truth; raises
    SourceError.
    """
    if (path / "tracks.csv").is_file():
        found = boxes.read_results(path, with_filled=False)
    else:
        found = {
            camera: truth.rows.take(truth.counts)
            for camera, truth in boxes.read_truth(path, min_visibility).items()
        }
    return {
        camera: rows.take(np.argsort(rows.frames, kind="stable")) for camera, rows in found.items()
    }


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error that the user can mend."""
    parsed = parse(arguments)
    try:
        rows = read_boxes(parsed.boxes, parsed.min_visibility)
        n_written = write(parsed.videos, rows, parsed.output, parsed.every_s, parsed.min_height)
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    n_people = sum(1 for _ in parsed.output.glob("*/")) if n_written else 0
    print(f"{parsed.output}: {n_written} crops of {n_people} people")
    return 0


if __name__ == "__main__":
    sys.exit(main())
