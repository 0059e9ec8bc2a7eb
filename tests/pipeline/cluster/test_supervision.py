"""Workers on a real cluster of this machine that are killed, hang, fail, and are started again."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest

from pipeline.cluster import connection, supervision
from pipeline.cluster.groups import CameraGroup
from pipeline.cluster.supervision import (
    Answered,
    Event,
    Lost,
    Started,
    SupervisedWorker,
    Supervisor,
    Waiting,
)
from pipeline.config import GroupConfig, RayConfig
from pipeline.errors import ClusterError, SourceError
from tests.pipeline.cluster.machines import kill

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
pytest.importorskip("ray", reason="needs the package ray (pip install 'ray>=2.50,<3')")

LIMIT_S = 240.0
"""Longest wait for a worker, which starts within seconds on an idle machine."""
GROUP = CameraGroup("north", ("cam1", "cam2"), GroupConfig(num_cpus=0))


class Adder(SupervisedWorker):
    """Counts on from a number."""

    def __init__(self, first: int) -> None:
        super().__init__(first, has_cameras=True)

    def next(self) -> int:
        self._job += 1
        return int(self._job)

    def fail(self) -> None:
        raise SourceError("cam1.mp4: is gone")

    def end(self) -> None:
        os._exit(1)


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """A cluster of this machine, as a run starts it where nothing is set up."""
    with connection.connected(RayConfig()) as is_own:
        assert is_own
        yield


def supervised(
    first: int = 0, hang_s: float = 10.0, max_losses: int = 3, n_spares: int = 0
) -> tuple[Supervisor, list[int]]:
    """A worker that has started, and the numbers that its group has come to."""
    reached = [first]

    def make(group: CameraGroup) -> tuple[type[Adder], Sequence[int]]:
        return Adder, (reached[-1],)

    supervisor = Supervisor([GROUP], make, LIMIT_S, hang_s, max_losses, n_spares)
    supervisor.start()
    assert isinstance(next_event(supervisor), Started)
    return supervisor, reached


def all_cpus() -> GroupConfig:
    """What leaves no room for another worker."""
    return GroupConfig(num_cpus=sum(node.resources["CPU"] for node in connection.nodes()))


def next_event(supervisor: Supervisor) -> Event:
    """Wait for something to happen; that a worker waits for a place depends on the machine."""
    until_s = time.monotonic() + LIMIT_S
    while time.monotonic() < until_s:
        events = supervisor.poll(0.2)
        if told := [event for event in events if not isinstance(event, Waiting)]:
            (event,) = told
            return event
    raise AssertionError("nothing happened")


def ask(supervisor: Supervisor) -> int:
    supervisor.ask("north", "next")
    event = next_event(supervisor)
    assert isinstance(event, Answered)
    return int(event.answer)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_is_killed_or_hangs_goes_on_in_another_process(number: int) -> None:
    supervisor, reached = supervised(hang_s=1.5)
    with closing(supervisor):
        reached.append(ask(supervisor))
        before = supervisor.places["north"]
        os.kill(before.pid, number)
        supervisor.ask("north", "next")
        lost = next_event(supervisor)
        assert isinstance(lost, Lost)
        assert lost.place == before
        again = next_event(supervisor)
        assert isinstance(again, Started)
        assert again.n_losses == 1
        assert again.place.pid != before.pid
        assert ask(supervisor) == reached[-1] + 1
    kill(before.pid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_spare_worker_takes_over_what_a_lost_one_was_made_of(number: int) -> None:
    supervisor, reached = supervised(first=40, hang_s=1.5, n_spares=1)
    with closing(supervisor):
        (spare,) = supervisor._spares
        while spare.place is None:
            assert supervisor.poll(0.1) == []
        expected = spare.place
        reached.append(ask(supervisor))
        before = supervisor.places["north"]
        os.kill(before.pid, number)
        supervisor.ask("north", "next")
        assert isinstance(next_event(supervisor), Lost)
        again = next_event(supervisor)
        assert isinstance(again, Started)
        assert again.place == expected
        assert ask(supervisor) == reached[-1] + 1
        while spare.place is None:
            assert supervisor.poll(0.1) == []
        assert spare.place.pid != expected.pid, "there is another spare one"
    kill(before.pid)


def test_workers_do_not_give_way_to_other_programs() -> None:
    supervisor, _ = supervised()
    with closing(supervisor):
        pid = supervisor.places["north"].pid
        own = os.getpriority(os.PRIO_PROCESS, 0)
        assert os.getpriority(os.PRIO_PROCESS, pid) <= own, "a larger one gives way"


def test_a_spare_worker_without_a_place_is_told_once() -> None:
    groups = [CameraGroup("first", ("cam1",), all_cpus())]
    supervisor = Supervisor(groups, lambda group: (Adder, (0,)), LIMIT_S, n_spares=1)
    with closing(supervisor):
        supervisor.start()
        assert isinstance(next_event(supervisor), Started)
        supervisor.poll(0.1)
        (spare,) = supervisor._spares
        spare.since_s -= supervision.TELL_AFTER_S  # as if it had waited for so long
        told: list[str] = []
        while not told:
            assert supervisor.poll(0.1) == []
            told += supervisor.take_warnings()
        assert told[0].startswith("a spare worker has no place: it waits for ")
        supervisor.poll(0.1)
        assert supervisor.take_warnings() == []


def test_who_never_gives_up_waits_longer_from_loss_to_loss(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervision, "RETRY_AFTER_S", (0.0, 2.0))
    supervisor, _ = supervised(max_losses=0)
    waits_s = []
    with closing(supervisor):
        for _ in range(2):
            asked_s = time.monotonic()  # it is lost later
            supervisor.ask("north", "end")
            assert isinstance(next_event(supervisor), Lost)
            assert isinstance(next_event(supervisor), Started)
            waits_s.append(time.monotonic() - asked_s)
    assert waits_s[1] > 2.0


def test_an_error_of_a_worker_is_raised_as_it_was_there() -> None:
    supervisor, _ = supervised()
    with closing(supervisor):
        supervisor.ask("north", "fail")
        with pytest.raises(SourceError, match=r"^cam1.mp4: is gone$"):
            next_event(supervisor)


def test_a_worker_that_is_lost_again_and_again_is_given_up_in_one_line() -> None:
    supervisor, _ = supervised()
    with closing(supervisor):
        for _ in range(2):
            supervisor.ask("north", "end")
            assert isinstance(next_event(supervisor), Lost)
            assert isinstance(next_event(supervisor), Started)
        supervisor.progressed("north")
        for _ in range(2):
            supervisor.ask("north", "end")
            assert isinstance(next_event(supervisor), Lost)
            assert isinstance(next_event(supervisor), Started)
        supervisor.ask("north", "end")
        with pytest.raises(ClusterError) as caught:
            next_event(supervisor)
    assert str(caught.value).startswith(
        "the worker of north (cam1, cam2) was lost 3 times without progress, at last on "
    )


def test_a_cluster_that_is_too_small_is_told_with_what_is_missing() -> None:
    needs = GroupConfig(num_cpus=1000)
    with pytest.raises(ClusterError, match=r"needs 1000 CPU, which no machine of the cluster has"):
        connection.refuse_too_small([CameraGroup("big", ("a",), needs)], at_once=False)
    n_cpus = sum(int(node.resources["CPU"]) for node in connection.nodes())
    many = [CameraGroup(str(i), (str(i),), GroupConfig()) for i in range(n_cpus + 3)]
    connection.refuse_too_small(many, at_once=False)
    told = f"too small for {n_cpus + 3} workers: 3 find no room"
    with pytest.raises(ClusterError, match=told):
        connection.refuse_too_small(many, at_once=True)


def test_a_worker_may_wait_for_long_until_another_one_has_ended() -> None:
    groups = [CameraGroup(name, (name,), all_cpus()) for name in ("first", "second")]
    supervisor = Supervisor(groups, lambda group: (Adder, (0,)), LIMIT_S)
    with closing(supervisor):
        supervisor.start()
        started = next_event(supervisor)
        assert isinstance(started, Started)
        (waiting,) = [post for post in supervisor._posts.values() if post.place is None]
        waiting.since_s -= 2 * LIMIT_S  # as if it had waited for so long
        for _ in range(5):
            assert all(isinstance(event, Waiting) for event in supervisor.poll(0.1))
        supervisor.finish(started.group)
        again = next_event(supervisor)
        assert isinstance(again, Started)
        assert again.group != started.group
