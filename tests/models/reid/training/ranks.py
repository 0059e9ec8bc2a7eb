"""Trainings by two processes that import only once: `python -m tests.models.reid.training.ranks
SCENARIOS`.

SCENARIOS is a JSON list of {"arguments": of the training, "log": where what it prints goes,
"interrupt": rank or null}. The processes are started as torchrun starts them. Prints the exit
codes, of rank 0 and 1, of every scenario as JSON.
"""

import json
import os
import signal
import sys
from pathlib import Path

import matplotlib.figure  # noqa: F401 - so that the ranks have it, as the next two
import torch.utils.tensorboard  # noqa: F401

import models.reid.training.run  # noqa: F401
from models.reid import train
from models.reid.data.loader import Batch
from models.reid.training import loop
from models.reid.training.loop import Trainer
from tests.ports import reserved_port


def interrupt_in_second_epoch() -> None:
    """Let this process get SIGINT in its first step after a whole epoch."""
    step = loop._step

    def interrupted(trainer: Trainer, batch: Batch) -> dict[str, float]:
        if trainer.progress.epoch == 1:
            signal.raise_signal(signal.SIGINT)
        return step(trainer, batch)

    loop._step = interrupted


def start(rank: int, port: int, arguments: list[str], log: Path, is_interrupted: bool) -> int:
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
    if is_interrupted:
        interrupt_in_second_epoch()
    try:
        code = train.main(arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def play(scenario: dict) -> list[int]:
    """Run both ranks, one of which is interrupted if asked to; returns their exit codes."""
    with reserved_port() as port:
        log = Path(scenario["log"])
        pids = []
        for rank in (0, 1):
            is_interrupted = rank == scenario["interrupt"]
            pids.append(start(rank, port, scenario["arguments"], log, is_interrupted))
        return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


if __name__ == "__main__":
    print(json.dumps([play(scenario) for scenario in json.loads(sys.argv[1])]))
