"""Cut people out of videos into `person/camera/frame.jpg`, the folder layout that ReID training
reads.

    python -m pipeline.crops --videos cam1.mp4 cam2.mp4 --boxes outputs/monday --output people

The boxes are the output folder of a run, whose people become the labels (check it first), or
MOTChallenge truth. So the recordings of a site can train or test a ReID model. Videos are read as
the pipeline reads them.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from models import command, settings
from models.errors import InputError
from pipeline import config as configuration
from pipeline.address import Address
from pipeline.config import CameraConfig, SourcesConfig
from pipeline.errors import OutputError, PipelineError, SourceError
from pipeline.evaluate import boxes
from pipeline.evaluate.boxes import Rows
from pipeline.records import Array, Frame
from pipeline.sources import Source, open_source
from pipeline.tracklets import inside

MIN_SHARE_INSIDE = 0.5
"""Boxes of which a smaller share lies in the image are left out."""
ROUNDING_S = 0.001
"""Times are rounded: a second after 1.3 s may be 0.9999999 s later."""
JPEG_QUALITY = 95


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = command.Parser(
        prog="python -m pipeline.crops", description="Cut people out of videos for ReID training."
    )
    add = parser.add_argument
    add(
        "--videos",
        nargs="+",
        required=True,
        metavar="VIDEO",
        help="one per camera: those of the run, or named like the truth files",
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
    videos: Sequence[str],
    rows: Mapping[str, Rows],
    output: Path,
    every_s: float,
    min_height_px: float,
    run_cameras: Sequence[CameraConfig] = (),
) -> int:
    """Write the crops of all videos; warnings of their reading go to the screen.

    Args:
        videos: video files or folders of images, one per camera.
        rows: boxes by camera, in the order of their frames (see `read_boxes`).
        output: a new or empty folder.
        every_s: seconds between two crops of a person.
        min_height_px: boxes lower than this are left out.
        run_cameras: where the boxes come from a run, its cameras (see `read_run_cameras`).

    Returns:
        How many crops were written.

    Raises:
        SourceError: a video cannot be read, or there are no boxes for it.
        OutputError: `output` is not empty, or cannot be written.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise OutputError(f"{output}: is not an empty folder; give another --output")
    sources: dict[str, Source] = {}
    tracks = {camera.name: camera.track for camera in run_cameras}
    for camera, video in _match_cameras(videos, rows, run_cameras).items():
        given = CameraConfig(source=video, track=tracks.get(camera, 0))
        (config,) = configuration.unique_names([given])
        sources[camera] = open_source(config, SourcesConfig())
    n_written = 0
    for camera, source in sources.items():
        for person_id, frame, crop in people(source, rows[camera], every_s, min_height_px):
            path = output / f"{person_id:04d}" / camera / f"{frame:06d}.jpg"
            _, encoded = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encoded.tobytes())
            except OSError as error:
                raise OutputError(
                    f"{path}: cannot be written ({error.strerror}); {n_written} crops were"
                ) from None
            n_written += 1
        for warning in source.warnings:
            print(f"warning: {warning}", file=sys.stderr)
    return n_written


def people(
    source: Source, rows: Rows, every_s: float, min_height_px: float
) -> Iterator[tuple[int, int, Array]]:
    """Crop the people of one video.

    Args:
        source: the video.
        rows: its boxes, in the order of their frames.
        every_s: seconds between two crops of a person.
        min_height_px: boxes lower than this are left out.

    Yields:
        person_id, frame from 0, crop (h, w, 3) uint8 BGR in the size it has in the image.
    """
    last_s: dict[int, float] = {}
    n_frames = int(rows.frames.max(initial=-1)) + 1
    first_rows = np.searchsorted(rows.frames, np.arange(n_frames + 1))
    for frame in source:
        if frame.index >= n_frames:
            return
        for row in range(first_rows[frame.index], first_rows[frame.index + 1]):
            person_id = int(rows.ids[row])
            elapsed_s = frame.time_s - last_s.get(person_id, -np.inf)
            if elapsed_s < every_s - ROUNDING_S:
                continue
            crop = _crop(frame, rows.boxes[row], min_height_px)
            if crop is not None:
                last_s[person_id] = frame.time_s
                yield person_id, frame.index, crop


def _crop(frame: Frame, box: Array, min_height_px: float) -> Array | None:
    """The part of the image in the box; None where it is too low or mostly outside the image."""
    if _share_inside(box, frame.image) < MIN_SHARE_INSIDE:
        return None
    crop = inside(frame.image, box)
    return crop if crop.shape[0] >= min_height_px else None


