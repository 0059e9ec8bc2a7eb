"""A run that was stopped goes on with the same people."""

import io
import re
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import LinkingConfig
from pipeline.errors import ConfigError, OutputError
from pipeline.live import state as states
from pipeline.live.journal import Last
from pipeline.live.state import CameraProgress, State
from pipeline.online import linker as online
from pipeline.online.events import Event, to_json_lines
from pipeline.online.linker import Engine, OnlineLinker, engine_of
from pipeline.records import Embedded
from pipeline.vectors import unit
from tests.pipeline.linking.test_linker import CAMERAS, RED, seen
from tests.pipeline.online.test_linker import (
    crowd,
    cutting,
    passers_by,
    poorly,
    until,
    with_crops,
    with_looks,
)
from tests.programs import running

NETWORK = "0" * 64
PROGRESS = {"a": CameraProgress(100, 7)}


def steps(embedded: Sequence[Embedded]) -> list[tuple[float, list[tuple[Embedded, bool]]]]:
    """Time of each step, and the tracklets that are added before it; open ones are provisional."""
    found = []
    waiting = sorted(embedded, key=lambda e: e.tracklet.first_s)
    now_s = waiting[0].tracklet.first_s
    while waiting:
        now_s += 2
        added = []
        for e in waiting:
            if e.tracklet.first_s > now_s:
                continue
            is_open = e.tracklet.last_s + 1.5 > now_s
            added.append((poorly(until(e, now_s)) if is_open else e, is_open))
        found.append((now_s, added))
        waiting = [e for e in waiting if e.tracklet.last_s + 1.5 > now_s]
    return found


def said_in(
    linking: OnlineLinker, todo: Sequence[tuple[float, list[tuple[Embedded, bool]]]]
) -> list[Event]:
    said = []
    for now_s, added in todo:
        for embedded, is_open in added:
            linking.add(embedded, provisional=is_open)
        said += linking.step(now_s)
    return said


def snapshot(linking: OnlineLinker) -> bytes:
    return states.to_bytes(State(0.0, linking.state(), PROGRESS), NETWORK)


def restored(path: Path, data: bytes, engine: Engine, forget_after_s: float) -> OnlineLinker:
    path.write_bytes(data)
    linking = OnlineLinker(engine, forget_after_s, keep_history=False)
    linking.restore(states.load(path, NETWORK).linker)
    return linking


def engine_that(cuts: bool) -> Engine:
    return cutting if cuts else engine_of(CAMERAS, LinkingConfig())


@pytest.mark.parametrize("cuts", [False, True])
@given(
    seed=st.integers(0, 10_000),
    forget_after_s=st.sampled_from([3.0, 10.0, 600.0]),
    share=st.floats(0, 1),
)
@settings(max_examples=6)
def test_a_restored_linker_says_what_one_that_was_never_stopped_says(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    forget_after_s: float,
    share: float,
    cuts: bool,
) -> None:
    path = tmp_path_factory.mktemp("state") / states.STATE
    todo = steps([with_looks(e) for e in crowd(seed, 14, 60)])
    n_before = round(share * len(todo))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(online, "SETTLED_S", 5.0)
        patch.setattr(online, "N_KEPT", 1)
        patch.setattr(online, "N_NEWEST", 1)
        going_on = OnlineLinker(engine_that(cuts), forget_after_s, keep_history=False)
        said_in(going_on, todo[:n_before])
        data = snapshot(going_on)
        later = restored(path, data, engine_that(cuts), forget_after_s)
        assert snapshot(later) == data
        for step in todo[n_before:]:
            said, again = said_in(going_on, [step]), said_in(later, [step])
            assert to_json_lines(again) == to_json_lines(said)
            assert again == said
            assert snapshot(later) == snapshot(going_on)


def test_what_was_learned_of_the_site_goes_on(tmp_path: Path) -> None:
    config = LinkingConfig(forget_after_s=150)
    engine = engine_of(CAMERAS, config)
    going_on = OnlineLinker(engine, 150, keep_history=False)
    embedded = passers_by(30)
    later = going_on
    for number in range(0, len(embedded), 3):
        if number == 60:
            later = restored(tmp_path / states.STATE, snapshot(going_on), engine, 150)
        for linking in {id(going_on): going_on, id(later): later}.values():
            for each in embedded[number : number + 3]:
                linking.add(each, provisional=False)
            linking.step(embedded[number + 2].tracklet.last_s + 1)
    assert later is not going_on
    site = later.linked().site
    assert site.travel.of("a", "b").n == 30
    assert site.travel == going_on.linked().site.travel
    assert later.linked().calibration.n_same == going_on.linked().calibration.n_same == 90


def test_who_was_in_view_at_the_stop_is_the_same_person_afterwards(tmp_path: Path) -> None:
    """Also where ids were said after the state was saved."""
    engine = engine_of(CAMERAS, LinkingConfig())
    linking = OnlineLinker(engine, 600, keep_history=False)
    crops = np.stack([RED] * 4)
    linking.add(with_crops(seen("a", 1, 0, 8), crops, 0.8), provisional=True)
    linking.step(8)
    (tmp_path / states.STATE).write_bytes(snapshot(linking))
    saved = states.load(tmp_path / states.STATE, NETWORK)
    later = OnlineLinker(engine, 600, keep_history=False)
    later.restore(states.resumed(saved, Last({}, {}, person_id=6)).linker)
    later.add(with_crops(seen("a", 7, 40, 48), crops, 0.8), provisional=True)
    stranger = unit(np.array([0.0, 0.0, 1.0, 0.2]))
    later.add(with_crops(seen("b", 7, 41, 48), np.stack([stranger] * 4), 0.8), provisional=True)
    said = [(e.kind, e.person_id, e.tracklet) for e in later.step(48)]
    assert said == [("seen", 1, "a/7@400"), ("appeared", 7, "b/7@410")]
    assert sorted(later.state().open) == [(40.0, "a", 7), (41.0, "b", 7)], "the first has ended"


