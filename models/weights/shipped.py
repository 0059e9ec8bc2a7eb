"""The weights that ship, as `weights.json` describes them: where each came from, what it scores,
what it must hash to.
"""

import datetime
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from safetensors import SafetensorError, safe_open

from models import files, settings
from models.errors import InputError
from models.settings import Section
from models.weights import checksums

FOLDER = Path(__file__).parent
TABLE = "weights.json"
MAX_BYTES = 80_000_000
"""Of all shipped files together: every version of them stays in the history for ever."""
MARKS = {"reid": ("schema", "reid/1"), "detector": ("architecture", "")}
"""What a file's metadata must hold, and with which value ("" any), to be opened without further
settings.
"""

Role = Literal["detector", "reid"]
Device = Literal["any", "cpu", "cuda"]
Text = Annotated[str, Field(min_length=1)]


class Shipped(Section):
    """A file that ships. `scores`: measured values by name; `device`: where `auto` takes it, when
    there is a choice.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    role: Role
    file: Annotated[str, Field(pattern=r"^[\w-][\w.-]*\.safetensors$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(gt=0)]
    licence: Text
    data: Text
    command: Text
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{7,40}(-dirty)?$")]
    date: datetime.date
    scores: dict[str, Any] = Field(default_factory=dict)
    device: Device = "any"


class Shipment(Section):
    """All of `weights.json`."""

    weights: list[Shipped] = Field(default_factory=list)

    @model_validator(mode="after")
    def _apart(self) -> "Shipment":
        for key in ("name", "file"):
            values = [getattr(entry, key) for entry in self.weights]
            if twice := [v for v in values if values.count(v) > 1]:
                raise ValueError(f"two entries have the {key} {twice[0]}")
        return self


def read(folder: Path = FOLDER) -> list[Shipped]:
    """Entries of the table in `folder`, none when it has none; raises InputError."""
    table = folder / TABLE
    if not table.is_file():
        return []
    try:
        values = json.loads(table.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{table}: cannot be read as JSON ({error}); restore it: git checkout -- {table}"
        ) from None
    if not isinstance(values, dict):
        raise InputError(f'{table}: expected {{"weights": [...]}}')
    return settings.build(Shipment, values, str(table), "models/weights/shipped.py").weights


def bundled(role: str, device: str = "cpu", folder: Path = FOLDER) -> Path | None:
    """Path of the weights that ship for `role` ("detector", "reid"), None when none do; raises
    InputError for altered ones.

    Of several, the first made for `device` is taken, then the first for any, then the first: "cpu",
    or what counts as "cuda".
    """
    kind = "cpu" if device == "cpu" else "cuda"
    order = {kind: 0, "any": 1}
    fitting = [entry for entry in read(folder) if entry.role == role]
    if not fitting:
        return None
    entry = min(fitting, key=lambda e: order.get(e.device, 2))
    if wrong := fault(entry, folder):
        path = folder / entry.file
        raise InputError(
            f"{path}: the shipped weights {wrong}; restore them (git checkout -- {path}) or name"
            " other weights"
        )
    return folder / entry.file


def fault(entry: Shipped, folder: Path = FOLDER) -> str:
    """What is wrong with the file of an entry; "" when nothing is."""
    try:
        found = checksums.of_file(folder / entry.file, "sha256")
    except FileNotFoundError:
        return "are missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return (
        ""
        if found == f"sha256:{entry.sha256}"
        else "are not those that were measured (their sha256 differs)"
    )


def add(
    source: Path, about: dict[str, Any], replace: bool = False, folder: Path = FOLDER
) -> Shipped:
    """Copy a .safetensors file into `folder` and describe it in the table; raises InputError, and
    then changes nothing.

    about: keys of `Shipped` but those that are found out here: file, sha256, bytes and date.
    `replace`: in place of the entry of the same name.
    """
    try:
        data = source.read_bytes()
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error.strerror})") from None
    _check_form(source, str(about.get("role")))
    digest = checksums.of_bytes(data, "sha256").removeprefix("sha256:")
    found = {
        "file": source.name,
        "sha256": digest,
        "bytes": len(data),
        "date": datetime.datetime.now(datetime.UTC).date(),
    }
    entries = read(folder)
    old = next((e for e in entries if e.name == about.get("name")), None)
    if old and not replace:
        raise InputError(
            f"{old.name} ships already, as {old.file}; give another --name or --replace"
        )
    plain: list[Any] = [e.model_dump() for e in entries if e != old]
    plain.insert(entries.index(old) if old else len(plain), {**about, **found})
    new = settings.build(
        Shipment, {"weights": plain}, "models.weights add", "models/weights/shipped.py"
    )
    if (total := sum(entry.bytes for entry in new.weights)) > MAX_BYTES:
        raise InputError(
            f"{source}: {total / 1e6:.1f} MB would ship in all, more than {MAX_BYTES / 1e6:.0f} MB;"
            " make it smaller"
        )
    files.write(folder / source.name, data)
    files.write(folder / TABLE, (json.dumps(new.model_dump(mode="json"), indent=1) + "\n").encode())
    if old and old.file != source.name:
        (folder / old.file).unlink(missing_ok=True)
    return next(entry for entry in new.weights if entry.name == about.get("name"))


def _check_form(path: Path, role: str) -> None:
    """Raise InputError for what is no .safetensors file that names what it is."""
    try:
        with safe_open(str(path), "numpy") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError):
        raise InputError(
            f"{path}: only .safetensors files ship, because opening one runs nobody's code"
        ) from None
    key, value = MARKS.get(role, ("", ""))
    if key and (key not in metadata or (value and metadata[key] != value)):
        raise InputError(
            f"{path}: does not say what it is (its metadata lack {' '.join((key, value)).strip()}),"
            " so auto cannot open it"
        )


def head(folder: Path = FOLDER) -> str:
    """Commit of the checkout that holds `folder`, with -dirty for uncommitted changes; raises
    InputError outside one.
    """
    command = [
        "git",
        "-C",
        str(folder),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=30, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        raise InputError(
            f"{folder} is in no git checkout; say which commit trained the weights: --commit"
        ) from None


def unlisted(entries: Sequence[Shipped], folder: Path = FOLDER) -> list[str]:
    """Files of weights in `folder` that no entry names."""
    listed = {entry.file for entry in entries}
    return sorted(p.name for p in folder.glob("*.safetensors") if p.name not in listed)
