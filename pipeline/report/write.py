"""Make the report, at the end of a run or from its folder."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models import documents, files
from pipeline.errors import SourceError
from pipeline.outputs import links, manifest, trajectories
from pipeline.outputs.folder import MANIFEST, OutputFolder
from pipeline.report import crops, data, html, sheets
from pipeline.report.data import Json, Written
from pipeline.result import Result

FILE = "report.html"


def of_run(folder: OutputFolder, result: Result) -> None:
    """Write the report of a run whose other files are written.

    Args:
        folder: where they are; the report goes there too.
        result: what was found.

    Raises:
        PipelineError: the report cannot be written, or its crops cannot be read.
    """
    config = result.config.linking
    kept = crops.FILE in folder.written
    written = Written(
        people=trajectories.entries(result.people, result.cameras, config.confirmed_probability),
        n_tracklets=sum(len(person.tracklets) for person in result.people),
        cameras=trajectories.describe(result.cameras),
        why=json.loads(links.to_json(result.linked, config)),
        run=json.loads(manifest.to_json(result, [])),
        crops=crops.load(folder.find(crops.FILE)) if kept else crops.Crops(folder.path),
        files=frozenset(folder.written),
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
        InputError: the report cannot be written.
    """
    trajectories_ = _read(folder / "trajectories.json")
    why = _read(folder / "links.json")
    run = _read(folder / MANIFEST)
    with _written_by_us(folder):
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
        )
        text = _text(written)
    path = folder / FILE
    files.write(path, text.encode("utf-8"))
    if FILE not in names:
        run["files"] = [*names, FILE]
        listed = json.dumps(run, indent=1, allow_nan=False) + "\n"
        files.write(folder / MANIFEST, listed.encode("utf-8"))
    return path


def _text(written: Written) -> str:
    document = data.build(written)
    n_crops = len(document.crops)
    images = written.crops.images(document.crops)
    return html.page(document.json, sheets.tile(images, n_crops), n_crops)


def _read(path: Path) -> Json:
    try:
        document = documents.from_json(files.read_text(path))
    except OSError:
        raise SourceError(
            f"{path}: cannot be read; give the output folder of a run over files (a live run has no"
            " report)"
        ) from None
    except ValueError:
        raise SourceError(
            f"{path}: was not written by this program; give the output folder of a run"
        ) from None
    if not isinstance(document, dict):
        raise SourceError(
            f"{path}: was not written by this program; give the output folder of a run"
        )
    return document


@contextmanager
def _written_by_us(folder: Path) -> Iterator[None]:
    """Turn what documents of another form cause into one line."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError):
        raise SourceError(
            f"{folder}: its results were not written by this program; give the output folder of a"
            " run"
        ) from None
