"""Where global IDF1 is lost: every lost box gets one cause.

IDF1 pairs people of truth with identities of the results one to one, such that as many boxes as
possible agree: those are right. It is 2 * right / (boxes of truth + boxes of results). Hence every
other box, of truth or of the results, costs 1 / (boxes of truth + boxes of results), and IDF1 and
the shares of the causes add up to 1 exactly.

Boxes that are not right are compared once more, frame by frame, one to one, at the same IoU. Boxes
of truth that meet none are *missed boxes*; boxes of the results that meet none are *false boxes*.
The other ones meet in pairs: somebody was found, under an identity that is not theirs. Such a pair
gets the first cause that holds:

1. *switches*: the tracklet of the box follows somebody else for most of its time.
2. *wrong merges*: the identity belongs to somebody else, who has more boxes in it (of equals, it
   belongs to who is paired with it).
3. *fragments*: the identity that the person is paired with has other tracklets of this person in
   this camera; *missed merges*: it has some in other cameras only.
4. *wrong merges* where tracklets of several people have the identity, otherwise *switches*.

So fragments and missed merges together are what a person costs who has several identities:
fragments, two of them in one camera; missed merges, the views of two cameras were not joined. In
results without tracklets (MOT files), an id of a camera is one tracklet, and a wrong merge within a
camera shows as a switch.

In a crowd, IDF1 may pair a box with a neighbour of the person whom it shows, if they overlap
enough; the boxes that are left by that can count as missed and false.

The scores against controls (`scores`) say what a better linker would gain; this says what the
linker does wrong now.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from pipeline.evaluate import scores
from pipeline.evaluate.boxes import MIN_IOU, Scene
from pipeline.evaluate.scores import Labels
from pipeline.records import Array

CAUSES = (
    "missed boxes",
    "false boxes",
    "switches",
    "fragments",
    "missed merges",
    "wrong merges",
)
NOBODY = -1


@dataclass(frozen=True, slots=True)
class Losses:
    """Boxes of truth and of the results, counted.

    Attributes:
        n_boxes: boxes of truth and of the results together.
        n_right: those of them that agree on who it is.
        n_lost: the other ones, by cause.
    """

    n_boxes: int
    n_right: int
    n_lost: dict[str, int]

    def shares(self) -> dict[str, float]:
        """Return "IDF1" and the loss by cause; they add up to 1, and are nan without boxes."""
        counts = {"IDF1": self.n_right, **self.n_lost}
        divisor = self.n_boxes or np.nan
        return {name: float(count / divisor) for name, count in counts.items()}


@dataclass(frozen=True, slots=True)
class _Met:
    """Pairs of a box of truth and a box of the results that overlap enough; k pairs.

    Boxes are numbered through all frames of all cameras.

    Attributes:
        frame: number of the frame, (k,).
        truth: box of truth, (k,).
        result: box of the results, (k,).
        overlap: their IoU, (k,).
    """

    frame: Array
    truth: Array
    result: Array
    overlap: Array

    def take(self, which: Array) -> "_Met":
        """Return some of the pairs, `which` (j,) or (k,) bool."""
        return _Met(self.frame[which], self.truth[which], self.result[which], self.overlap[which])


@dataclass(frozen=True, slots=True)
class _Boxes:
    """What the boxes belong to: n of truth, m of the results.

    Attributes:
        person: the person of each box of truth, (n,).
        identity: the identity of each box of the results, (m,).
        follows: whom the tracklet of each box of the results follows, or NOBODY, (m,).
        camera: the camera of each box of the results, (m,).
    """

    person: Array
    identity: Array
    follows: Array
    camera: Array


def attribute(scenes: list[Scene], labels: Labels | None = None) -> Losses:
    """Find the cause of every box that IDF1 over all cameras counts as lost.

    Args:
        scenes: all cameras, as `boxes.match_frames` returns them.
        labels: identities of the rows of each camera, unique in a frame; None: those of the
            results.

    Returns:
        Counts by cause.
    """
    identities = [scene.results.ids for scene in scenes] if labels is None else labels
    boxes, met = _numbered(scenes, identities)
    pairing = _paired(boxes, met)
    is_right = pairing[met.truth] == boxes.identity[met.result]
    right = met.take(is_right)
    other = _one_to_one(_without(met, right))
    causes = _causes(boxes, other, pairing)
    n_truth = len(boxes.person)
    n_results = len(boxes.identity)
    n_met = len(right.truth) + len(other.truth)
    n_lost = dict.fromkeys(CAUSES, 0)
    n_lost["missed boxes"] = n_truth - n_met
    n_lost["false boxes"] = n_results - n_met
    for cause in causes:
        n_lost[cause] += 2
    return Losses(n_truth + n_results, 2 * len(right.truth), n_lost)


def _numbered(scenes: list[Scene], identities: Labels) -> tuple[_Boxes, _Met]:
    """Number the boxes of all cameras, and find those that meet."""
    tracklets = scores.tracklet_numbers(scenes)
    followed = scores.followed_people(scenes, tracklets)
    nothing = np.zeros(0, np.int64)
    people = [nothing]
    rows_of = {"identity": [nothing], "tracklet": [nothing], "camera": [nothing]}
    met: list[tuple[Array, Array, Array, Array]] = []
    n_truth = 0
    n_results = 0
    n_frames = 0
    for number, scene in enumerate(scenes):
        frames = zip(scene.truth_ids, scene.result_rows, scene.ious, strict=True)
        for truth_ids, rows, ious in frames:
            in_truth, in_results = np.nonzero(ious >= MIN_IOU)
            frame = np.full(len(in_truth), n_frames)
            overlap = ious[in_truth, in_results]
            met.append((frame, in_truth + n_truth, in_results + n_results, overlap))
            people.append(truth_ids)
            rows_of["identity"].append(identities[number][rows])
            rows_of["tracklet"].append(tracklets[number][rows])
            rows_of["camera"].append(np.full(len(rows), number))
            n_truth += len(truth_ids)
            n_results += len(rows)
            n_frames += 1
    columns = {name: np.concatenate(parts) for name, parts in rows_of.items()}
    follows = [followed.get(tracklet, NOBODY) for tracklet in columns["tracklet"].tolist()]
    boxes = _Boxes(
        np.concatenate(people),
        columns["identity"],
        np.array(follows, np.int64),
        columns["camera"],
    )
    no_met = (nothing, nothing, nothing, np.zeros(0))
    met_columns = zip(*[no_met, *met], strict=True)
    return boxes, _Met(*(np.concatenate(column) for column in met_columns))


def _paired(boxes: _Boxes, met: _Met) -> Array:
    """Return the identity that IDF1 pairs the person of each box of truth with, (n,).

    A person who is paired with none has an identity that no box has.
    """
    people, person = np.unique(boxes.person, return_inverse=True)
    identities, identity = np.unique(boxes.identity, return_inverse=True)
    n_together = np.zeros((len(people), len(identities)), np.int64)
    np.add.at(n_together, (person[met.truth], identity[met.result]), 1)
    found, paired_with = linear_sum_assignment(n_together, maximize=True)
    none = identities.min(initial=0) - 1
    identity_of = np.full(len(people), none)
    is_pair = n_together[found, paired_with] > 0
    identity_of[found[is_pair]] = identities[paired_with[is_pair]]
    return np.asarray(identity_of[person])


def _without(met: _Met, right: _Met) -> _Met:
    """Return the pairs of boxes neither of which is right."""
    is_taken = np.isin(met.truth, right.truth) | np.isin(met.result, right.result)
    return met.take(~is_taken)


def _one_to_one(met: _Met) -> _Met:
    """Return pairs in which no box stands twice, as many as possible, of the largest overlap."""
    chosen: list[int] = []
    starts = np.flatnonzero(np.diff(met.frame, prepend=NOBODY))
    for of_frame in np.split(np.arange(len(met.frame)), starts[1:]):
        if len(of_frame) < 2:
            chosen += of_frame.tolist()
            continue
        _, row = np.unique(met.truth[of_frame], return_inverse=True)
        _, column = np.unique(met.result[of_frame], return_inverse=True)
        value = np.zeros((row.max() + 1, column.max() + 1))
        number = np.full(value.shape, NOBODY)
        value[row, column] = 1 + met.overlap[of_frame] / len(of_frame)
        number[row, column] = of_frame
        numbers = number[linear_sum_assignment(value, maximize=True)]
        chosen += numbers[numbers != NOBODY].tolist()
    return met.take(np.array(sorted(chosen), np.int64))


def _causes(boxes: _Boxes, met: _Met, pairing: Array) -> list[str]:
    """Return why each pair of boxes has the wrong identity."""
    is_of_somebody = boxes.follows != NOBODY
    columns = (boxes.identity, boxes.follows, boxes.camera)
    held = np.stack(columns, axis=1)[is_of_somebody]
    in_camera = set(map(tuple, held.tolist()))
    held_people, counts = np.unique(held[:, :2], axis=0, return_counts=True)
    in_identity = set(map(tuple, held_people.tolist()))
    pairs = set(zip(boxes.person.tolist(), pairing.tolist(), strict=True))
    owners = _owners(held_people, counts, pairs)
    identities, n_people = np.unique(held_people[:, 0], return_counts=True)
    shared = set(identities[n_people > 1].tolist())
    person = boxes.person[met.truth].tolist()
    own_identity = pairing[met.truth].tolist()
    identity = boxes.identity[met.result].tolist()
    follows = boxes.follows[met.result].tolist()
    camera = boxes.camera[met.result].tolist()
    causes = []
    for who, own, found, followed, where in zip(
        person, own_identity, identity, follows, camera, strict=True
    ):
        if followed != who:
            cause = "switches"
        elif owners[found] != who:
            cause = "wrong merges"
        elif (own, who, where) in in_camera:
            cause = "fragments"
        elif (own, who) in in_identity:
            cause = "missed merges"
        else:
            cause = "wrong merges" if found in shared else "switches"
        causes.append(cause)
    return causes


def _owners(held_people: Array, counts: Array, pairs: set[tuple[int, int]]) -> dict[int, int]:
    """Return who has most boxes in each identity; of equals, who is paired with it.

    Args:
        held_people: identity and person, (k, 2).
        counts: how many boxes of the tracklets that follow this person, (k,).
        pairs: person and identity that IDF1 pairs.
    """
    found: dict[int, tuple[int, bool, int]] = {}
    for (identity, person), count in zip(held_people.tolist(), counts.tolist(), strict=True):
        claim = (count, (person, identity) in pairs, person)
        found[identity] = max(found.get(identity, claim), claim)
    return {identity: person for identity, (_, _, person) in found.items()}
