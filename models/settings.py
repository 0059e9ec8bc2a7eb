"""Settings from YAML and the command line: strict, and every mistake one line that names the key
and the nearest valid one.

The sections live where they are used (`pipeline/config.py`, `models/reid/settings.py`);
this is what they share.
"""

import difflib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from models import documents, files
from models.errors import InputError, one_line, shorten

MAX_NUMBER = 1e30
MAX_VALUE = 80
"""Longest value in a message, characters."""
INSTALLED = Path(__file__).parent / "configs"
"""The folder configs/ of the checkout, where the program is installed; absent in a checkout."""


class RenamedSetting(FutureWarning):
    """A setting was given under its old name; `str(warning)` is one line that names the new one."""


class Section(BaseModel):
    """Settings that refuse unknown keys and wrong types.

    renamed: old keys section.key and their new keys, in the same section. An old key still works
    for one version, with a `RenamedSetting` warning. Only the table of the outermost section is
    read.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    renamed: ClassVar[Mapping[str, str]] = {}

    @field_validator("*")
    @classmethod
    def _moderate(cls, value: Any) -> Any:
        """Refuse numbers whose products are no longer finite."""
        if isinstance(value, int | float) and abs(value) > MAX_NUMBER:
            raise ValueError(f"a number must be at most {MAX_NUMBER:g}")
        return value


S = TypeVar("S", bound=Section)


def config_file(name: str) -> str:
    """Path of a file in configs/, for messages: absolute where the program is installed.

    Args:
        name: Path below configs/, such as reid/tiny.yaml.
    """
    installed = INSTALLED / name
    return str(installed) if installed.is_file() else f"configs/{name}"


def build(model: type[S], values: dict[str, Any], where: str, example: str) -> S:
    """Validate plain values and make them settings.

    Args:
        model: The outermost section.
        values: Nested plain values, as read from YAML. Old keys are accepted, see `Section`.
        where: Where the values come from, for messages.
        example: A file that shows all keys, for messages.

    Raises:
        InputError: A key is unknown or given twice, or a value is not valid. The text is one line
            that names the key.
    """
    try:
        return model.model_validate(_with_new_keys(model, values, where))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise InputError(f"{where}: unknown key {key}{_nearest(model, key, example)}") from None
        text = first["msg"].removeprefix("Value error, ")
        found = shorten(repr(first["input"]), MAX_VALUE)
        raise InputError(f"{where}: {key + ': ' if key else ''}{text} (got {found})") from None


def change(
    settings: S, values: Mapping[str, Any], example: str, where: str = "the command line"
) -> S:
    """Return the settings with some values changed, validated again.

    Args:
        settings: The settings to start from.
        values: New values by dotted key. Old keys are accepted, see `Section`.
        example: A file that shows all keys, for messages.
        where: Where the values come from, for messages.

    Raises:
        InputError: A key is unknown or a value is not valid.
    """
    plain = settings.model_dump()
    for key, value in values.items():
        new_key = settings.renamed.get(key, key)
        if new_key != key:
            _warn(key, new_key, where)
        _set(plain, new_key, value)
    return build(type(settings), plain, where, example)


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
            values[key.strip()] = documents.from_yaml(text) if text else ""
        except ValueError as error:
            reason = one_line(error)
            raise InputError(
                f"--set {shorten(override, MAX_VALUE)}: the value is not valid YAML ({reason});"
                " quote it"
            ) from None
    return values


def dump(settings: Section) -> str:
    """Return the settings as YAML that `read` and `build` turn into equal settings."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)


def read(path: str, example: str) -> dict[str, Any]:
    """Read the plain values of a YAML file.

    Args:
        path: The file. A path that begins with configs/ and does not exist is looked up in the
            installed package.
        example: A file that shows all keys, for messages.

    Raises:
        InputError: The file cannot be read or does not hold `key: value` pairs.
    """
    file = Path(path)
    if not files.exists(file) and file.parts[:1] == ("configs",):
        file = Path(config_file(str(file.relative_to("configs"))))
    try:
        values = documents.from_yaml(files.read_text(file, files.MAX_SETTINGS_BYTES))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); check the path given to --config"
        ) from None
    except ValueError as error:
        raise InputError(f"{path}: is not valid YAML ({one_line(error)})") from None
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


def differing(first: Section, second: Section) -> list[str]:
    """Return the dotted keys whose values differ, in the order of the sections.

    Args:
        first: Settings.
        second: Settings of the same class.
    """
    found = []
    for name in type(first).model_fields:
        one = getattr(first, name)
        other = getattr(second, name)
        if isinstance(one, Section) and isinstance(other, Section):
            found += [f"{name}.{key}" for key in differing(one, other)]
        elif one != other:
            found.append(name)
    return found


def _with_new_keys(model: type[Section], values: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the values with old keys replaced by new ones; `values` itself is not changed."""
    for old, new in model.renamed.items():
        section, _, key = old.rpartition(".")
        new_key = new.removeprefix(f"{section}.")
        inner = values.get(section)
        if not isinstance(inner, dict) or key not in inner:
            continue
        if new_key in inner:
            raise InputError(f"{where}: {old} is the old name of {new}; give only {new}")
        _warn(old, new, where)
        changed = {new_key if name == key else name: value for name, value in inner.items()}
        values = {**values, section: changed}
    return values


def _warn(old: str, new: str, where: str) -> None:
    text = f"{where}: {old} is now called {new}; the old name stops working in the next version"
    warnings.warn(text, RenamedSetting, stacklevel=3)


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
