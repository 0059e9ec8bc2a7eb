"""run.json: what is needed to repeat a run and to know how it went."""

import json
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from models import device as devices
from models import weights
from pipeline.result import Result

VERSION = "0.1.0"
PACKAGES = ("torch", "torchvision", "ultralytics", "opencv-python", "av", "numpy", "scipy", "filterpy", "lap", "onnxruntime")


def to_json(result: Result, files: list[str]) -> str:
    """Return the manifest of a finished run."""
    device = devices.resolve(result.config.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    document: dict[str, Any] = {
        "schema": "run/1",
        "version": VERSION,
        "git": git_hash(),
        "python": platform.python_version(),
        "packages": {package: metadata.version(package) for package in PACKAGES},
        "device": f"{device} ({name})",
        "detector": {"name": result.detector, "sha256": _sha256(result.config.detector.weights, "detector")},
        "reid": {"name": result.reid, "sha256": _sha256(result.config.reid.weights, "reid")},
        "people": len(result.people),
        "cameras": [{"camera": c.name, "source": c.source, "n_frames": c.n_frames, "n_dropped": 0} for c in result.cameras],
        "stages": {
            stage: {"seconds": round(seconds, 4), "frames": result.timings.frames[stage]}
            for stage, seconds in sorted(result.timings.seconds.items())
        },
        "interrupted": result.interrupted,
        "notes": result.notes,
        "warnings": result.warnings,
        "files": files,
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def git_hash() -> str:
    """Commit of the program's own checkout, "" outside one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _sha256(name: str, role: str) -> str:
    """Digest of the weights that were used, "" for none (HOG, no ReID)."""
    path = weights.bundled(role) if name == "auto" else Path(name)
    return weights.sha256(path) if path is not None and path.exists() else ""