def _share_inside(box: Array, image: Array) -> float:
    """Share 0..1 of a box x1 y1 x2 y2 that lies in the image."""
    top_left = np.maximum(box[:2], 0)
    bottom_right = np.minimum(box[2:], image.shape[1::-1])
    visible_area = np.prod(np.maximum(bottom_right - top_left, 0))
    return float(visible_area / max(np.prod(box[2:] - box[:2]), 1e-9))


def _match_cameras(
    videos: Sequence[str], rows: Mapping[str, Rows], run_cameras: Sequence[CameraConfig]
) -> dict[str, str]:
    """Videos by camera, one each and all with boxes; raises SourceError."""
    matched: dict[str, str] = {}
    for video in videos:
        shown = Address.parse(video).shown
        for camera in _cameras_of(video, rows, run_cameras):
            if camera not in rows:
                raise SourceError(
                    f"{shown}: no boxes for camera {camera}; there are boxes for {', '.join(rows)}"
                )
            if camera in matched:
                other = Address.parse(matched[camera]).shown
                raise SourceError(
                    f"{shown}: there is another video of camera {camera}, {other}; give one a"
                    " camera"
                )
            matched[camera] = video
    return matched


def _cameras_of(
    video: str, rows: Mapping[str, Rows], run_cameras: Sequence[CameraConfig]
) -> list[str]:
    """Names of a video's cameras, of which there are several where it has several tracks.

    Where the run read this file, or just one file of this name, its cameras; otherwise the name of
    the file, as a run would make it a camera name.
    """
    path = Path(video).resolve()
    same_name = {camera.source for camera in run_cameras if Path(camera.source).name == path.name}
    if str(path) in same_name:
        same_name = {str(path)}
    if len(same_name) == 1:
        return [camera.name for camera in run_cameras if camera.source in same_name]
    (cleaned,) = configuration.unique_names([CameraConfig(source=video)])
    as_file = configuration.file_name(Address.parse(video).name)
    return [cleaned.name if cleaned.name in rows and as_file not in rows else as_file]


def read_boxes(path: Path, min_visibility: float) -> dict[str, Rows]:
    """Read boxes from the output folder of a run, or from MOTChallenge truth.

    Args:
        path: the folder.
        min_visibility: truth less visible than this (0..1) is left out.

    Returns:
        Detected boxes by camera, in the order of their frames.

    Raises:
        SourceError: the folder holds neither, or a file is damaged.
    """
    if (path / "tracks.csv").is_file():
        cameras = boxes.read_results(path, with_filled=False)
    else:
        truth = boxes.read_truth(path, min_visibility)
        cameras = {camera: each.rows.take(each.counts) for camera, each in truth.items()}
    return {
        camera: rows.take(np.argsort(rows.frames, kind="stable"))
        for camera, rows in cameras.items()
    }


def read_run_cameras(path: Path) -> list[CameraConfig]:
    """Read the cameras of a run from the `config.yaml` of its output folder.

    Args:
        path: the output folder.

    Returns:
        Name, resolved path of the source, video track and homography of each camera; empty where
        there is no `config.yaml`.

    Raises:
        SourceError: the file is damaged.
    """
    file = path / configuration.FILE
    if not file.is_file():
        return []
    try:
        return [
            CameraConfig(
                source=str(Path(camera["source"]).resolve()),
                name=camera["name"],
                track=camera.get("track", 0),
                homography=camera.get("homography", []),
            )
            for camera in settings.read(str(file), configuration.EXAMPLE)["cameras"]
        ]
    except (InputError, KeyError, TypeError, ValueError, AttributeError):
        raise SourceError(f"{file}: is not the config.yaml of a run; repair or delete it") from None


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    return command.run(_run, parse(arguments), PipelineError)


def _run(parsed: argparse.Namespace) -> None:
    rows = read_boxes(parsed.boxes, parsed.min_visibility)
    n_written = write(
        parsed.videos,
        rows,
        parsed.output,
        parsed.every_s,
        parsed.min_height,
        read_run_cameras(parsed.boxes),
    )
    n_people = sum(1 for _ in parsed.output.glob("*/")) if n_written else 0
    print(f"{parsed.output}: {n_written} crops of {n_people} people")


if __name__ == "__main__":
    sys.exit(main())
