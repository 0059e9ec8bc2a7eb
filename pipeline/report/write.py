"""Make the report: at the end of a run, from its folder, or of a live run while it goes on."""

import json
from collections.abc import Sequence
from pathlib import Path

from models import files
from pipeline import config as configuration
from pipeline.linking import site as sites
from pipeline.linking.clustering import corrections
from pipeline.linking.learning.homographies import Homography
from pipeline.live import merge
from pipeline.live.journal import SETUP
from pipeline.live.merge import Merged
from pipeline.outputs import links, manifest, reading, trajectories
from pipeline.outputs.folder import MANIFEST, OutputFolder
from pipeline.outputs.reading import Json
from pipeline.report import crops, data, html, live, sheets
from pipeline.report.written import Written
from pipeline.result import Result
from pipeline.version import VERSION
from pipeline.zones import table

FILE = "report.html"
PRIORS = "priors.json"
NOT_ENDED = (
    "the run had not ended when this page was made: it still went on, or was killed. It covers what"
    " was on disk by then; make it again later"
)


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
        homographies=result.linked.homographies,
        config=result.config,
        zone_events=result.zone_events,
        corrections=result.corrections,
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
    if (folder / SETUP).is_file():
        return of_live_folder(folder, merge.read(folder))
    trajectories_ = reading.read(folder / "trajectories.json")
    why = reading.read(folder / "links.json")
    run = reading.read(folder / MANIFEST)
    corrected = corrections.of_folder(folder)
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
            homographies=_homographies(folder / PRIORS),
            config=configuration.of_folder(folder),
            zone_events=table.read(folder / table.FILE),
            corrections=corrected,
            origin="labels" if manifest.LABELLED_IN in run else "recordings",
        )
        text = _text(written)
    return _replace(folder, text)


def of_live_folder(folder: Path, merged: Merged) -> Path:
    """Make the report of a live run, which may still go on.

    Args:
        folder: its output folder.
        merged: the results of its journal.

    Returns:
        The report.

    Raises:
        SourceError: the folder holds other files than those of a live run.
        InputError: the report cannot be written.
    """
    has_ended = (folder / MANIFEST).is_file()
    run = reading.read(folder / MANIFEST) if has_ended else _unfinished(merged)
    with reading.written_by_us(folder):
        text = _text(live.written(folder, merged, run))
    return _replace(folder, text)


def of_live_run(folder: OutputFolder, merged: Merged, result: Result) -> None:
    """Write the report of a live run that has ended.

    Args:
        folder: where its other files are; the report goes there too.
        merged: the results of its journal.
        result: what else is known of the run.

    Raises:
        PipelineError: the report cannot be written, or its crops cannot be read.
    """
    run = manifest.document(result, [])
    folder.write_text(FILE, _text(live.written(folder.path, merged, run)))


def _unfinished(merged: Merged) -> Json:
    """What run.json would say of a live run that has not written it."""
    cameras = trajectories.describe(merged.cameras)
    return {"version": VERSION, "notes": [NOT_ENDED], "cameras": cameras}


def _replace(folder: Path, text: str) -> Path:
    """Put a report into a folder, and list it among its files."""
    path = folder / FILE
    files.write(path, text.encode("utf-8"))
    if (folder / MANIFEST).is_file():
        run = reading.read(folder / MANIFEST)
        with reading.written_by_us(folder):
            names = [str(name) for name in run["files"]]
        if FILE not in names:
            run["files"] = [*names, FILE]
            listed = json.dumps(run, indent=1, allow_nan=False) + "\n"
            files.write(folder / MANIFEST, listed.encode("utf-8"))
    return path


def _homographies(path: Path) -> Sequence[Homography]:
    """What a run learned of the views that overlap; nothing without a file."""
    return sites.load(str(path), "").homographies if path.is_file() else ()


def _text(written: Written) -> str:
    document = data.build(written)
    images = written.crops.images(document.crops)
    tiled = sheets.tile(images, len(document.crops))
    return html.page(document, tiled)
