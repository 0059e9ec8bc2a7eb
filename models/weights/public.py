"""Public models that can be used by name: where they lie, what they must hash to, and what goes
into them (`public.json`).

They are fetched into a cache folder by `python -m models.weights get NAME` and never by anything
else: a run downloads nothing.
"""

import functools
import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from models import files, settings
from models.errors import InputError
from models.settings import Section
from models.weights import checksums

TABLE = Path(__file__).parent / "public.json"
CACHE = "PEOPLE_TRACKER_CACHE"
"""Environment variable that names the cache folder."""

Checksum = Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96})$")]


class PublicFile(Section):
    """One file of a model. `file`: its name here, whatever it is called there."""

    file: Annotated[str, Field(pattern=r"^[\w-][\w.-]*$")]
    url: Annotated[str, Field(pattern=r"^https?://")]
    bytes: Annotated[int, Field(gt=0)]
    checksum: Checksum


class Public(Section):
    """A public model: its first file is the one that is opened, the others must lie beside it.

    `convention`: what its input is, a key of `models.reid.preprocess.CONVENTIONS`. `alike`:
      checksums of other published forms
    of the first file (another precision) with the same input. `scores`: measured by us; none says
    that we have not.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    role: Literal["reid"]
    files: Annotated[list[PublicFile], Field(min_length=1)]
    convention: str
    licence: str
    page: str
    alike: list[Checksum] = Field(default_factory=list)
    scores: dict[str, Any] = Field(default_factory=dict)


class Catalogue(Section):
    """All of `public.json`."""

    models: list[Public]


@functools.cache
def catalogue() -> dict[str, Public]:
    """The public models by name."""
    values = json.loads(TABLE.read_text(encoding="utf-8"))
    return {
        m.name: m
        for m in settings.build(Catalogue, values, str(TABLE), "models/weights/public.py").models
    }


def cache_folder() -> Path:
    """Where fetched models lie: $PEOPLE_TRACKER_CACHE, else people-tracker in $XDG_CACHE_HOME, else
    in ~/.cache.
    """
    if own := os.environ.get(CACHE):
        return Path(own).expanduser()
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (shared if shared.is_absolute() else Path.home() / ".cache") / "people-tracker"


def find(weights: str | Path) -> Path:
    """The file that ReID weights are in: a path, or the name of a fetched public model; raises
    InputError.
    """
    if files.exists(Path(weights)) and Path(weights).is_file():
        return Path(weights)
    model = catalogue().get(str(weights))
    if model is None:
        what = (
            "neither a .safetensors, .onnx, .xml or .pth file nor a public model that python -m"
            " models.weights list names"
        )
        raise InputError(f"{weights}: no such ReID weights, {what}")
    folder = cache_folder()
    for file in model.files:
        if reason := fault(file, folder):
            raise InputError(
                f"{weights}: {folder / file.file} {reason}; fetch it: python -m models.weights get"
                f" {weights}"
            )
    return folder / model.files[0].file


def fault(file: PublicFile, folder: Path) -> str:
    """What is wrong with the file in `folder`; "" when it is there as it was published."""
    path = folder / file.file
    try:
        found = checksums.of_file(path, file.checksum.partition(":")[0])
    except FileNotFoundError:
        return "is not there"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return (
        ""
        if found == file.checksum
        else "is not the file that was published (its checksum differs)"
    )


def known(path: Path) -> Public | None:
    """The public model that a file is, by its checksum, whatever it is called; None for any other
    file.
    """
    for model in catalogue().values():
        for checksum in (model.files[0].checksum, *model.alike):
            if checksums.of_file(path, checksum.partition(":")[0]) == checksum:
                return model
    return None
