"""How many threads compute."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from models import threads
from tests.conftest import ROOT

LOADED = """
from models import weights
from models.detector.inference import PersonDetector
import torch
PersonDetector(str(weights.bundled("detector", "cpu")))
print(torch.get_num_threads())
"""


@pytest.mark.parametrize(
    ("quota", "n_threads"), [("100000 100000", 1), ("50000 100000", 1), ("150000 100000", 2)]
)
def test_a_container_with_a_quota_gets_as_many_threads_as_it_may_use(
    tmp_path: Path, quota: str, n_threads: int
) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(quota + "\n")
    assert threads.available(file) == min(n_threads, threads.available(tmp_path / "none"))


@pytest.mark.parametrize("quota", ["max 100000", "", "damaged", "1 0"])
def test_without_a_quota_all_cpus_of_the_process_count(tmp_path: Path, quota: str) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert threads.available(file) == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("wanted", ["", "1"])
def test_ultralytics_leaves_the_number_of_threads_alone(wanted: str) -> None:
    environment = {name: os.environ[name] for name in os.environ if "NUM_THREADS" not in name}
    if wanted:
        environment["OMP_NUM_THREADS"] = wanted
    command = [sys.executable, "-W", "error::RuntimeWarning", "-c", LOADED]
    answer = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(answer.stdout.split()[-1]) == int(wanted or len(os.sched_getaffinity(0)))
