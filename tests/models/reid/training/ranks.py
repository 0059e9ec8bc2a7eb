"""Trainings by two processes that import only once: `python -m tests.models.reid.training.ranks
SCENARIOS`.

SCENARIOS is a JSON list of {"arguments": of the training, "log": where what it prints goes,
"interrupt": rank or null}. The processes are started as torchrun starts them. Prints the exit
codes, of rank 0 and 1, of every scenario as JSON.
"""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

import matplotlib.figure  # noqa: F401 - so that the ranks have it, as the next two
import torch.utils.tensorboard  # noqa: F401

import models.reid.training.run  # noqa: F401
from models.reid import train


def start(rank: int, port: int, arguments: list[str], log: Path) -> int:
    """Fork a rank; returns its process id."""
    if pid := os.fork():
        return pid
    addresses = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "test",
    }
    ranks = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": 2,
        "LOCAL_WORLD_SIZE": 2,
        "GROUP_RANK": 0,
    }
    os.environ.update(addresses | {key: str(value) for key, value in ranks.items()})
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    code = 1
    try:
        code = train.main(arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def play(scenario: dict) -> list[int]:
    """Run both ranks, interrupt one after the first epoch if asked to; returns their exit codes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = Path(scenario["log"])
    pids = [start(rank, port, scenario["arguments"], log) for rank in (0, 1)]
    if scenario["interrupt"] is not None:
        deadline = time.monotonic() + 60
        while (
            not (log.is_file() and "epoch   0" in log.read_text()) and time.monotonic() < deadline
        ):
            time.sleep(0.05)
        os.kill(pids[scenario["interrupt"]], signal.SIGINT)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


if __name__ == "__main__":
    print(json.dumps([play(scenario) for scenario in json.loads(sys.argv[1])]))
