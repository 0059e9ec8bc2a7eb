"""One JSON line a measurement, with what is needed to set a later one against it."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.evaluate.scores import plain
from pipeline.outputs.manifest import packages
from pipeline.version import VERSION, git_hash


def append(path: Path | None, benchmark: str, settings: dict[str, Any], results: Any) -> None:
    """Append a line to `path`, or do nothing when there is none."""
    if path is None:
        return
    machine = {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    line = {
        "benchmark": benchmark,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": VERSION,
        "git": git_hash(),
        "machine": machine,
        "packages": packages(),
        "settings": settings,
        "results": results,
    }
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(plain(line), allow_nan=False) + "\n")