def test_who_was_in_view_at_the_stop_and_never_comes_back_is_forgotten(tmp_path: Path) -> None:
    engine = engine_of(CAMERAS, LinkingConfig())
    linking = OnlineLinker(engine, 60, keep_history=False)
    linking.add(seen("a", 1, 0, 8, RED), provisional=True)
    linking.step(8)
    later = OnlineLinker(engine, 60, keep_history=False)
    state = State(8.0, linking.state(), PROGRESS)
    later.restore(states.resumed(state, Last({}, {}, 0)).linker)
    said = [*later.step(10), *later.step(100)]
    assert [(event.kind, event.person_id) for event in said] == [("forgotten", 1)]
    assert not later.state().window


def test_numbers_go_on_after_those_of_the_journal(tmp_path: Path) -> None:
    linking = OnlineLinker(engine_that(cuts=False), 600)
    said_in(linking, steps(crowd(0)))
    state = State(20.0, linking.state(), PROGRESS)
    last = Last({"a": 90, "b": 44}, {"a": 12, "b": 3}, person_id=99)
    found = states.resumed(state, last)
    assert found.cameras == {"a": CameraProgress(100, 13), "b": CameraProgress(45, 4)}
    assert found.linker.last_id == 99
    assert states.resumed(state, Last({}, {}, 0)).linker.last_id == state.linker.last_id > 1


def a_state(n_tracklets: int = 6) -> State:
    linking = OnlineLinker(engine_that(cuts=False), 600)
    said_in(linking, steps([with_looks(e) for e in crowd(3, n_tracklets)]))
    return State(20.0, linking.state(), PROGRESS)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    states.save(tmp_path / states.STATE, a_state(), NETWORK)
    return tmp_path / states.STATE


def refusal(path: Path, network: str = NETWORK) -> str:
    with pytest.raises(ConfigError) as raised:
        states.load(path, network)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(str(path))
    assert "--resume" in str(raised.value)
    return str(raised.value)


def test_a_state_is_read_as_it_was_written(saved: Path) -> None:
    found = states.load(saved, NETWORK)
    assert found.cameras == PROGRESS
    assert found.time_s == 20.0
    assert states.to_bytes(found, NETWORK) == states.to_bytes(a_state(), NETWORK)


def test_every_kind_of_damage_is_refused_with_what_to_do(saved: Path) -> None:
    data = saved.read_bytes()
    rng = np.random.default_rng(0)
    for n_bytes in (0, 1, 100, len(data) // 2, len(data) - 1):
        saved.write_bytes(data[:n_bytes])
        assert "is damaged, or no state of this program" in refusal(saved)
    n_refused = 0
    for place in rng.integers(0, len(data), 200).tolist():
        damaged = bytearray(data)
        damaged[place] ^= 0xFF
        saved.write_bytes(bytes(damaged))
        try:
            found = states.load(saved, NETWORK)
        except ConfigError as error:
            assert "\n" not in str(error)
            n_refused += 1
        else:  # in a field of the format that nobody reads
            assert states.to_bytes(found, NETWORK) == data
    assert n_refused > 150


@pytest.mark.parametrize(
    "document",
    [
        "[]",
        "{}",
        '{"schema": "state/2"}',
        '{"schema":"state/1","network_sha256":"NETWORK","arrays":[],"objects":[],"state":1}',
        '{"schema":"state/1","network_sha256":"NETWORK","arrays":[["O",[1]]],"objects":[],"state":1}',
        '{"schema":"state/1","network_sha256":"NETWORK","arrays":[],"objects":[["Path","x"]],'
        '"state":{"object":0}}',
        "[" * 100_000,
    ],
)
def test_what_is_no_state_is_refused(tmp_path: Path, document: str) -> None:
    file = io.BytesIO()
    text = document.replace("NETWORK", NETWORK)
    np.savez(file, document=np.frombuffer(text.encode(), np.uint8), data=np.zeros(8, np.uint8))
    path = tmp_path / states.STATE
    path.write_bytes(file.getvalue())
    assert "is damaged, or no state of this program" in refusal(path)


def test_a_state_of_another_network_is_refused(saved: Path) -> None:
    assert "is of another ReID network" in refusal(saved, "1" * 64)


def test_a_state_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "cannot be read (No such file or directory)" in refusal(tmp_path / states.STATE)


def test_a_state_that_cannot_be_written_leaves_the_one_before(saved: Path) -> None:
    before = saved.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))
    try:
        with pytest.raises(OutputError, match=r"state\.npz: cannot be written \(File too large\)"):
            states.save(saved, a_state(9), NETWORK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [states.STATE]


CHILD = """
import sys
from pathlib import Path
from tests.pipeline.live.test_state import NETWORK, a_state
from pipeline.live import state as states
state = a_state()
print("begun", flush=True)
while True:
    states.save(Path(sys.argv[1]), state, NETWORK)
"""


def test_a_kill_while_a_state_is_written_leaves_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / states.STATE
    with running([sys.executable, "-c", CHILD, path], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        while not path.exists():
            time.sleep(0.01)
        time.sleep(0.3)
        child.kill()
        child.communicate()
    assert states.load(path, NETWORK).cameras == PROGRESS


def test_kinds_that_no_state_has_are_a_bug_that_is_seen() -> None:
    state = State(0.0, OnlineLinker(engine_that(cuts=False), 1).state(), {"a": partial(int)})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match=re.escape("a state has no partial")):
        states.to_bytes(state, NETWORK)
