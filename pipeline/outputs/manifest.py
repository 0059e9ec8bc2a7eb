"""run.json: what is needed to repeat a run and to know how it went."""

import json
import platform
from dataclasses import asdict
from importlib import metadata
from typing import Any

import torch

from models import device as devices
from pipeline.linking.learning import travel_times
from pipeline.outputs import links
from pipeline.records import Camera
from pipeline.result import Result
from pipeline.timings import Timings
from pipeline.version import VERSION, git_hash
from pipeline.zones import table as zones

PACKAGES = (
    "torch",
    "torchvision",
    "ultralytics",
    "opencv-python",
    "av",
    "numpy",
    "scipy",
    "filterpy",
    "lap",
    "onnxruntime",
    "openvino",
)
PROCESS = ("version", "git", "python", "packages", "device", "detector", "reid")
"""What is said of the program, the machine and the networks."""
OF_RUN = (*PROCESS, "stages")
"""What stays when results are made again of what a run kept."""


LABELLED_IN = "labelled_in"
"""Files of the labels, in the run.json of results that were labelled by hand."""


def to_json(result: Result, files: list[str]) -> str:
    """Return the manifest of a finished run as text.

    Args:
        result: what was found.
        files: names of the files in the folder.
    """
    return json.dumps(document(result, files), indent=1, allow_nan=False) + "\n"


def document(result: Result, files: list[str]) -> dict[str, Any]:
    """Return the manifest of a finished run.

    Where the results were made of an earlier run again, what is said of its program, machine,
    networks and stages is still of that run.

    Args:
        result: what was found.
        files: names of the files in the folder.
    """
    process = result.earlier or {**_process(result), "stages": _stages(result.timings)}
    last_id = max((person.person_id for person in result.people), default=0)
    return {
        "schema": "run/1",
        **{key: process[key] for key in PROCESS},
        "people": len(result.people),
        "last_person_id": max(last_id, int(result.earlier.get("last_person_id", 0))),
        "appearance": result.linked.calibration.in_words(),
        "zones": [asdict(each) for each in zones.totals(result.zone_events, result.config.zones)],
        "lookalikes": links.lookalikes(result.people),
        "clocks": result.linked.clocks.in_words(),
        "clocks_applied_s": dict(result.linked.applied_s),
        "overlaps": [found.in_words() for found in result.linked.homographies],
        "travel": travel_times.in_words(result.linked.travel),
        "cameras": [_camera(camera, result) for camera in result.cameras],
        "stages": process["stages"],
        "engine": result.config.engine,
        "workers": [result.workers[group] for group in sorted(result.workers)],
        "interrupted": result.interrupted,
        "notes": result.notes,
        "warnings": result.warnings,
        "files": files,
    }


def _process(result: Result) -> dict[str, Any]:
    """The program, the machine and the networks of this process."""
    device = devices.resolve(result.config.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "version": VERSION,
        "git": git_hash(),
        "python": platform.python_version(),
        "packages": packages(),
        "device": f"{device} ({name})",
        "detector": {
            "name": result.detector,
            "sha256": result.detector_sha256,
            **result.detector_choice._asdict(),
        },
        "reid": {
            "name": result.reid,
            "sha256": result.reid_sha256,
            **result.reid_choice._asdict(),
        },
    }


def _stages(timings: Timings) -> dict[str, dict[str, float]]:
    return {stage: _stage(stage, timings) for stage in sorted(timings.seconds)}


def _stage(stage: str, timings: Timings) -> dict[str, float]:
    unit = "crops" if stage == "embed" else "frames"
    return {"seconds": round(timings.seconds[stage], 4), unit: timings.counts[stage]}


def _camera(camera: Camera, result: Result) -> dict[str, Any]:
    frame_ranges = result.frame_ranges.get(camera.name, [])
    return {
        "camera": camera.name,
        "source": camera.source,
        "width": camera.width,
        "height": camera.height,
        "n_frames": camera.n_frames,
        "n_dropped": camera.n_dropped,
        "n_unchanged": result.n_unchanged.get(camera.name, 0),
        "n_boxes": result.n_boxes.get(camera.name, 0),
        "n_boxes_in_tracks": result.n_tracked.get(camera.name, 0),
        "stride": result.config.sources.stride,
        "frame_ranges": [list(frame_range) for frame_range in frame_ranges],
    }


def packages() -> dict[str, str]:
    """Versions of what the results depend on; "" for a package that goes by another name here, such
    as onnxruntime-gpu.
    """
    found: dict[str, str] = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = ""
    return found
