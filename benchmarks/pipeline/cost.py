"""What a command costs: `python cost.py COST.json COMMAND ...` runs it and writes what it used.

This process stands between the benchmark and the command. On Linux the peak memory of a process
includes that of the process which started it, and the benchmark is large where this one is small.
So it imports the standard library only.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

KIB_IN_MIB = 1024


def main(words: list[str]) -> int:
    """Run a command, and write the wall-clock and CPU seconds and the peak memory of it and of the
    processes that it waited for.

    Args:
        words: The file to write, then the command.

    Returns:
        The exit code of the command; minus the signal that ended it.
    """
    path, *command = words
    start_s = time.perf_counter()
    process = subprocess.Popen(command)
    try:
        _, status, used = os.wait4(process.pid, 0)
    except KeyboardInterrupt:
        process.kill()
        process.wait()
        raise
    wall_s = time.perf_counter() - start_s
    process.returncode = os.waitstatus_to_exitcode(status)
    cost = {
        "wall_s": wall_s,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_mib": used.ru_maxrss / KIB_IN_MIB,
    }
    Path(path).write_text(json.dumps(cost), encoding="utf-8")
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
