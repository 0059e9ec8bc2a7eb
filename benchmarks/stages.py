"""Milliseconds a frame of everything but decode, detect, embed and encode, at a given number of
people.

    python -m benchmarks.stages [--people 20] [--seconds 60] [--size 1280x720] [--jsonl FILE]

A crowd walks through a noise picture before a simulated detector. The stages are the program's own,
called as the program calls them, on one camera; drawing is the annotated video without its
encoding.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks import record
from benchmarks.tracking.crowd import FPS, Crowd
from pipeline import yuv
from pipeline.config import Config
from pipeline.embed import bare
from pipeline.linking import linker
from pipeline.outputs import trajectories, video
from pipeline.outputs.folder import OutputFolder
from pipeline.records import Camera, Frame, Tracklet
from pipeline.timings import Timings
from pipeline.tracking.tracker import Tracker
from pipeline.tracklets import Gatherer
from pipeline.vectors import unit

TARGET_MS = 3.0


def measure(n_people: int, seconds: float, width: int, height: int) -> Timings:
    """Run the stages and return what they took."""
    rng = np.random.default_rng(0)
    config = Config()
    timings = Timings()
    camera = Camera("camera", "", width, height, FPS, 0.0, round(seconds * FPS), np.zeros((0, 0)))
    crowd = Crowd(n_people, width, height, rng)
    tracker = Tracker(config.tracker)
    gatherer = Gatherer(camera.name, config.tracklets)
    images = [rng.integers(0, 255, (height, width, 3), dtype=np.uint8) for _ in range(4)]
    tracklets: list[Tracklet] = []
    for i in range(camera.n_frames):
        frame = Frame(camera.name, i, i / FPS, images[i % 4])
        detections = crowd.step()
        with timings.stage("track"):
            tracks = tracker.update(detections, frame.time_s, frame.index)
        with timings.stage("gather"):
            tracklets += gatherer.add(frame, tracks, tracker.live_ids)
    tracklets += gatherer.flush()
    embedded = [bare(t, unit(rng.normal(size=512))) for t in tracklets]
    with timings.stage("link", camera.n_frames):
        people = linker.link(embedded, {camera.name: camera}, config.linking).people
    with tempfile.TemporaryDirectory() as folder, timings.stage("write", camera.n_frames):
        output = OutputFolder(Path(folder), overwrite=True)
        confirmed = config.linking.confirmed_probability
        output.write_parts(
            "trajectories.json", trajectories.json_parts(people, [camera], confirmed)
        )
        output.write_parts("tracks.csv", trajectories.csv_lines(people))
        output.write_parts("camera.txt", trajectories.mot_lines(people, camera.name))
    pictures = [yuv.from_bgr(image) for image in images]
    drawing = video.Drawing(camera, people, config.output.trail_s)
    for i in range(camera.n_frames):
        with timings.stage("draw"):
            drawing.draw(pictures[i % 4], i / FPS)
    return timings


def main() -> None:
    """Print the table."""
    parser = record.parser(__doc__)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--size", default="1280x720")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    width, height = map(int, arguments.size.split("x"))
    timings = measure(arguments.people, arguments.seconds, width, height)
    milliseconds = {stage: 1000 * s / timings.counts[stage] for stage, s in timings.seconds.items()}
    milliseconds["total"] = sum(milliseconds.values())
    print(
        f"{arguments.people} people, {arguments.size}, {arguments.seconds:g} s at {FPS:g} fps; aim:"
        f" {TARGET_MS:g} ms in all"
    )
    for stage, value in milliseconds.items():
        print(f"  {stage:<8} {value:6.2f} ms a frame")
    settings = {"people": arguments.people, "size": arguments.size, "seconds": arguments.seconds}
    record.append(arguments.jsonl, "stages", settings, {"ms_a_frame": milliseconds})


if __name__ == "__main__":
    main()
