"""Results of what a human corrected: the boxes and people of the files, in the form of a run's.

Cameras and the times of frames come from the run, and so do its settings, what was learned of the
site, and crops. Zones are counted again.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import config as configuration
from pipeline.config import MAX_COORDINATE, Config, LinkingConfig, file_name
from pipeline.errors import OutputError, SourceError
from pipeline.evaluate import boxes
from pipeline.exports import labelled, labelled_cvat, labelled_tracklets
from pipeline.exports.labelled import Labels
from pipeline.exports.table import NO_HOMOGRAPHY, NO_ROWS, Footage, Table, concatenate
from pipeline.linking import linker
from pipeline.linking.learning import similarity
from pipeline.linking.reasons import CORRECTED
from pipeline.outputs import links, manifest, reading, trajectories
from pipeline.outputs.folder import MANIFEST, MOT, OutputFolder
from pipeline.records import Array, Camera, Link, Person, Tracklet
from pipeline.report import crops
from pipeline.report import write as report
from pipeline.report.write import PRIORS
from pipeline.version import VERSION, git_hash
from pipeline.zones import counting
from pipeline.zones import table as zone_table
from pipeline.zones.counting import Event

KEPT = (configuration.FILE, PRIORS, crops.FILE)
"""Files of the run that hold for the corrected results, too."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What was read: people, and the cameras that have files, with their frames.

    end_s is the time of the last frame of these cameras, 0 where there is none. left_out are
    cameras without a file; warnings say what in the files may not be meant.
    """

    people: list[Person]
    footage: list[Footage]
    end_s: float
    files: list[Path]
    left_out: list[str]
    warnings: list[str]


def write(folder: Path, files: Sequence[Path], output: Path, overwrite: bool = False) -> Imported:
    """Write the results of corrected files.

    Args:
        folder: output folder of the run that was corrected.
        files: one a camera, or folders of them. CVAT for video 1.1: `<camera>.xml`, or the `.zip`
            of a task that is named like a camera. MOT: `<camera>.txt` or `<camera>/gt/gt.txt`.
        output: folder for the results.
        overwrite: replace the results in `output`.

    Returns:
        What was read and written.

    Raises:
        PipelineError: a file cannot be read, cannot be meant as it is, or belongs to no camera; a
            person has two boxes in a frame; the results cannot be written.
        InputError: a MOT file is damaged.
    """
    if output.resolve() == folder.resolve():
        raise OutputError(f"{output}: is the run itself; choose another --output")
    run = Table(folder)
    imported = _read(run, files)
    _write(run, imported, output, overwrite)
    report.of_folder(output)
    return imported


def _read(run: Table, files: Sequence[Path]) -> Imported:
    """People of the files, by id."""
    given = _labels(run, files)
    tracklets: dict[int, list[Tracklet]] = defaultdict(list)
    footage: dict[str, Footage] = {}
    end_s = 0.0
    for camera, parts in run.by_camera():
        name = camera.camera.name
        if name not in given:
            continue
        labels = given[name]
        _check(labels, camera)
        known = concatenate([NO_ROWS, *parts])
        for person_id, tracklet in labelled_tracklets.tracklets(labels, known, camera):
            tracklets[person_id].append(tracklet)
        footage[name] = _covering(camera, labels.frames)
        last_s = labelled_tracklets.times(camera.frames[-1:], known, camera)
        end_s = float(last_s.max(initial=end_s))
    people = [_person(person_id, own) for person_id, own in sorted(tracklets.items())]
    in_order = [footage[name] for name in run.footage if name in footage]
    paths = [labels.path for labels in given.values()]
    warnings = [warning for labels in given.values() for warning in labels.warnings]
    left_out = [name for name in run.footage if name not in given]
    return Imported(people, in_order, end_s, paths, left_out, warnings)


def _labels(run: Table, files: Sequence[Path]) -> dict[str, Labels]:
    """Labels of the files by camera."""
    found: dict[str, Labels] = {}

    def add(labels: Labels, names: Sequence[str]) -> None:
        camera = _camera(run, labels.path, names)
        if camera in found:
            raise SourceError(
                f"{labels.path}: {found[camera].path} is of camera {camera} too; give one file a"
                " camera"
            )
        found[camera] = labels

    last_frame = max((each.last_frame for each in run.footage.values()), default=-1)
    mot_files: list[Path] = []
    for path in _expanded(files):
        if path.suffix.lower() == ".txt":
            mot_files.append(path)
        else:
            labels, task = labelled_cvat.read(path, last_frame)
            add(labels, [path.stem, task])
    names = [path.parent.parent.name if path.name == "gt.txt" else path.stem for path in mot_files]
    cameras = [_camera(run, path, [name]) for path, name in zip(mot_files, names, strict=True)]
    sizes = [(run.footage[name].camera.width, run.footage[name].camera.height) for name in cameras]
    for camera, labels in zip(cameras, labelled.read_mot(mot_files, sizes), strict=True):
        add(labels, [camera])
    return found


def _expanded(files: Sequence[Path]) -> Iterator[Path]:
    """The files, and those in folders."""
    for path in files:
        if path.is_dir():
            of_cvat = [each for each in sorted(path.iterdir()) if each.suffix in (".xml", ".zip")]
            inside = of_cvat or list(boxes.mot_files(path).values())
            if not inside:
                raise SourceError(f"{path}: has no XML files of CVAT and no MOT files")
            yield from inside
        elif path.suffix.lower() in (".xml", ".zip", ".txt"):
            yield path
        else:
            raise SourceError(f"{path}: is no XML file of CVAT (.xml, .zip) and no MOT file (.txt)")


def _camera(run: Table, path: Path, names: Sequence[str]) -> str:
    """The camera that a file is of, by one of its names."""
    for name in names:
        if file_name(name) in run.footage:
            return file_name(name)
    known = ", ".join(run.footage)
    example = next(iter(run.footage), "camera") + path.suffix
    raise SourceError(
        f"{path}: is of no camera of {run.folder} ({known}); name it after its camera, such as"
        f" {example}"
    )


def _check(labels: Labels, footage: Footage) -> None:
    """Raise SourceError where a camera cannot show what the labels say."""
    first = footage.first_frame
    last = footage.last_frame
    is_outside = (labels.frames < first) | (labels.frames > last)
    if is_outside.any():
        known = f"frames {first} to {last} (from 0)" if len(footage.frames) else "no frames"
        raise SourceError(
            f"{labels.path}: has a box in frame {labels.frames[is_outside][0]}, but"
            f" {footage.camera.name} has {known}; is it of this recording?"
        )
    reach_px = np.abs(labels.boxes).max(axis=1, initial=0)
    if (reach_px > MAX_COORDINATE).any():
        worst = int(reach_px.argmax())
        raise SourceError(
            f"{labels.path}: the box of person {labels.person_ids[worst]} in frame"
            f" {labels.frames[worst]} (from 0) reaches to {reach_px[worst]:.3g} px; draw it again"
        )
    pairs = np.stack([labels.person_ids, labels.frames], axis=1)
    values, counts = np.unique(pairs, axis=0, return_counts=True)
    if (counts > 1).any():
        person_id, frame = values[counts > 1][0].tolist()
        raise SourceError(
            f"{labels.path}: person {person_id} has two boxes in frame {frame} (from 0); delete"
            " one, or give it to somebody else"
        )


def _person(person_id: int, tracklets: Sequence[Tracklet]) -> Person:
    in_order = sorted(tracklets, key=lambda tracklet: tracklet.key)
    links = [Link.decided(first, second, 1.0, CORRECTED) for first, second in pairwise(in_order)]
    return Person(person_id, tuple(in_order), tuple(links))


def _covering(footage: Footage, frames: Array) -> Footage:
    """A camera with frames that hold all of these, which may lie between those of the run."""
    if np.isin(frames, footage.frames).all():
        return footage
    return replace(footage, frames=np.arange(footage.first_frame, footage.last_frame + 1))


def _write(run: Table, imported: Imported, output: Path, overwrite: bool) -> None:
    """Write all but the report."""
    config = configuration.of_folder(run.folder)
    people = imported.people
    cameras = [_with_floor(footage, config) for footage in imported.footage]
    events: list[Event] = []
    folder = OutputFolder(output, overwrite)
    with closing(folder):
        folder.create()
        folder.keep([name for name in KEPT if (run.folder / name).is_file()], run.folder)
        confirmed = config.linking.confirmed_probability
        folder.write_parts("trajectories.json", trajectories.json_parts(people, cameras, confirmed))
        folder.write_text("links.json", _links(people, config.linking))
        folder.write_parts("tracks.csv", trajectories.csv_lines(people))
        if config.zones:
            everywhere = [_with_floor(footage, config) for footage in run.footage.values()]
            events = counting.count(people, everywhere, config.zones, imported.end_s)
            folder.write_parts(zone_table.FILE, zone_table.csv_lines(events))
        for camera in cameras:
            lines = trajectories.truth_lines(people, camera.name)
            folder.write_parts(f"{MOT}/{camera.name}.txt", lines)
        document = _manifest(run, imported)
        document["zones"] = [asdict(each) for each in zone_table.totals(events, config.zones)]
        document["files"] = [*folder.written, MANIFEST]
        folder.publish(json.dumps(document, indent=1, allow_nan=False) + "\n")


def _with_floor(footage: Footage, config: Config) -> Camera:
    """A camera as results describe it, with its homography."""
    name = footage.camera.name
    homographies = [each.homography for each in config.cameras if each.name == name]
    homography = np.array(homographies[0], np.float64) if any(homographies) else NO_HOMOGRAPHY
    return replace(footage.camera, n_frames=len(footage.frames), homography=homography)


def _links(people: Sequence[Person], config: LinkingConfig) -> str:
    cameras = sorted({name for person in people for name in person.cameras})
    calibration = similarity.calibrate(similarity.NO_SAMPLES, cameras, config)
    linked = replace(linker.nobody(config), people=list(people), calibration=calibration)
    return links.to_json(linked, config)


def _manifest(run: Table, imported: Imported) -> dict[str, Any]:
    """run.json of the run, with what a human said instead of what linking found."""
    path = run.folder / MANIFEST
    before = reading.read(path) if path.is_file() else {}
    appearance = str(before.get("appearance", ""))
    warnings = [str(warning) for warning in before.get("warnings", [])]
    names = [path.name for path in imported.files]
    ids = [person.person_id for person in imported.people]
    return {
        **before,
        "schema": "run/1",
        "version": VERSION,
        "git": git_hash(),
        "people": len(imported.people),
        "last_person_id": max([int(before.get("last_person_id", 0)), *ids]),
        "appearance": "",
        "lookalikes": "",
        "cameras": [_described(footage, imported.people) for footage in imported.footage],
        "stages": {},
        manifest.LABELLED_IN: names,
        "notes": [f"people and boxes were labelled by hand, in {', '.join(names)}"],
        "warnings": [
            *(each for each in warnings if not (appearance and each.startswith(appearance))),
            *imported.warnings,
        ],
    }


def _described(footage: Footage, people: Iterable[Person]) -> dict[str, Any]:
    name = footage.camera.name
    n_boxes = sum(
        len(tracklet.frames)
        for person in people
        for tracklet in person.tracklets
        if tracklet.camera == name
    )
    return {
        "camera": name,
        "source": footage.camera.source,
        "width": footage.camera.width,
        "height": footage.camera.height,
        "n_frames": len(footage.frames),
        "n_dropped": footage.camera.n_dropped,
        "n_unchanged": 0,
        "n_boxes": n_boxes,
        "n_boxes_in_tracks": n_boxes,
        "stride": footage.stride,
        "frame_ranges": _ranges(footage),
    }


def _ranges(footage: Footage) -> list[list[int]]:
    """First and last frame of what was processed without a break."""
    frames = footage.frames
    if not len(frames):
        return []
    breaks = np.flatnonzero(np.diff(frames) != footage.stride) + 1
    return [[int(part[0]), int(part[-1])] for part in np.split(frames, breaks)]
