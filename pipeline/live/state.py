"""What a live run needs to go on after a stop with the same people: saved to one file as it runs.

It holds the state of the linker (the window, people with where they were, what was learned of the
site) and how far each camera came, in the form of `pipeline.packed`. It takes the place of the one
before as a whole.

Between the last state and a kill, up to `live.flush_s`, people and rows are known to the journal
alone; `resumed` skips their numbers, so that none is used twice.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models import files
from models.errors import one_line
from models.files import failure
from pipeline import packed
from pipeline.errors import ConfigError, OutputError
from pipeline.linking.learning.clocks import Offset
from pipeline.linking.learning.homographies import Homography
from pipeline.linking.learning.lessons import Lessons, Taught
from pipeline.linking.learning.similarity import Sampled, Samples
from pipeline.linking.learning.travel_times import Observed, Transitions, TravelTimes
from pipeline.live.journal import Last, replace_file
from pipeline.online.identities import Known, Spans
from pipeline.online.linker import LinkerState
from pipeline.records import Embedded, Tracklet

STATE = "state.npz"
SCHEMA = "state/1"
MAX_BYTES = 4_000_000_000


@dataclass(frozen=True, slots=True)
class CameraProgress:
    """How far a camera came: numbers that its next frame and its next track get at least."""

    next_frame: int
    next_track_id: int


@dataclass(frozen=True, slots=True)
class State:
    """A run at one moment.

    Attributes:
        time_s: of the last step of linking, on the clock of the run.
        linker: see `OnlineLinker.state`.
        cameras: by name.
    """

    time_s: float
    linker: LinkerState
    cameras: Mapping[str, CameraProgress]


@dataclass(frozen=True, slots=True)
class _Person:
    """`Known`, with the stretches of each camera as pairs of start and end, seconds."""

    window: dict[Any, Tracklet]
    past: dict[str, list[tuple[float, float]]]


KINDS = packed.kinds(
    State,
    CameraProgress,
    LinkerState,
    _Person,
    Embedded,
    Tracklet,
    Lessons,
    Taught,
    Samples,
    Sampled,
    Observed,
    TravelTimes,
    Transitions,
    Homography,
    Offset,
)
"""All that a file can hold, beside plain values, arrays, and lists, tuples, sets and mappings."""


def to_bytes(state: State, network_sha256: str) -> bytes:
    """Return the file of a state.

    Args:
        state: of a run; it may go on when this returns.
        network_sha256: hash of the ReID network, whose embeddings are in the state.
    """
    people = {}
    for person_id, known in state.linker.people.items():
        past = {camera: list(spans) for camera, spans in known.past.items()}
        people[person_id] = _Person(known.window, past)
    linker: Any = replace(state.linker, people=people)  # type: ignore[arg-type]
    facts = {"network_sha256": network_sha256}
    file = io.BytesIO()
    packed.write(file, SCHEMA, replace(state, linker=linker), KINDS, facts)
    return file.getvalue()


def save(path: Path, state: State, network_sha256: str) -> None:
    """Write a state, in the place of the one before; see `to_bytes`.

    Raises:
        OutputError: it cannot be written; the one before is still there.
    """
    try:
        replace_file(path, to_bytes(state, network_sha256))
    except OSError as error:
        raise OutputError(f"{path}: {failure(error)}") from None


def load(path: Path, network_sha256: str) -> State:
    """Read a state.

    Args:
        path: file.
        network_sha256: hash of the ReID network of this run.

    Raises:
        ConfigError: there is none, it is damaged, or it is of another network.
    """
    cure = (
        "leave out --resume and give another --output; `python -m pipeline.live.merge"
        f" {path.parent}` makes the results of what was recorded"
    )
    try:
        data = files.read_bytes(path, MAX_BYTES)
        document = packed.Document(io.BytesIO(data), SCHEMA)
        if document.facts["network_sha256"] != network_sha256:
            raise ConfigError(
                f"{path}: is of another ReID network, whose embeddings cannot be compared; set"
                f" reid.weights to that one, or {cure}"
            )
        state = document.value(KINDS)
        if not isinstance(state, State):
            raise ValueError("it holds no state")
        return replace(state, linker=_with_people(state.linker))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error}); {cure}") from None
    except (ValueError, *packed.FAILURES) as error:
        raise ConfigError(
            f"{path}: is damaged, or no state of this program ({one_line(error)}); {cure}"
        ) from None


def resumed(state: State, last: Last) -> State:
    """Return the state that a run goes on from when the program has been stopped.

    Numbers go on after the highest ones of the journal. What was in view is over: the tracks that
    were open have ended with the tracker that followed them, and nobody would ever close them.

    Args:
        state: the last one that was saved.
        last: see `journal.last`.
    """
    cameras = {}
    for camera in [*state.cameras, *sorted(set(last.frames) - set(state.cameras))]:
        known = state.cameras.get(camera, CameraProgress(0, 1))
        next_frame = max(known.next_frame, last.frames.get(camera, -1) + 1)
        next_track_id = max(known.next_track_id, last.track_ids.get(camera, 0) + 1)
        cameras[camera] = CameraProgress(next_frame, next_track_id)
    linker = replace(
        state.linker,
        closing=state.linker.closing | state.linker.open,
        last_id=max(state.linker.last_id, last.person_id),
    )
    return replace(state, cameras=cameras, linker=linker)


def _with_people(state: LinkerState) -> LinkerState:
    people = {}
    for person_id, person in state.people.items():
        known = Known(person.window)
        for camera, stretches in person.past.items():
            known.past[camera] = Spans()
            for start_s, end_s in stretches:
                known.past[camera].add(start_s, end_s)
        people[person_id] = known
    return replace(state, people=people)
