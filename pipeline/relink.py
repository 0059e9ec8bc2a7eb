"""Link a finished run again with corrections, and write its results anew, without its videos.

Tracklets are those that the run kept (`pipeline.kept`), so that only linking and writing are done
again. Zones may be others than those of the run, since people are counted after linking. Whoever is
mostly the same as before, by rows, keeps their number; others get new numbers, and none is used
twice.

The results take the place of those in the folder when all are complete. Videos stay as they are:
they show the numbers from before, unless they are drawn again.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from operator import itemgetter
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from models import files
from models.interrupts import Interrupts
from pipeline import config as configuration
from pipeline import kept as keeping
from pipeline import run as runs
from pipeline import site_checks
from pipeline.errors import ConfigError, SourceError
from pipeline.kept import Kept
from pipeline.linking.clustering import corrections
from pipeline.linking.clustering.corrections import Corrections
from pipeline.linking.continuity import continued
from pipeline.outputs import manifest, mosaic, reading
from pipeline.outputs.folder import MANIFEST, OutputFolder
from pipeline.outputs.reading import Json
from pipeline.records import Person, Tracklet
from pipeline.report import write as report
from pipeline.result import Result
from pipeline.zones import table

VIDEO = ".mp4"
OLD_NUMBERS = (
    "the annotated videos show the people from before corrections were applied; `people-tracker"
    " apply DIR --video` draws them again"
)
Track = tuple[str, int]
"""A camera and the id of one of its tracks."""
Piece = tuple[int, int, int]
"""First and last frame of a piece of a track, and its person."""
Pieces = Mapping[Track, Sequence[Piece]]


def relink(
    folder: Path,
    path: str,
    output: Path,
    overwrite: bool,
    with_video: bool,
    quiet: bool,
    zones: str = "",
) -> Result:
    """Link a run again; see `pipeline.apply_corrections`.

    Args:
        folder: output folder of a run over files.
        path: file of corrections, "" for none.
        output: where the results go; may be the same folder.
        overwrite: whether `output` may hold the results of an earlier run.
        with_video: whether the videos are drawn again.
        quiet: show no progress bar.
        zones: settings whose zones are counted; "" for those of the folder.

    Returns:
        What was found and written.

    Raises:
        PipelineError: see there; the results that were in the folder are then still there.
    """
    said = _said(folder, path)
    earlier = reading.read(folder / MANIFEST)
    kept = _with_zones(keeping.read(folder), zones or str(folder / configuration.FILE))
    in_place = output.resolve() == folder.resolve()
    results = OutputFolder(output, overwrite or in_place)
    with closing(results):
        results.create()
        with reading.written_by_us(folder):
            last_id = int(earlier.get("last_person_id", 0))
            result = _begun(kept, said, earlier, last_id, output)
            before = _pieces_of_table(folder / "tracks.csv")
            names = _names(earlier, folder)
            warnings = [str(line) for line in earlier["warnings"]]
        runs.link(kept, result)
        people = _numbered(result.linked.people, before, last_id)
        result.linked = replace(result.linked, people=people)
        runs.settle(kept, result)
        runs.write(results, result)
        if said.names() or (folder / corrections.FILE).is_file():
            results.write_text(corrections.FILE, _text(said, folder))
        if with_video:
            _draw(results, result, kept, quiet)
            names = [name for name in names if not _is_video(name)]
        elif any(map(_is_video, names)):
            result.warnings += _of_videos(warnings, before != _pieces(result.people))
        results.keep([name for name in names if name not in results.written], folder)
        if report.FILE in earlier["files"]:
            runs.write_report(results, result)
        with Interrupts(publishing=""):
            runs.publish(results, result)
    result.files = results.written
    return result


def _with_zones(kept: Kept, path: str) -> Kept:
    """What was kept, with the zones of a file of settings; raises ConfigError."""
    config = kept.config
    zones = configuration.load(path).zones
    if zones == config.zones:
        return kept
    cameras = {camera.name: camera for camera in kept.cameras}
    plain = [zone.model_dump(mode="json") for zone in zones]
    changed = configuration.change(config, {"zones": plain}, path)
    configuration.check_zones(changed)
    earlier = site_checks.check_zones(config.zones, cameras)
    warnings = [line for line in kept.warnings if line not in earlier]
    warnings += site_checks.check_zones(zones, cameras)
    settings = {**kept.settings, "zones": plain}
    return replace(kept, settings=settings, warnings=warnings)


def _said(folder: Path, path: str) -> Corrections:
    """What the folder and the file say together; raises ConfigError."""
    of_folder = corrections.of_folder(folder)
    try:
        return of_folder.plus(corrections.load(path))
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{path} and {folder / corrections.FILE}: {reason}") from None


def _text(said: Corrections, folder: Path) -> str:
    """The text of corrections: as a human wrote it, if the folder has just these."""
    if said == corrections.of_folder(folder):
        return files.read_text(folder / corrections.FILE)
    return corrections.to_yaml(said)


def _begun(kept: Kept, said: Corrections, earlier: Json, last_id: int, output: Path) -> Result:
    """The result of the run as it was before linking; raises KeyError where run.json is none."""
    of_run = {key: earlier[key] for key in manifest.OF_RUN}
    of_run["last_person_id"] = last_id
    corrected = str((output / corrections.FILE).absolute()) if said.names() else ""
    return Result(
        configuration.change(kept.config, {"linking.corrections": corrected}),
        output,
        detector="",
        reid="",
        reid_sha256=kept.reid_sha256,
        cameras=kept.cameras,
        frame_ranges=dict(kept.frame_ranges),
        n_boxes=dict(kept.n_boxes),
        n_unchanged=dict(kept.n_unchanged),
        corrections=said,
        notes=list(kept.notes),
        warnings=list(kept.warnings),
        workers={str(each["group"]): each for each in earlier.get("workers", [])},
        interrupted=bool(earlier["interrupted"]),
        earlier=of_run,
    )


def _names(earlier: Json, folder: Path) -> list[str]:
    """Files of the run that stay if they are not written again."""
    rewritten = (MANIFEST, report.FILE, corrections.FILE, table.FILE)
    names = [str(name) for name in earlier["files"]]
    return [name for name in names if name not in rewritten and _is_inside(name, folder)]


def _is_inside(name: str, folder: Path) -> bool:
    """Whether a name is that of a file in a folder, and of nothing elsewhere."""
    path = Path(name)
    is_plain = not path.is_absolute() and ".." not in path.parts
    file = folder / name
    return is_plain and file.is_file() and file.resolve().is_relative_to(folder.resolve())


def _is_video(name: str) -> bool:
    return name.endswith(VIDEO)


def _of_videos(warnings: Sequence[str], is_changed: bool) -> list[str]:
    """What has to be said of videos that stay.

    Args:
        warnings: what the run said.
        is_changed: whether somebody is now somebody else.
    """
    lines = []
    for line in warnings:
        is_of_file = line.partition(" ")[0].rstrip(":").endswith(VIDEO)
        is_of_drawing = line in (runs.NOT_DRAWN, runs.DRAWING_STOPPED)
        if is_of_file or is_of_drawing or line.startswith(mosaic.NO_MOSAIC):
            lines.append(line)
    if is_changed or OLD_NUMBERS in warnings:
        lines.append(OLD_NUMBERS)
    return lines


def _draw(results: OutputFolder, result: Result, kept: Kept, quiet: bool) -> None:
    """Draw all videos; raises KeyboardInterrupt after Ctrl-C."""
    stop = Interrupts(drawing="stopping; the results stay as they were")
    with stop:
        runs.draw(results, result, kept.last_s, stop, quiet)
    if stop["drawing"].is_set():
        raise KeyboardInterrupt


def _pieces_of_table(path: Path) -> Pieces:
    """Who had which frames of each track, by tracks.csv.

    Raises:
        KeyError, ValueError: it is no such table.
        SourceError: it cannot be read.
    """
    last_frames: dict[tuple[str, ...], str] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            columns = ("camera", "track_id", "tracklet", "person_id")
            piece_of = itemgetter(*(header.index(column) for column in columns))
            frame = header.index("frame")
            for row in rows:
                last_frames[piece_of(row)] = row[frame]
    except (OSError, csv.Error) as error:
        raise SourceError(f"{path}: cannot be read ({error})") from None
    pieces: dict[Track, list[Piece]] = defaultdict(list)
    for (camera, track_id, first, person_id), last in last_frames.items():
        pieces[camera, int(track_id)].append((int(first), int(last), int(person_id)))
    return {track: sorted(of_track) for track, of_track in pieces.items()}


def _pieces(people: Sequence[Person]) -> Pieces:
    """Who has which frames of each track."""
    pieces: dict[Track, list[Piece]] = defaultdict(list)
    for person in people:
        for tracklet in person.tracklets:
            first, last = tracklet.frames[[0, -1]].tolist()
            pieces[tracklet.camera, tracklet.track_id].append((first, last, person.person_id))
    return {track: sorted(of_track) for track, of_track in pieces.items()}


def _numbered(people: Sequence[Person], before: Pieces, last_id: int) -> list[Person]:
    """Give people the numbers that they had, and others the numbers after the last one."""
    common: Counter[tuple[int, int]] = Counter()
    for number, person in enumerate(people):
        for tracklet in person.tracklets:
            for piece in before.get((tracklet.camera, tracklet.track_id), ()):
                n_shared = _n_shared(tracklet, piece)
                if n_shared:
                    common[piece[2], number] += n_shared
    ids = continued(common)
    owners = [owner for of_track in before.values() for _, _, owner in of_track]
    last_id = max([last_id, *owners])
    for number in range(len(people)):
        if number not in ids:
            last_id += 1
            ids[number] = last_id
    named = [replace(person, person_id=ids[number]) for number, person in enumerate(people)]
    return sorted(named, key=lambda person: person.person_id)


def _n_shared(tracklet: Tracklet, piece: Piece) -> int:
    """How many rows of a tracklet lie in a piece of its track."""
    first, last, _ = piece
    frames = tracklet.frames
    if last < frames[0] or first > frames[-1]:
        return 0
    bounds = np.searchsorted(frames, [first, last + 1])
    return int(bounds[1] - bounds[0])
