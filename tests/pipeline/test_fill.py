"""Short gaps are filled by straight lines."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from pipeline.fill import fill
from pipeline.records import Person, Tracklet

FPS = 10


def tracklet(frames: list[int], x: float = 0.0, track_id: int = 1, camera: str = "cam") -> Tracklet:
    """A box 20 wide and 50 high that moves 2 px a frame to the right, from `x` at frame 0."""
    n = len(frames)
    left = x + 2.0 * np.array(frames)
    boxes = np.stack([left, np.full(n, 10.0), left + 20, np.full(n, 60.0)], axis=1).astype(
        np.float32
    )
    crops, quality = np.zeros((0, 256, 128, 3), np.uint8), np.zeros(0, np.float32)
    index = np.array(frames, np.int64)
    return Tracklet(
        camera,
        track_id,
        index,
        index / FPS,
        boxes,
        np.full(n, 0.9, np.float32),
        crops,
        quality,
        np.zeros(0),
    )


def filled(*tracklets: Tracklet, max_gap_s: float = 1.5, stride: int = 1) -> list[Tracklet]:
    (person,) = fill([Person(1, tracklets, ())], max_gap_s, stride)
    return list(person.tracklets)


def test_a_gap_inside_a_tracklet_gets_rows_on_a_straight_line_with_score_0() -> None:
    (one,) = filled(tracklet([0, 1, 5, 6]))
    assert one.frames.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert_allclose(one.boxes, tracklet(list(range(7))).boxes, atol=1e-4)
    assert_allclose(one.times_s, np.arange(7) / FPS)
    assert_allclose(one.scores, [0.9, 0.9, 0, 0, 0, 0.9, 0.9])


def test_rows_between_two_looks_have_the_lower_score_of_both_ends_and_others_0() -> None:
    seen = replace(tracklet([0, 2, 4, 10]), scores=np.array([0.9, 0.6, 0.8, 0.7], np.float32))
    (person,) = fill([Person(1, (seen,), ())], 1.5, 1, look_s={"cam": 0.25})
    (one,) = person.tracklets
    assert one.frames.tolist() == list(range(11))
    assert_allclose(one.scores, [0.9, 0.6, 0.6, 0.6, 0.8, 0, 0, 0, 0, 0, 0.7])
    assert one.is_filled.tolist() == [frame not in (0, 2, 4, 10) for frame in range(11)]


def test_between_two_looks_rows_are_filled_though_no_other_gap_is() -> None:
    first, second = tracklet([0, 2, 9]), tracklet([11, 13], track_id=2)
    (person,) = fill([Person(1, (first, second), ())], 0, 1, look_s={"cam": 0.25})
    assert [t.frames.tolist() for t in person.tracklets] == [[0, 1, 2, 9, 10], [11, 12, 13]]


@pytest.mark.parametrize(("last", "is_filled"), [(16, True), (17, False)])
def test_a_longer_gap_stays(last: int, is_filled: bool) -> None:
    (one,) = filled(tracklet([0, 1, last]))
    assert (len(one.frames) == last + 1) == is_filled


def test_a_gap_between_linked_tracklets_becomes_part_of_the_earlier() -> None:
    first, second = filled(tracklet([0, 1], track_id=1), tracklet([4, 5], track_id=2))
    assert first.frames.tolist() == [0, 1, 2, 3] and second.frames.tolist() == [4, 5]
    assert_allclose(first.boxes, tracklet([0, 1, 2, 3]).boxes, atol=1e-4)


@pytest.mark.parametrize(
    "later",
    [
        tracklet([4, 5], x=150, track_id=2),
        tracklet([30, 31], track_id=2),
        tracklet([4, 5], camera="other"),
    ],
)
def test_nothing_is_filled_to_where_nobody_could_have_walked_or_to_another_camera_or_much_later(
    later: Tracklet,
) -> None:
    assert [t.frames.tolist() for t in filled(tracklet([0, 1]), later)] == [
        [0, 1],
        later.frames.tolist(),
    ]


@pytest.mark.parametrize(("track_id", "last"), [(1, 3), (2, 7)])
def test_what_was_left_out_of_a_track_ends_what_is_filled_before_it(
    track_id: int, last: int
) -> None:
    first, later = tracklet([0, 1]), tracklet([8, 9])
    left_out = Person(2, (tracklet([4, 5], track_id=track_id),), ())
    (person,) = fill([Person(1, (first, later), ())], 1.5, 1, left_out=[left_out])
    assert person.tracklets[0].frames.tolist() == list(range(last + 1))


def test_frames_that_were_not_processed_are_not_filled() -> None:
    assert filled(tracklet([0, 2, 6]), stride=2)[0].frames.tolist() == [0, 2, 4, 6]
    whole = tracklet([0, 2, 4])
    assert filled(whole, stride=2) == [whole]


def test_no_gap_is_filled_when_nobody_asks_for_it() -> None:
    gappy = tracklet([0, 5])
    assert filled(gappy, max_gap_s=0) == [gappy]


@given(st.sets(st.integers(0, 60), min_size=1), st.integers(1, 59))
def test_what_was_seen_stays_and_nobody_is_twice_in_a_frame(frames: set[int], cut: int) -> None:
    parts = [
        part
        for part in (sorted(f for f in frames if f < cut), sorted(f for f in frames if f >= cut))
        if part
    ]
    before = [tracklet(part, track_id=i + 1) for i, part in enumerate(parts)]
    after = filled(*before)
    everything = np.concatenate([t.frames for t in after])
    assert len(np.unique(everything)) == len(everything)
    for old, new in zip(before, after, strict=True):
        seen = new.scores > 0
        assert np.array_equal(new.frames[seen], old.frames) and np.array_equal(
            new.boxes[seen], old.boxes
        )
        assert (np.diff(new.times_s) > 0).all()


def test_a_gap_is_filled_only_until_the_track_goes_on_as_somebody_else() -> None:
    before, after = tracklet([0, 1], track_id=1), tracklet([8, 9], track_id=2)
    other = tracklet([4, 5], track_id=1)
    first, second = fill([Person(1, (before, after), ()), Person(2, (other,), ())], 1.5, 1)
    assert [t.frames.tolist() for t in first.tracklets] == [[0, 1, 2, 3], [8, 9]]
    assert_allclose(first.tracklets[0].boxes, tracklet([0, 1, 2, 3]).boxes, atol=1e-4)
    assert second.tracklets == (other,)


@given(st.data())
def test_no_track_has_two_rows_in_one_frame_whoever_its_pieces_are_given_to(
    data: st.DataObject,
) -> None:
    people: list[list[Tracklet]] = [[], [], []]
    for track_id in (1, 2):
        frames = sorted(data.draw(st.sets(st.integers(0, 40), min_size=1)))
        cuts = data.draw(st.sets(st.sampled_from(frames), max_size=4))
        pieces = np.split(frames, sorted(frames.index(cut) for cut in cuts))
        for piece in pieces:
            if len(piece):
                owner = data.draw(st.sampled_from(people))
                owner.append(tracklet(piece.tolist(), track_id=track_id))
    before = [
        Person(i, tuple(sorted(own, key=lambda t: t.key)), ()) for i, own in enumerate(people)
    ]
    after = fill(before, 1.5, 1)
    rows = [
        (t.camera, frame, t.track_id)
        for person in after
        for t in person.tracklets
        for frame in t.frames.tolist()
    ]
    assert len(set(rows)) == len(rows)
    for old_person, new_person in zip(before, after, strict=True):
        for old, new in zip(old_person.tracklets, new_person.tracklets, strict=True):
            dropped = np.setdiff1d(old.frames, new.frames[new.scores > 0])
            others = [t.frames for t in new_person.tracklets if t.key != new.key]
            assert np.isin(dropped, np.concatenate([[], *others])).all()


def test_where_tracks_of_one_person_overlap_the_later_one_counts() -> None:
    earlier, later = filled(tracklet([0, 1, 2, 3, 4, 5]), tracklet([4, 5, 6], track_id=2))
    assert earlier.frames.tolist() == [0, 1, 2, 3]
    assert later.frames.tolist() == [4, 5, 6]


def test_where_tracks_of_one_person_overlap_detected_rows_count_before_filled_ones() -> None:
    longer, shorter = filled(tracklet([0, 1, 3, 4, 5, 6]), tracklet([2, 3, 5], track_id=2))
    assert longer.frames.tolist() == [0, 1, 4, 6]
    assert shorter.frames.tolist() == [2, 3, 5]
    assert not longer.is_filled.any() and not shorter.is_filled.any()


@given(st.lists(st.sets(st.integers(0, 30), min_size=1), max_size=5))
def test_nobody_is_twice_in_a_frame_whatever_tracks_are_one_person(tracks: list[set[int]]) -> None:
    first = {min(frames): sorted(frames) for frames in tracks}
    before = [tracklet(first[frame], track_id=frame + 1) for frame in sorted(first)]
    after = filled(*before)
    rows = [frame for t in after for frame in t.frames.tolist()]
    assert len(set(rows)) == len(rows)
    assert set(rows) >= {frame for frames in first.values() for frame in frames}
    assert [t.key for t in after] == [t.key for t in before]
