"""One JSON line a measurement, with what is needed to set a later one against it."""

import argparse
import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.evaluate.scores import plain
from pipeline.outputs.manifest import packages
from pipeline.version import VERSION, git_hash


def parser(description: str | None) -> argparse.ArgumentParser:
    """Make the parser of a benchmark whose results `append` keeps, with the option --jsonl.

    Args:
        description: Shown as it is, line by line: the docstring of the benchmark.

    Returns:
        The parser, for the options of the benchmark itself.
    """
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--jsonl", type=Path, metavar="FILE", help="append the results as JSON lines")
    return made


def append(path: Path | None, benchmark: str, settings: dict[str, Any], results: Any) -> None:
    """Append a line to a file.

    Args:
        path: The file; None writes nothing.
        benchmark: Name of the benchmark.
        settings: What was measured on, values that JSON can hold.
        results: What was measured, values that JSON can hold.
    """
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
