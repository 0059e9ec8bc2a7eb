"""YAML and JSON as strangers may write them: nested a million deep, with numbers that are none,
with keys given twice. Whatever is returned is plain and finite; all else is a ValueError.

The standard readers do not refuse these: they fail in ways of their own, fill the memory, or take
the last of two values.
"""

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

MAX_DEPTH = 50
MAX_YAML_VALUES = 100_000
"""Most values of a YAML document with all its aliases written out."""
MAX_INTEGER = 2**63
NO_DECIMAL = re.compile(r"[-+]?([0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?|0[0-9_]+)")
"""What YAML 1.1 reads in base 60 or 8, and people mean as a time or a name."""
TOO_DEEP = f"it is nested more than {MAX_DEPTH} deep"


class _Loader(yaml.SafeLoader):
    """Refuses keys given twice and deep nesting; 190:20:30 and 010 are text, not 685230 and 8."""

    _depth = 0

    def compose_mapping_node(self, anchor: Any) -> Any:
        with self._deeper():
            node = super().compose_mapping_node(anchor)
        seen: set[tuple[str, str]] = set()
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge" and isinstance(value, yaml.SequenceNode):
                raise ValueError("<< takes one mapping, not a list")
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    line = key.start_mark.line + 1
                    raise ValueError(f"{key.value} is given twice, again in line {line}")
                seen.add((key.tag, key.value))
        return node

    def compose_sequence_node(self, anchor: Any) -> Any:
        with self._deeper():
            return super().compose_sequence_node(anchor)

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError(TOO_DEEP)
        yield
        self._depth -= 1


def _number_or_text(loader: _Loader, node: yaml.ScalarNode) -> Any:
    text = str(node.value)
    if NO_DECIMAL.fullmatch(text):
        return text
    build = loader.construct_yaml_int if node.tag.endswith("int") else loader.construct_yaml_float
    return build(node)


for _tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float"):
    _Loader.add_constructor(_tag, _number_or_text)


def from_yaml(text: str) -> Any:
    """Read one YAML document of plain values.

    Raises:
        ValueError: It is not valid, nested too deeply, too large with its aliases written out, has
            a key twice, or an integer that nothing here can be.
    """
    try:
        value = yaml.load(text, _Loader)
    except (yaml.YAMLError, TypeError, AttributeError, LookupError, OverflowError) as error:
        raise ValueError(" ".join(str(error).split())) from None
    for n_values, item in enumerate(_values(value), start=1):
        if n_values > MAX_YAML_VALUES:
            raise ValueError(f"it holds more than {MAX_YAML_VALUES} values")
        _refuse_huge(item)
    return value


def from_json(text: str) -> Any:
    """Read a JSON document whose numbers are finite.

    Raises:
        ValueError: It is not valid, nested too deeply, or holds a number that is not finite.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    for item in _values(value):
        _refuse_huge(item)
        if isinstance(item, float) and not math.isfinite(item):
            raise ValueError("it holds a number that is too large")
    return value


def _values(document: Any) -> Iterator[Any]:
    """All values and keys, aliases as often as they stand there; raises ValueError."""
    open_values = [iter([document])]
    while open_values:
        for value in open_values[-1]:
            yield value
            if isinstance(value, dict):
                yield from value
                open_values.append(iter(value.values()))
                break
            if isinstance(value, list):
                open_values.append(iter(value))
                break
        else:
            open_values.pop()
        if len(open_values) > MAX_DEPTH + 1:
            raise ValueError(TOO_DEEP)


def _refuse_huge(value: Any) -> None:
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise ValueError(f"an integer of {value.bit_length()} bits is too large")


def _refuse_constant(constant: str) -> float:
    raise ValueError(f"{constant} is no number")
