"""Hostile YAML and JSON: what is read is plain, finite and small, and all else is one error."""

import json

import pytest

from models import documents

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 45))
MERGES = "a0: &a0 {k: 1}\n" + "".join(
    f"a{i}: &a{i}\n  <<: [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 45)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 100_000, "nested more than 50 deep"),
        ("[" * 100_000 + "]" * 100_000, "nested more than 50 deep"),
        ("{a: " * 60 + "1" + "}" * 60, "nested more than 50 deep"),
        ("".join(" " * i + "a:\n" for i in range(60)), "nested more than 50 deep"),
        ("a: &a [*a]", "nested more than 50 deep"),
        ("a: &a {b: *a}", "nested more than 50 deep"),
        (BOMB, "it holds more than 100000 values"),
        (MERGES, "<< takes one mapping"),
        ("a: 1\nb: 2\na: 3", "a is given twice.* line 3"),
        ("x: {a: 1, a: 1}", "a is given twice, again in line 1"),
        ("0x" + "f" * 9000, "an integer of 36000 bits"),
        ("? 0x" + "f" * 9000 + "\n: 1", "an integer of 36000 bits"),
        ("9" * 5000, "4300 digits"),
        ("a: 2024-13-01", "month must be in 1..12"),
        ("a: [1", "expected ',' or ']'"),
        ("{[1, 2]: 3}", "unhashable"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: !!int x", "invalid literal"),
        ("a: !!float [1]", "scalar node"),
        ("a: *unknown", "undefined alias"),
        ("a: 1\n---\nb: 1", "single document"),
        ("a: \x00", "unacceptable character"),
    ],
)
def test_hostile_yaml_is_one_error(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        documents.from_yaml(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a: 190:20:30", {"a": "190:20:30"}),
        ("a: 1:30", {"a": "1:30"}),
        ("a: [010, 007, 0, 08, 0.5]", {"a": ["010", "007", 0, "08", 0.5]}),
        ("a: 1:30.5", {"a": "1:30.5"}),
        ("a: [1, -2.5, 1e3, 0x10, 1_000]", {"a": [1, -2.5, "1e3", 16, 1000]}),
        ("a: &x {k: 1}\nb: {<<: *x, k: 2, m: 3}\nc: {<<: *x}", None),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("{a: {k: 1}, b: {k: 1}}", {"a": {"k": 1}, "b": {"k": 1}}),
    ],
)
def test_what_people_write_is_read(text: str, value: object) -> None:
    if "<<" in text:
        value = {"a": {"k": 1}, "b": {"k": 2, "m": 3}, "c": {"k": 1}}
    assert documents.from_yaml(text) == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 1_000_000, "nested more than 50 deep"),
        ('{"a":' * 60 + "1" + "}" * 60, "nested more than 50 deep"),
        ("1e999", "too large"),
        ('{"a": [-1e999]}', "too large"),
        ("[NaN]", "NaN is no number"),
        ("[-Infinity]", "-Infinity is no number"),
        ("1" * 400, "an integer of 1326 bits is too large"),
        ("1" * 5000, "4300 digits"),
        ("{", "Expecting"),
    ],
)
def test_hostile_json_is_one_error(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        documents.from_json(text)
    assert "\n" not in str(error.value)


def test_json_of_any_size_is_read() -> None:
    value = {"a": [[i, i / 2, None, "text"] for i in range(100_000)]}
    assert documents.from_json(json.dumps(value)) == value
