"""What all tests share: where data are, which tests run by default, and in how many processes."""

import os
import signal
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Before torch is imported. Tensors are tiny here, so that more threads only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Exported networks are kept from one session to the next, but not among those of the user.
os.environ["PEOPLE_TRACKER_CACHE"] = str(Path(tempfile.gettempdir()) / "people-tracker-tests")

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"
MAX_WORKERS = 4
"""Each worker imports torch and takes about 1 GB of memory."""
SLOW_LEFT_OUT = "slow tests were left out; --slow runs them too"

# A process ignores what nohup, or a shell that runs it in the background, ignores, and so do those
# that it starts. Tests are about signals that are heard.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Examples of Hypothesis: the same in each run, however long they take on a busy machine.
# Others are tried with `--hypothesis-profile random --hypothesis-seed N`.
settings.register_profile("random", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fixed", settings.get_profile("random"), derandomize=True)
settings.load_profile("fixed")


@pytest.fixture(scope="session")
def sample() -> Path:
    """Folder of the rendered clips with truth that ship with the repository."""
    return ROOT / "samples" / "plaza"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data that are not in the repository; without it the test is skipped."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared/data, which is not part of the repository")
    return SHARED


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the slow tests too")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Workers for `-n auto`: one more than there are cores for folders, none for files and tests.

    Tests of live cameras and pages mostly wait, and the additional worker computes meanwhile.
    """
    named = config.option.file_or_dir
    if named and not any(Path(name).is_dir() for name in named):
        return 0
    can_ask = hasattr(os, "sched_getaffinity")  # not on macOS
    n_cores = len(os.sched_getaffinity(0)) if can_ask else os.cpu_count() or 1
    return min(n_cores + 1, MAX_WORKERS)


def _leaves_out_slow(config: pytest.Config) -> bool:
    """Whether neither --slow, nor -m, nor the name of a test asks for slow tests."""
    names_a_test = any("::" in name for name in config.option.file_or_dir)
    return not (config.option.slow or config.option.markexpr or names_a_test)


def _put_long_files_first(items: list[pytest.Item]) -> None:
    """Sort files by their number of slow tests.

    Workers take whole files in this order, so that no long file is left for the end.
    """
    n_slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: n_slow[item.path], reverse=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    _put_long_files_first(items)
    if _leaves_out_slow(config):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skipif(not _has_cuda(), reason="needs a CUDA device"))
        if item.get_closest_marker("network") and "network" not in config.option.markexpr:
            item.add_marker(pytest.mark.skip(reason="downloads from the internet; add -m network"))


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if _leaves_out_slow(config):
        terminalreporter.write_line(SLOW_LEFT_OUT)
