"""Values in one file, without pickle: dataclasses, arrays, and collections of both.

The file is an .npz of two arrays, a JSON document and all arrays of the values one after the other,
so that nothing in it is ever executed, as a pickle's would be, and damage is found by the checksums
of the format. An object that is there several times is written once.
"""

import json
import math
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import IO, Any

import numpy as np

from models import files
from models.errors import one_line
from pipeline.records import Array

FAILURES = (
    *files.DAMAGED_ARCHIVE,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    OverflowError,
)
"""What reading a damaged file raises, besides ValueError."""

Kinds = Mapping[str, type]
"""Dataclasses that a file can hold, by name."""


def kinds(*types: type) -> Kinds:
    """Return dataclasses by name."""
    return {kind.__name__: kind for kind in types}


def write(
    file: IO[bytes], schema: str, value: Any, allowed: Kinds, facts: Mapping[str, str] | None = None
) -> None:
    """Write a value.

    Args:
        file: an empty file; after an error it is not whole.
        schema: what the value is, and the version of its form, such as state/1.
        value: of plain values, bytes, arrays, dataclasses, and lists, tuples, sets and mappings of
            them.
        allowed: all dataclasses in it.
        facts: what a reader may need before it takes the value.

    Raises:
        OSError: the file cannot be written.
        TypeError: the value holds anything else.
    """
    name = _name(schema)
    packer = _Packer(name, allowed)
    packed = packer.pack(value)
    document = {
        "schema": schema,
        **(facts or {}),
        name: packed,
        "objects": packer.objects,
        "arrays": [(array.dtype.str, array.shape) for array in packer.arrays],
    }
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    with zipfile.ZipFile(file, "w") as archive:
        _write_bytes(archive, "document", [text], len(text))
        n_bytes = sum(array.nbytes for array in packer.arrays)
        _write_bytes(archive, "data", (array.tobytes() for array in packer.arrays), n_bytes)


class Document:
    """A file that `write` wrote, before its value is made.

    Attributes:
        facts: see `write`.
    """

    def __init__(self, file: IO[bytes], schema: str) -> None:
        """Read a file.

        Args:
            file: the file.
            schema: that of the value.

        Raises:
            OSError: it cannot be read.
            ValueError: it is damaged, or of another schema.
        """
        self._name = _name(schema)
        try:
            with np.load(file, allow_pickle=False) as packed:
                self.facts: dict[str, Any] = json.loads(packed["document"].tobytes())
                blob = packed["data"]
            if self.facts["schema"] != schema:
                raise ValueError(f"its schema is {self.facts['schema']}")
            self._arrays = _arrays(self.facts["arrays"], blob)
        except FAILURES as error:
            raise ValueError(one_line(error)) from None

    def value(self, allowed: Kinds) -> Any:
        """Return the value.

        Args:
            allowed: all dataclasses in it.

        Raises:
            ValueError: it is damaged.
        """
        try:
            unpacker = _Unpacker(self.facts["objects"], self._arrays, allowed)
            return unpacker.unpack(self.facts[self._name])
        except FAILURES as error:
            raise ValueError(one_line(error)) from None


def _name(schema: str) -> str:
    return schema.partition("/")[0]


def _write_bytes(archive: zipfile.ZipFile, name: str, parts: Iterable[bytes], n_bytes: int) -> None:
    """Write bytes as numpy's savez would, but part by part."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (n_bytes,)}
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, header)
        for part in parts:
            member.write(part)


def _arrays(headers: list[Any], blob: Array) -> list[Array]:
    """All arrays; raises ValueError or TypeError where the file is damaged."""
    found = []
    start = 0
    for dtype, shape in headers:
        n_values = math.prod(shape)
        array = np.frombuffer(blob, dtype, n_values, start).reshape(shape)
        found.append(array.copy())
        start += array.nbytes
    return found


class _Packer:
    """Makes JSON of values.

    Attributes:
        objects: kind and fields of each object.
        arrays: all arrays.
    """

    def __init__(self, name: str, allowed: Kinds) -> None:
        self.objects: list[list[Any]] = []
        self.arrays: list[Array] = []
        self._name = name
        self._allowed = allowed
        self._numbers: dict[int, int] = {}

    def pack(self, value: Any) -> Any:
        """Return the JSON of a value; raises TypeError for kinds that the file may not hold."""
        if value is None or isinstance(value, bool | str | int):
            return value
        if isinstance(value, np.generic):
            return {"scalar": self._array(np.asarray(value))}
        if isinstance(value, float):
            return value if math.isfinite(value) else {"float": str(value)}
        if isinstance(value, np.ndarray):
            return {"array": self._array(value)}
        if is_dataclass(value) and type(value).__name__ in self._allowed:
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
        if isinstance(value, bytes):
            return {"bytes": self._array(np.frombuffer(value, np.uint8))}
        if isinstance(value, set | frozenset):
            return {type(value).__name__: [self.pack(each) for each in sorted(value)]}
        raise TypeError(f"a {self._name} has no {type(value).__name__}")

    def _array(self, value: Array) -> int:
        self.arrays.append(value)
        return len(self.arrays) - 1

    def _object(self, value: Any) -> int:
        if id(value) not in self._numbers:
            entry: list[Any] = [type(value).__name__]
            entry += [self.pack(getattr(value, each.name)) for each in fields(value)]
            self._numbers[id(value)] = len(self.objects)
            self.objects.append(entry)
        return self._numbers[id(value)]


class _Unpacker:
    """Makes values of what `_Packer` wrote; objects stand after those that they hold."""

    def __init__(self, objects: list[list[Any]], arrays: list[Array], allowed: Kinds) -> None:
        self._objects: list[Any] = []
        self._makers: dict[str, Callable[[Any], Any]] = {
            "float": float,
            "array": lambda number: arrays[number],
            "scalar": lambda number: arrays[number][()],
            "bytes": lambda number: arrays[number].tobytes(),
            "object": lambda number: self._objects[number],
            "mapping": self._mapping,
            "tuple": lambda values: tuple(self.unpack(values)),
            "set": lambda values: set(self.unpack(values)),
            "frozenset": lambda values: frozenset(self.unpack(values)),
        }
        for name, *values in objects:
            kind = allowed[name]
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
