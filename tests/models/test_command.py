"""The edge of a command."""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models import command
from models.errors import InputError


def raising(error: BaseException) -> object:
    def run(parsed: Namespace) -> None:
        raise error

    return run


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1)])
def test_the_exit_code_is_that_of_the_command(returned: int | None, code: int) -> None:
    assert command.run(lambda parsed: returned, Namespace()) == code


def test_an_error_in_the_input_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(raising(InputError("a.mp4: no such file")), Namespace()) == 2
    assert capsys.readouterr().err == "error: a.mp4: no such file\n"


def test_an_interrupt_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    again = "interrupted; run it again"
    assert command.run(raising(KeyboardInterrupt()), Namespace(), interrupted=again) == 130
    assert capsys.readouterr().err == "interrupted; run it again\n"


@pytest.mark.parametrize(
    "allocate",
    [
        lambda: np.ones(2**50),
        lambda: torch.ones(2**50),
        lambda: cv2.resize(np.ones((2, 2)), (2**24, 2**24)),
        lambda: "x" * 2**60,
    ],
)
def test_no_memory_is_one_line(
    capsys: pytest.CaptureFixture[str], allocate: Callable[[], object]
) -> None:
    assert command.run(lambda parsed: bool(allocate()) and None, Namespace()) == 2
    assert capsys.readouterr().err.startswith("error: out of memory; free some")


def test_a_file_that_cannot_be_used_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def read(parsed: Namespace) -> None:
        (tmp_path / "gone.txt").read_text()

    assert command.run(read, Namespace()) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/gone.txt: No such file or directory\n"


def test_a_fault_of_the_program_is_not_hidden() -> None:
    with pytest.raises(KeyError):
        command.run(raising(KeyError("x")), Namespace())


def test_an_unknown_argument_is_told_without_its_password(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        command.Parser(prog="tracker").parse_args(["rtsp://me:secret@cam/x"])
    printed = capsys.readouterr().err
    assert "unrecognized arguments: rtsp://***@cam/x" in printed
    assert "secret" not in printed


def test_an_address_that_cannot_be_opened_is_told_without_its_password(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = ConnectionRefusedError(111, "Connection refused", "rtsp://me:secret@cam/x?token=secret")
    assert command.run(raising(error), Namespace()) == 2
    printed = capsys.readouterr().err
    assert printed == "error: rtsp://***@cam/x?token=***: Connection refused\n"
