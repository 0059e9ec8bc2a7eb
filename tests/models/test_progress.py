"""How far a long job is, with and without a terminal."""

import os
import pty
import subprocess
import sys
import termios
from types import SimpleNamespace

import pytest

from models import progress
from models.progress import Progress
from tests.conftest import ROOT


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a line come whenever something is done."""
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that shows `now_s` until a test moves it on."""
    shown = SimpleNamespace(now_s=1000.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: shown.now_s))
    return shown


@pytest.mark.usefixtures("no_pause", "clock")
def test_without_a_terminal_a_line_is_printed_when_the_time_for_it_has_come(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress("training", "batches", total=40, done=10) as shown:
        shown.at(20, "epoch 1")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "training: epoch 1, 20/40 batches, 00:00 so far, about 00:00 left\n"


@pytest.mark.usefixtures("no_pause")
def test_the_time_left_is_that_of_what_was_done_here(
    capsys: pytest.CaptureFixture[str], clock: SimpleNamespace
) -> None:
    shown = Progress("training", "batches", total=40, done=10)
    clock.now_s += 100.0
    shown.at(20)
    assert "20/40 batches, 01:40 so far, about 03:20 left\n" in capsys.readouterr().err
    shown.close()


def test_a_job_of_less_than_a_minute_prints_no_line_and_quiet_never_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, clock: SimpleNamespace
) -> None:
    with Progress("features", "samples", total=4) as shown:
        clock.now_s += 59.0
        shown.at(2)
        shown.write("epoch 0")
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with Progress("features", "samples", total=4, quiet=True) as shown:
        shown.at(2)
    assert capsys.readouterr() == ("epoch 0\n", "")


@pytest.mark.parametrize("size", [(24, 100), (0, 0)], ids=["usual", "does not tell its size"])
def test_on_a_terminal_a_bar_has_the_time_left_and_lines_go_above_it(size: tuple[int, int]) -> None:
    code = (
        "import itertools, tqdm.std\n"
        "from models.progress import Progress\n"
        "now_s = itertools.count(step=2.0)\n"
        "tqdm.std.time = lambda: next(now_s)\n"
        "with Progress('training', 'batches', 4) as shown:\n"
        "    for i in range(4):\n"
        "        shown.at(i + 1, f'epoch {i}')\n"
        "    shown.write('a line')\n"
    )
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, size)
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=theirs, stderr=theirs, close_fds=True
    )
    os.close(theirs)
    seen = b""
    try:
        while piece := os.read(ours, 4096):
            seen += piece
    except OSError:  # Linux: the other end is closed
        pass
    os.close(ours)
    assert process.wait(timeout=300) == 0
    text = seen.decode()
    assert "training:" in text and "/4 [" in text and "<00:00" in text and "epoch " in text
    assert " batches/s, epoch " in text and "s/ batches" not in text
    assert "a line\r\n" in text
