"""What a live run needs to go on after a stop with the same people: saved to one file as it runs.

It holds the state of the linker (the window, people with where they were, what was learned of the
site) and how far each camera came. The file is an .npz of two arrays, a JSON document and all
arrays of it one after the other, so that nothing in it is ever executed, as a pickle's would be,
and damage is found by the checksums of the format. It takes the place of the one before as a whole.

Between the last state and a kill, up to `live.flush_s`, people and rows are known to the journal
alone; `resumed` skips their numbers, so that none is used twice.
"""

import io
import json
import math
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from models import files
from models.errors import one_line
from models.files import failure
from pipeline.errors import ConfigError, OutputError
from pipeline.linking.learning.clocks import Offset
from pipeline.linking.learning.homographies import Homography
from pipeline.linking.learning.lessons import Lessons, Taught
from pipeline.linking.learning.similarity import Sampled, Samples
from pipeline.linking.learning.travel_times import Observed, Transitions, TravelTimes
from pipeline.live.journal import Last, replace_file
from pipeline.online.identities import Known, Spans
from pipeline.online.linker import LinkerState
from pipeline.records import Array, Embedded, Tracklet

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


KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
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
}
"""All that a file can hold, beside plain values, arrays, and lists, tuples, sets and mappings."""


def to_bytes(state: State, network_sha256: str) -> bytes:
    """Return the file of a state.

    Args:
        state: of a run; it may go on when this returns.
        network_sha256: hash of the ReID network, whose embeddings are in the state.
    """
    packer = _Packer()
    people = {}
    for person_id, known in state.linker.people.items():
        past = {camera: list(spans) for camera, spans in known.past.items()}
        people[person_id] = _Person(known.window, past)
    linker: Any = replace(state.linker, people=people)  # type: ignore[arg-type]
    document = {
        "schema": SCHEMA,
        "network_sha256": network_sha256,
        "state": packer.pack(replace(state, linker=linker)),
        "objects": packer.objects,
        "arrays": packer.headers,
    }
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    file = io.BytesIO()
    np.savez(
        file,
        document=np.frombuffer(text.encode(), np.uint8),
        data=np.frombuffer(b"".join(packer.data), np.uint8),
    )
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
        document, arrays = _read(data)
        if document["network_sha256"] != network_sha256:
            raise ConfigError(
                f"{path}: is of another ReID network, whose embeddings cannot be compared; set"
                f" reid.weights to that one, or {cure}"
            )
        state = _Unpacker(document["objects"], arrays).unpack(document["state"])
        if not isinstance(state, State):
            raise ValueError("it holds no state")
        return replace(state, linker=_with_people(state.linker))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error}); {cure}") from None
    except (
        zipfile.BadZipFile,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        EOFError,
        RecursionError,
        NotImplementedError,
    ) as error:
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


def _read(data: bytes) -> tuple[dict[str, Any], list[Array]]:
    """Document and arrays of a file; raises errors of many kinds where it is damaged."""
    with np.load(io.BytesIO(data), allow_pickle=False) as packed:
        document = json.loads(packed["document"].tobytes())
        blob = packed["data"].tobytes()
    if document["schema"] != SCHEMA:
        raise ValueError(f"its schema is {document['schema']}")
    arrays = []
    start = 0
    for dtype, shape in document["arrays"]:
        n_values = math.prod(shape)
        array = np.frombuffer(blob, dtype, n_values, start).reshape(shape)
        arrays.append(array.copy())
        start += array.nbytes
    return document, arrays


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


class _Packer:
    """Makes JSON of values. An object that is there several times is written once.

    Attributes:
        objects: kind and fields of each object.
        headers: dtype and shape of each array.
        data: bytes of each array.
    """

    def __init__(self) -> None:
        self.objects: list[list[Any]] = []
        self.headers: list[tuple[str, tuple[int, ...]]] = []
        self.data: list[bytes] = []
        self._numbers: dict[int, int] = {}

    def pack(self, value: Any) -> Any:
        """Return the JSON of a value; raises TypeError for kinds that no state has."""
        if value is None or isinstance(value, bool | str | int):
            return value
        if isinstance(value, np.generic):
            return {"scalar": self._array(np.asarray(value))}
        if isinstance(value, float):
            return value if math.isfinite(value) else {"float": str(value)}
        if isinstance(value, np.ndarray):
            return {"array": self._array(value)}
        if is_dataclass(value) and type(value).__name__ in KINDS:
            return {"object": self._object(value)}
        return self._collection(value)

    def _collection(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.pack(each) for each in value]
        if isinstance(value, Mapping):
            pairs = [[self.pack(key), self.pack(each)] for key, each in value.items()]
            return {"mapping": pairs}
        if isinstance(value, tuple):
            return {"tuple": [self.pack(each) for each in value]}
        if isinstance(value, set | frozenset):
            return {type(value).__name__: [self.pack(each) for each in sorted(value)]}
        raise TypeError(f"a state has no {type(value).__name__}")

    def _array(self, value: Array) -> int:
        self.headers.append((value.dtype.str, value.shape))
        self.data.append(value.tobytes())
        return len(self.headers) - 1

    def _object(self, value: Any) -> int:
        if id(value) not in self._numbers:
            entry: list[Any] = [type(value).__name__]
            entry += [self.pack(getattr(value, each.name)) for each in fields(value)]
            self._numbers[id(value)] = len(self.objects)
            self.objects.append(entry)
        return self._numbers[id(value)]


class _Unpacker:
    """Makes values of what `_Packer` wrote; objects stand after those that they hold."""

    def __init__(self, objects: list[list[Any]], arrays: list[Array]) -> None:
        self._objects: list[Any] = []
        self._makers: dict[str, Callable[[Any], Any]] = {
            "float": float,
            "array": lambda number: arrays[number],
            "scalar": lambda number: arrays[number][()],
            "object": lambda number: self._objects[number],
            "mapping": self._mapping,
            "tuple": lambda values: tuple(self.unpack(values)),
            "set": lambda values: set(self.unpack(values)),
            "frozenset": lambda values: frozenset(self.unpack(values)),
        }
        for name, *values in objects:
            kind = KINDS[name]
            names = [each.name for each in fields(kind)]
            unpacked = [self.unpack(value) for value in values]
            self._objects.append(kind(**dict(zip(names, unpacked, strict=True))))

    def unpack(self, packed: Any) -> Any:
        """Return a value; raises KeyError, IndexError, TypeError or ValueError."""
        if isinstance(packed, list):
            return [self.unpack(each) for each in packed]
        if not isinstance(packed, dict):
            return packed
        ((name, inner),) = packed.items()
        return self._makers[name](inner)

    def _mapping(self, pairs: list[list[Any]]) -> dict[Any, Any]:
        return {self.unpack(key): self.unpack(value) for key, value in pairs}
