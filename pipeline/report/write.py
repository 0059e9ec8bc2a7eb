"""Make the report, at the end of a run or from its folder."""

import json
from pathlib import Path

from models import files
from pipeline.linking.clustering import corrections
from pipeline.linking.clustering.corrections import Corrections
from pipeline.outputs import links, manifest, reading, trajectories
from pipeline.outputs.folder import MANIFEST, OutputFolder
from pipeline.report import crops, data, html, sheets
from pipeline.report.data import Written
from pipeline.result import Result

FILE = "report.html"
CORRECTIONS = "corrections.yaml"
"""Corrections that the results obey."""


def of_run(folder: OutputFolder, result: Result) -> None:
    """Write the report of a run whose other files are written.

    Args:
        folder: where they are; the report goes there too.
        result: what was found.

    Raises:
        PipelineError: the report cannot be written, or its crops cannot be read.
    """
    config = result.config.linking
    written = Written(
        people=trajectories.entries(result.people, result.cameras, config.confirmed_probability),
        n_tracklets=sum(len(person.tracklets) for person in result.people),
        cameras=trajectories.describe(result.cameras),
        why=links.document(result.linked, config),
        run=manifest.document(result, []),
        crops=crops.load(folder.find(crops.FILE)),
        files=frozenset(folder.written),
        corrections=_corrections(folder.find(CORRECTIONS)),
    )
    folder.write_text(FILE, _text(written))


def of_folder(folder: Path) -> Path:
    """Make the report of a finished run again.

    Args:
        folder: its output folder.

    Returns:
        The report.

    Raises:
        SourceError: the folder holds no results of a run.
        ConfigError: its corrections cannot be read.
        InputError: the report cannot be written.
    """
    trajectories_ = reading.read(folder / "trajectories.json")
    why = reading.read(folder / "links.json")
    run = reading.read(folder / MANIFEST)
    corrected = _corrections(folder / CORRECTIONS)
    with reading.written_by_us(folder):
        names = [str(name) for name in run["files"]]
        people = trajectories_["people"]
        written = Written(
            people=people,
            n_tracklets=sum(len(person["tracklets"]) for person in people),
            cameras=trajectories_["cameras"],
            why=why,
            run=run,
            crops=crops.load(folder / crops.FILE),
            files=frozenset(name for name in names if (folder / name).is_file()),
            corrections=corrected,
        )
        text = _text(written)
    path = folder / FILE
    files.write(path, text.encode("utf-8"))
    if FILE not in names:
        run["files"] = [*names, FILE]
        listed = json.dumps(run, indent=1, allow_nan=False) + "\n"
        files.write(folder / MANIFEST, listed.encode("utf-8"))
    return path


def _corrections(path: Path) -> Corrections:
    return corrections.load(str(path)) if path.is_file() else corrections.NONE


def _text(written: Written) -> str:
    document = data.build(written)
    n_crops = len(document.crops)
    images = written.crops.images(document.crops)
    return html.page(document.json, sheets.tile(images, n_crops), n_crops)
