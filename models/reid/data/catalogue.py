"""The data sets by name: what loads each, what it takes, what it is and where to get it; `python -m
models.reid.data.catalogue` prints them.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from models import settings
from models.errors import InputError
from models.reid.data import (
    cuhk03,
    dukemtmc,
    dukemtmc_video,
    folder,
    ilids_vid,
    market1501,
    mars,
    msmt17,
    prid2011,
)
from models.reid.data.layout import Options
from models.reid.data.samples import Dataset

EXAMPLE = settings.config_file("reid/image.yaml")


@dataclass(frozen=True)
class Entry:
    """One data set: its loader, the class of its options, and a row of the documentation (0 people:
    whatever the user has).
    """

    load: Callable[[Path, Any], Dataset]
    options: type[Options]
    title: str
    people: int = 0
    samples: str = "yours"
    cameras: int = 0
    note: str = ""
    where: str = ""
    """The page of its authors; for a data set of yours, what shows how to make one."""


CATALOGUE = {
    "market1501": Entry(
        market1501.load,
        market1501.Options,
        "Market-1501",
        1501,
        "36,036 images",
        6,
        "for research",
        where="https://zheng-lab.cecs.anu.edu.au/Project/project_reid.html",
    ),
    "dukemtmc": Entry(
        dukemtmc.load,
        dukemtmc.Options,
        "DukeMTMC-reID",
        1812,
        "36,411 images",
        8,
        "withdrawn by its authors in 2019",
        where="no official page since 2019",
    ),
    "msmt17": Entry(
        msmt17.load,
        msmt17.Options,
        "MSMT17 V1, V2",
        4101,
        "126,441 images",
        15,
        "for research, on request",
        where="https://www.pkuvmc.com/dataset.html",
    ),
    "cuhk03": Entry(
        cuhk03.load,
        cuhk03.Options,
        "CUHK03",
        1467,
        "14,096 images (detected: 14,097)",
        2,
        "for research, on request",
        where="https://www.ee.cuhk.edu.hk/~xgwang/CUHK_identification.html; "
        "the new protocol's .mat files: https://github.com/zhunzhong07/person-re-ranking",
    ),
    "mars": Entry(
        mars.load,
        mars.Options,
        "MARS",
        1261,
        "20,478 tracklets",
        6,
        "for research",
        where="https://zheng-lab.cecs.anu.edu.au/Project/project_mars.html; "
        "info/: https://github.com/liangzheng06/MARS-evaluation",
    ),
    "ilids_vid": Entry(
        ilids_vid.load,
        ilids_vid.Options,
        "iLIDS-VID",
        300,
        "600 tracklets",
        2,
        "for research",
        where="https://xiatian-zhu.github.io/downloads_qmul_iLIDS-VID_ReID_dataset.html",
    ),
    "prid2011": Entry(
        prid2011.load,
        prid2011.Options,
        "PRID 2011",
        178,
        "356 tracklets",
        2,
        "for research",
        where="https://www.tugraz.at/institute/icg/research/team-bischof/"
        "learning-recognition-surveillance/downloads/prid11/",
    ),
    "dukemtmc_video": Entry(
        dukemtmc_video.load,
        dukemtmc_video.Options,
        "DukeMTMC-VideoReID",
        1812,
        "4,832 tracklets",
        8,
        "withdrawn by its authors in 2019",
        where="no official page since 2019",
    ),
    "folder": Entry(
        folder.load,
        folder.Options,
        "your own people",
        note="images or tracklets in folders, or by their names",
        where="python -m pipeline.crops cuts people out of videos",
    ),
}


def load(name: str, root: str | Path, options: Mapping[str, Any]) -> Dataset:
    """Read data set `name` from `root`, its own folder or the one above; raises InputError for what
    is unknown or absent.
    """
    return _entry(name).load(Path(root).expanduser(), _options(name, options))


def n_splits(name: str, options: Mapping[str, Any]) -> int:
    """How many values of option `split` a published result is the mean over; 1 where there is no
    such option.
    """
    return _options(name, options).n_splits


def table() -> str:
    """The data sets as a Markdown table, for the documentation."""
    rows = [
        "| `data.name` | data set | people | size | cameras | note | where to get it |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, entry in CATALOGUE.items():
        size = (f"{entry.people or 'yours'}", entry.samples, f"{entry.cameras or 'yours'}")
        rows.append(
            f"| `{name}` | {entry.title} | {' | '.join(size)} | {entry.note} | {entry.where} |"
        )
    return "\n".join(rows)


def page() -> str:
    """The data sets, where to get each, and its options with their defaults, for people."""
    lines = [
        "Data sets: data.name and data.options of a training, --data and --set of"
        " models.reid.evaluate"
    ]
    for name, entry in CATALOGUE.items():
        size = f": {entry.people} people, {entry.samples}" if entry.people else ""
        note = f" ({entry.note})" if entry.note else ""
        lines += ["", f"{name}  {entry.title}{size}{note}", f"  {entry.where}"]
        for key, field in entry.options.model_fields.items():
            default = f"{field.default}".replace("False", "false")
            lines.append(f"  {key}={default}{_choices(field.annotation)}")
    return "\n".join(lines)


def _choices(annotation: Any) -> str:
    """The values that an option takes, where they are few."""
    values = [value for value in get_args(annotation) if isinstance(value, str)]
    return f"   one of {', '.join(values)}" if values else ""


def _entry(name: str) -> Entry:
    if name not in CATALOGUE:
        close = difflib.get_close_matches(name, CATALOGUE, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise InputError(
            f"data.name {name}: no such data set; {hint}known are {', '.join(CATALOGUE)}"
        )
    return CATALOGUE[name]


def _options(name: str, options: Mapping[str, Any]) -> Options:
    model = _entry(name).options
    if unknown := sorted(set(options) - set(model.model_fields)):
        valid = ", ".join(sorted(model.model_fields))
        raise InputError(f"data.options: {name} has no option {unknown[0]}; it takes {valid}")
    return settings.build(model, dict(options), f"data.options of {name}", EXAMPLE)


if __name__ == "__main__":
    print(page())
