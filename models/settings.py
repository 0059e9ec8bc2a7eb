"""Settings from YAML and the command line: strict, and every mistake one line that names the key
and the nearest valid one.

The sections live where they are used (`pipeline/config.py`, `models/reid/training/settings.py`);
this is what they share.
"""

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from models.errors import InputError


class Section(BaseModel):
    """Settings that refuse unknown keys and wrong types."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


S = TypeVar("S", bound=Section)


def build(model: type[S], values: dict[str, Any], where: str, example: str) -> S:
    """Validate plain values; raises InputError with one line that names the key. `example` is a
    file that shows all keys.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise InputError(f"{where}: unknown key {key}{_nearest(model, key, example)}") from None
        text = first["msg"].removeprefix("Value error, ")
        raise InputError(
            f"{where}: {key + ': ' if key else ''}{text} (got {first['input']!r:.60})"
        ) from None


def change(settings: S, values: dict[str, Any], example: str) -> S:
    """Return the settings with some dotted keys changed, validated again."""
    plain = settings.model_dump()
    for key, value in values.items():
        _set(plain, key, value)
    return build(type(settings), plain, "the command line", example)


def overrides(texts: Sequence[str], example: str) -> dict[str, Any]:
    """Read `--set` arguments a.b=value, with YAML values; `example` is one, for the message. Raises
    InputError.
    """
    values: dict[str, Any] = {}
    for override in texts:
        key, equals, text = override.partition("=")
        if not equals:
            raise InputError(
                f"--set {override}: write it as key=value, for example --set {example}"
            )
        try:
            values[key.strip()] = yaml.safe_load(text) if text else ""
        except (yaml.YAMLError, ValueError):
            raise InputError(f"--set {override}: the value is not valid YAML; quote it") from None
    return values


def dump(settings: Section) -> str:
    """Return the settings as YAML that `read` and `build` turn into equal settings."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)


def read(path: str, example: str) -> dict[str, Any]:
    """Plain values of a YAML file; raises InputError."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); check the path given to --config"
        ) from None
    except (
        yaml.YAMLError,
        ValueError,
    ) as error:  # ValueError: not UTF-8, or a date such as 2024-13-01
        raise InputError(f"{path}: is not valid YAML ({' '.join(str(error).split())})") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected `key: value` pairs, as in {example}")
    return values


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """All dotted keys, in the order of the sections."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from keys(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise InputError(f"--set {key}: {section} is a value, not a section")
        values = inner
    values[last] = value


def _nearest(model: type[Section], key: str, example: str) -> str:
    prefix = key.rpartition(".")[0]
    item = _item(model, prefix)
    valid = (
        [f"{prefix}.{name}" for name in item.model_fields]
        if item
        else [*model.model_fields, *keys(model)]
    )
    by_last = {name.rsplit(".", 1)[-1]: name for name in valid}
    close = difflib.get_close_matches(key, valid, n=1, cutoff=0.6)
    close = close or [
        by_last[k] for k in difflib.get_close_matches(key.rsplit(".", 1)[-1], by_last, n=1)
    ]
    return f"; did you mean {close[0]}?" if close else f"; {example} lists all keys"


def _item(model: type[BaseModel], prefix: str) -> type[BaseModel] | None:
    """Model of the entries of a list, for a key inside one of them such as cameras.0; None for any
    other key.
    """
    *path, index = prefix.split(".")
    if not index.isdigit():
        return None
    for name in path:
        field = model.model_fields[name]
        inner = [field.annotation, *get_args(field.annotation)]
        model = next(t for t in inner if isinstance(t, type) and issubclass(t, BaseModel))
    return model
