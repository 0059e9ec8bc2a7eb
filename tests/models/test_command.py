"""The edge of a command."""

from argparse import Namespace

import pytest

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


def test_a_fault_of_the_program_is_not_hidden() -> None:
    with pytest.raises(KeyError):
        command.run(raising(KeyError("x")), Namespace())
