"""How many threads compute: as many as there are CPUs for this process.

`models` sets OMP_NUM_THREADS to this before any library reads it, and torch, OpenVINO, onnxruntime
and BLAS all follow. A user's own OMP_NUM_THREADS wins. Left unset, ultralytics would set it to 1,
and libraries would count the CPUs of the machine where a container may use only some of them.
Its `predict` would also leave one CPU unused; `models.detector.inference` does not call that.
"""

import math
import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Of this container: microseconds of CPU time in each period, and the period; "max" is no limit."""


def available(quota: Path = QUOTA) -> int:
    """Return how many CPUs this process may use, at least 1.

    Args:
        quota: The file of the container's limit; it need not exist.
    """
    n_cpus = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        n_cpus = len(os.sched_getaffinity(0))
    return max(1, math.ceil(min(n_cpus, _cpus_of(quota))))


def _cpus_of(quota: Path) -> float:
    """CPUs that a quota amounts to; infinite where there is none."""
    try:
        allowed, period = quota.read_text(encoding="ascii").split()
        return math.inf if allowed == "max" else int(allowed) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf
