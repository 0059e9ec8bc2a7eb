"""Boxes that a human labelled as tracklets: the time of each box, and the track that it is of.

Times are those of the run's frames. Where a file has no ids of tracks, a box that lies where the
run had one is of its track, and of the same piece of it, so that the crops of the run still belong
to it; others are of the track of the box before or after them.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from models.boxes import iou
from pipeline.exports.labelled import Labels
from pipeline.exports.table import Footage
from pipeline.outputs.trajectories import Rows
from pipeline.records import Array, Tracklet

MAX_GAP_S = 2.0
"""A tracklet ends where nobody was seen for longer; those of a run have shorter gaps."""
MIN_IOU = 0.9
"""A box whose IoU with one of the run is at least this is that box."""


def tracklets(labels: Labels, known: Rows, footage: Footage) -> Iterator[tuple[int, Tracklet]]:
    """Yield the tracklets of one camera, each with its person.

    Args:
        labels: boxes of the camera.
        known: its rows in the run.
        footage: the camera.
    """
    times_s = times(labels.frames, known, footage)
    track_ids, pieces = _tracks(labels, known)
    is_new = np.diff(labels.tracks) != 0
    is_new |= np.diff(labels.person_ids) != 0
    is_new |= np.diff(track_ids) != 0
    is_new |= np.diff(pieces) != 0
    is_new |= np.diff(times_s) > MAX_GAP_S
    parts = _split(len(track_ids), is_new)
    unique_ids = _unique_ids(
        [(int(track_ids[part[0]]), labels.frames[part]) for part in parts], known
    )
    for part, track_id in zip(parts, unique_ids, strict=True):
        tracklet = Tracklet.bare(
            footage.camera.name,
            track_id,
            labels.frames[part],
            times_s[part],
            labels.boxes[part].astype(np.float32),
            labels.scores[part].astype(np.float32),
            labels.is_filled[part],
        )
        yield int(labels.person_ids[part[0]]), tracklet


def times(frames: Array, known: Rows, footage: Footage) -> Array:
    """Return the times of frames, as the run has them where it had somebody.

    Args:
        frames: (n,) numbers of frames.
        known: the rows of the camera in the run.
        footage: the camera.

    Returns:
        (n,) seconds on the common clock.
    """
    if not len(known.frames):
        return footage.nominal_times(frames)
    seen, rows = np.unique(known.frames, return_index=True)
    seen_s = known.times_s[rows]
    times_s = np.interp(frames, seen, seen_s)
    before = np.minimum(frames - seen[0], 0)
    after = np.maximum(frames - seen[-1], 0)
    return np.asarray(times_s + (before + after) / footage.camera.fps)


def _split(n_rows: int, is_new: Array) -> list[Array]:
    """Rows from one cut to the next; is_new (n_rows - 1,) bool says which of the rows after the
    first one begin a part.
    """
    parts = np.split(np.arange(n_rows), np.flatnonzero(is_new) + 1)
    return parts if n_rows else []


def _tracks(labels: Labels, known: Rows) -> tuple[Array, Array]:
    """Track of each row, and the first frame of the run's piece of it, both (n,) int64.

    Where the file tells no track, it is that of the run's box in the same place, or else that of
    the row before or after in the same track of the file; 0 where there is none.
    """
    track_ids = labels.track_ids.copy()
    pieces = np.zeros_like(track_ids)
    unknown = np.flatnonzero(track_ids == 0)
    if not len(unknown):
        return track_ids, pieces
    same = _same_boxes(labels.frames[unknown], labels.boxes[unknown], known)
    found = unknown[same >= 0]
    track_ids[found] = known.track_ids[same[same >= 0]]
    pieces[found] = known.first_frames[same[same >= 0]]
    is_new = np.diff(labels.tracks) != 0
    is_new |= np.diff(labels.person_ids) != 0
    for part in _split(len(track_ids), is_new):
        has_track = part[track_ids[part] > 0]
        if len(has_track):
            nearest = np.searchsorted(has_track, part, side="right") - 1
            source = has_track[np.maximum(nearest, 0)]
            track_ids[part] = track_ids[source]
            pieces[part] = pieces[source]
    return track_ids, pieces


def _same_boxes(frames: Array, boxes_: Array, known: Rows) -> Array:
    """The row of the run that is the same box, (n,) int64, -1 for none."""
    found = np.full(len(frames), -1)
    order = np.argsort(frames, kind="stable")
    values, starts = np.unique(frames[order], return_index=True)
    for frame, rows in zip(values.tolist(), np.split(order, starts[1:]), strict=False):
        first, end = np.searchsorted(known.frames, [frame, frame + 1]).tolist()
        if first < end:
            overlap = iou(boxes_[rows], known.boxes[first:end])
            is_same = overlap.max(axis=1) >= MIN_IOU
            found[rows[is_same]] = first + overlap.argmax(axis=1)[is_same]
    return found


def _unique_ids(parts: Sequence[tuple[int, Array]], known: Rows) -> list[int]:
    """Ids of tracks such that none has two rows in a frame; a part without one gets a new one."""
    given = [track_id for track_id, _ in parts]
    next_id = 1 + max([*given, int(known.track_ids.max(initial=0))])
    taken: dict[int, set[int]] = defaultdict(set)
    ids = []
    for track_id, frames in parts:
        own = set(frames.tolist())
        is_free = track_id > 0 and not taken[track_id] & own
        unique_id = track_id if is_free else next_id
        next_id += not is_free
        taken[unique_id] |= own
        ids.append(unique_id)
    return ids
