"""Signals that ask a command to stop at a good place."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from models.interrupts import SIGNALS, Interrupts
from tests.programs import running

STOPPING = """
import sys, time
from models.interrupts import Interrupts
with Interrupts(work="stopping") as interrupts:
    print("ready", flush=True)
    stopped = interrupts["work"].wait(300)
print("stopped" if stopped else "finished", flush=True)
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_stops_the_next_stage_and_then_the_command(number: int) -> None:
    before = {each: signal.getsignal(each) for each in SIGNALS}
    with pytest.raises(KeyboardInterrupt), Interrupts(reading="", drawing="") as interrupts:
        signal.raise_signal(number)
        assert interrupts["reading"].is_set() and not interrupts["drawing"].is_set()
        signal.raise_signal(signal.SIGINT)
        assert interrupts["drawing"].is_set()
        signal.raise_signal(number)
    assert {each: signal.getsignal(each) for each in SIGNALS} == before


def test_nohup_keeps_its_meaning() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts(reading="") as interrupts:
            signal.raise_signal(signal.SIGHUP)
            assert not interrupts["reading"].is_set()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_outside_the_main_thread_only_the_events_work() -> None:
    before = {each: signal.getsignal(each) for each in SIGNALS}

    def work() -> None:
        with Interrupts(reading=""):
            assert {each: signal.getsignal(each) for each in SIGNALS} == before

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_a_terminal_that_is_closed_takes_no_notice_and_breaks_nothing() -> None:
    read_end, write_end = os.pipe()
    words = [sys.executable, "-c", STOPPING]
    with running(words, stdout=subprocess.PIPE, stderr=write_end) as process:
        os.close(write_end)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.close(read_end)
        process.send_signal(signal.SIGHUP)
        said, _ = process.communicate(timeout=300)
    assert (process.returncode, said) == (0, "stopped\n")
