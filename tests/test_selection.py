"""Which tests a command selects, as CONTRIBUTING.md says."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT, SLOW_LEFT_OUT

pytestmark = pytest.mark.slow

FILE = "tests/test_install.py"
SLOW = f"{FILE}::test_all_data_files_of_the_packages_are_installed"
FAST = f"{FILE}::test_requirements_dev_is_the_requirements_and_the_extras"


def collected(*arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_slow_tests_are_left_out_by_default_and_the_summary_says_so() -> None:
    printed = collected(FILE)
    assert FAST in printed
    assert SLOW not in printed
    assert SLOW_LEFT_OUT in printed


@pytest.mark.parametrize("arguments", [("--slow", FILE), ("-m", "slow", FILE), (SLOW,)])
def test_slow_tests_run_where_they_are_asked_for(arguments: tuple[str, ...]) -> None:
    printed = collected(*arguments)
    assert SLOW in printed
    assert SLOW_LEFT_OUT not in printed


def test_an_unknown_mark_is_an_error(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("marks")
    path = folder / "test_mark.py"
    path.write_text("import pytest\n\n\n@pytest.mark.slw\ndef test() -> None:\n    pass\n")
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-n", "0"]
    done = subprocess.run(
        [*command, "--rootdir", str(folder), str(path)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "'slw' not found in `markers`" in done.stdout
