"""What a command prints may be closed, full or in ASCII: the command ends as it would, without a
traceback.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.programs import running
from tests.videos import write_video

EVALUATE = [sys.executable, "-m", "pipeline.evaluate"]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "Zürich-玄関.mp4", 5)


def shell(script: str, *arguments: str | Path, encoding: str = "") -> tuple[int, str]:
    """Run a line of bash, whose "$@" are the arguments; returns exit code and standard error."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if encoding:
        environment["PYTHONIOENCODING"] = encoding
    done = subprocess.run(
        ["bash", "-c", script, "bash", *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr + done.stdout


def command(video: Path, output: Path) -> list[str]:
    given = ["--videos", str(video), "--set", "detector.weights=hog", "--no-video"]
    return [sys.executable, "run_pipeline.py", *given, "--output", str(output)]


@pytest.mark.parametrize(
    "channel",
    [
        '"$@" >&-',
        '"$@" 2>&-',
        '"$@" <&- >&- 2>&-',
        '"$@" > /dev/full',
        '"$@" 2> /dev/full',
        '"$@" > /dev/full 2> /dev/full',
        'set -o pipefail; "$@" | true',
        'set -o pipefail; "$@" 2>&1 | head -c 1 > /dev/null',
    ],
)
def test_a_run_is_complete_whatever_happens_to_what_it_prints(
    video: Path, tmp_path: Path, channel: str
) -> None:
    code, said = shell(channel, *command(video, tmp_path / "out"))
    assert code == 0, said
    assert "Traceback" not in said and "Exception ignored" not in said
    manifest = json.loads((tmp_path / "out" / "run.json").read_text())
    assert "tracks.csv" in manifest["files"]
    for name in ("tracks.csv", "trajectories.json", "config.yaml"):
        assert "people tracker" not in (tmp_path / "out" / name).read_text()
    if channel == '"$@" > /dev/full':
        assert "warning: standard output cannot be written (No space left on device)" in said


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "ascii:strict"])
def test_a_terminal_that_cannot_show_a_name_shows_its_number(
    video: Path, tmp_path: Path, encoding: str
) -> None:
    given = command(video, tmp_path / "玄関")
    code, said = shell('"$@"', *given, encoding=encoding)
    assert code == 0, said
    assert "Traceback" not in said
    assert "\\u7384" in said


@pytest.mark.parametrize(
    ("channel", "expected"),
    [('"$@" > /dev/full', 2), ('set -o pipefail; "$@" | true', 0), ('"$@" >&-', 0)],
)
def test_a_result_that_cannot_be_printed_is_an_error(
    video: Path, tmp_path: Path, sample: Path, channel: str, expected: int
) -> None:
    truth = sample / "truth"
    code, said = shell(channel, *EVALUATE, truth, truth)
    assert code == expected, said
    assert "Traceback" not in said and "Exception ignored" not in said
    if expected:
        assert "error: standard output cannot be written (No space left on device)" in said


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc, to see what is loaded")
@pytest.mark.parametrize("loaded", ["pydantic_core", "numpy", "libtorch_cpu", "libtorch_python"])
def test_ctrl_c_while_libraries_are_loaded_is_one_line(
    video: Path, tmp_path: Path, loaded: str
) -> None:
    for attempt in range(10):  # on a busy machine the signal may come when the run has ended
        output = tmp_path / str(attempt)
        code, said = interrupted_when(loaded, command(video, output))
        if not (output / "run.json").exists():
            break
    assert code == 130, said
    assert said.startswith("interrupted") and said.count("\n") == 1


def interrupted_when(loaded: str, words: list[str]) -> tuple[int, str]:
    """Run a command that gets Ctrl-C when a library is loaded; returns code and standard error."""
    with running(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        maps = Path(f"/proc/{process.pid}/maps")
        while process.poll() is None and loaded not in maps.read_text():
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=300)
    return process.returncode, said


LITTLE_MEMORY = """
import resource, sys
import pipeline.run, pipeline.detect.hog, pipeline.cli
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {more}, resource.RLIM_INFINITY))
sys.exit(pipeline.cli.main(sys.argv[1:]))
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc, to see how much is used")
@pytest.mark.parametrize("more_mb", [64, 128])
def test_a_run_without_memory_says_so_in_one_line(tmp_path: Path, more_mb: int) -> None:
    video = write_video(tmp_path / "large.mp4", 3, size=(7680, 4320))
    given = command(video, tmp_path / "out")[2:]
    program = LITTLE_MEMORY.replace("{more}", str(more_mb * 2**20))
    code, said = shell('"$@"', sys.executable, "-c", program, *given, "--quiet")
    assert "Traceback" not in said
    # a damaged packet may ask for any memory, so that the decoder's lack of it is a warning
    assert (code, "error: " in said) == (2, True) or "packets were skipped" in said
