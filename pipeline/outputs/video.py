"""Annotated video: a second pass over the source, when the final identities are known; or of a live
camera, with what is known now.

H.264 that browsers play, with the timestamps and the colours of the source, so rate and length stay
and pictures look the same. A person has one colour in every camera. Rows up to `HOLD_S` apart are
joined by interpolation (thin boxes), so that a stride or a short miss makes no box flicker.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.frame import PictureType

from pipeline import floor, hardware, yuv
from pipeline.config import OutputConfig
from pipeline.hardware import TICKS
from pipeline.outputs.canvas import Canvas, Colour, Plate, plate
from pipeline.records import Array, Camera, Frame, Person
from pipeline.timings import Timings
from pipeline.yuv import Colours

MAX_STEP_TICKS = 6 * 3600 * TICKS
"""Longest time from one frame to the next. From 2**31 ticks (6.6 hours) on, the file would squeeze
all that follows.
"""
SLOWEST_RATE = Fraction(1, 1001)
"""Nominal rate of time lapse with fewer frames; the time of each frame is right all the same."""
LENGTH_TOLERANCE_S = 0.2
HOLD_S = 0.6
ROUNDING_S = 1e-6
SAME_FRAME_S = 1e-3
"""A row belongs to the frame that is drawn if it is not older than this."""
GOLDEN_ANGLE_DEG = 137.508
TRAIL_POINTS = 12
HEADER = (32, 32, 32)
NOBODY = 0
"""Stands for the person of a track that is not linked yet."""
GREY = (128, 128, 128)
GROWING = {
    "movflags": "empty_moov+default_base_moof",
    "frag_duration": "1000000",
    "flush_packets": "1",
}
"""Options of an MP4 that can be played while it grows, and is whole up to the last second when it
is not finished.
"""
KEY_TICKS = 5 * TICKS
"""Time between frames that a player can begin at, in a file that grows."""


class Interrupted(Exception):
    """Drawing was stopped by the user."""


class Encoder:
    """Writes pictures in YUV 4:2:0 with times to an H.264 file, all in the first one's colours.

    With `is_live`, the file can be played while it grows, and one thread encodes: a second of
    pictures waits in it instead of several.
    """

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        fps: float,
        crf: int,
        encoder: str = hardware.X264,
        is_live: bool = False,
    ) -> None:
        options = GROWING if is_live else {"movflags": "faststart"}
        self._container = av.open(f"file:{path}", "w", format="mp4", options=options)
        rate = max(Fraction(fps).limit_denominator(1001), SLOWEST_RATE)
        width = yuv.even(width)
        height = yuv.even(height)
        name = hardware.encoder(encoder, width, height)
        self._stream = hardware.add_stream(self._container, name, width, height, rate, crf)
        self._is_live = is_live
        if is_live:
            self._stream.codec_context.thread_count = 1
        self._next_key_pts = 0
        self._last_pts = -1
        self._left_out = 0

    def write(self, picture: av.VideoFrame, time_s: float) -> None:
        """Append a picture.

        Of a step that is too long for the file, the rest is left out, so that all other steps keep
        their length.

        Args:
            picture: of the size of the file, which is even. Its timestamp is changed.
            time_s: time from which it is shown, seconds.
        """
        if self._last_pts < 0:
            yuv.colours_of(picture).tag(self._stream.codec_context)
        step = max(1, round(time_s * TICKS) - self._left_out - self._last_pts)
        self._left_out += max(0, step - MAX_STEP_TICKS)
        self._last_pts += min(step, MAX_STEP_TICKS)
        picture.pts = self._last_pts
        picture.time_base = Fraction(1, TICKS)
        if self._is_live:
            self._choose_kind(picture)
        self._container.mux(self._stream.encode(picture))

    def _choose_kind(self, picture: av.VideoFrame) -> None:
        """Make a picture one that a player can begin at, if that is due."""
        is_due = self._last_pts >= self._next_key_pts
        picture.pict_type = PictureType.I if is_due else PictureType.NONE
        if is_due:
            self._next_key_pts = self._last_pts + KEY_TICKS

    def finish(self) -> None:
        """Write what is left, and close the file, also when that fails."""
        try:
            self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()

    def release(self) -> None:
        """Close the file as it is."""
        self._container.close()

    def __enter__(self) -> "Encoder":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finish the file; after an exception only release it."""
        if kind is None:
            self.finish()
        else:
            self.release()


@dataclass(frozen=True, slots=True)
class Mark:
    """What is drawn for one person in one frame.

    Attributes:
        person_id: whose colour and number are drawn; `NOBODY` is grey, without a number.
        box: x1, y1, x2, y2 px.
        seen: false for a box between those that were detected, which is thin.
    """

    person_id: int
    box: Array
    seen: bool


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A tracklet of a person: times (n,) and boxes (n, 4)."""

    person_id: int
    times_s: Array
    boxes: Array


class Drawing:
    """All marks of one camera, by time."""

    def __init__(self, camera: Camera, people: list[Person], trail_s: float) -> None:
        self._camera = camera
        self._trail_s = trail_s
        self._stretches: list[_Stretch] = []
        for person in people:
            for tracklet in person.tracklets:
                if tracklet.camera == camera.name:
                    stretch = _Stretch(person.person_id, tracklet.times_s, tracklet.boxes)
                    self._stretches.append(stretch)
        self._stretches.sort(key=lambda stretch: float(stretch.times_s[0]))
        self._n_begun = 0
        self._open: list[_Stretch] = []
        self._scale = _scale(camera.width, camera.height)

    def draw(self, picture: av.VideoFrame, time_s: float) -> av.VideoFrame:
        """Draw boxes, ids, trails, the camera's name and the time; call in time order.

        Args:
            picture: in YUV 4:2:0.
            time_s: its time, seconds.

        Returns:
            A copy of the picture with the drawing; an odd size gets a row or column more.
        """
        drawn = yuv.copy(picture)
        canvas = Canvas(drawn)
        marks = list(self._marks(time_s))
        for stretch in self._open:
            self._draw_trail(canvas, stretch, time_s)
        _draw_marks(canvas, marks, f"{self._camera.name}  {_clock(time_s)}", self._scale)
        return drawn

    def _marks(self, time_s: float) -> Iterator[Mark]:
        self._open_stretches(time_s)
        for stretch in self._open:
            before = int(np.searchsorted(stretch.times_s, time_s + ROUNDING_S)) - 1
            after = before + 1
            box = stretch.boxes[before]
            elapsed_s = time_s - stretch.times_s[before]
            if elapsed_s < SAME_FRAME_S:
                yield Mark(stretch.person_id, box, True)
            elif after < len(stretch.times_s):
                gap_s = stretch.times_s[after] - stretch.times_s[before]
                if gap_s <= HOLD_S:
                    share = elapsed_s / gap_s
                    between = box * (1 - share) + stretch.boxes[after] * share
                    yield Mark(stretch.person_id, between, False)

    def _open_stretches(self, time_s: float) -> None:
        """Open the stretches that have begun, and close those whose trail is over."""
        while self._n_begun < len(self._stretches):
            stretch = self._stretches[self._n_begun]
            if stretch.times_s[0] > time_s + ROUNDING_S:
                break
            self._open.append(stretch)
            self._n_begun += 1
        trail_s = self._trail_s
        self._open = [each for each in self._open if each.times_s[-1] + trail_s >= time_s]

    def _draw_trail(self, canvas: Canvas, stretch: _Stretch, now_s: float) -> None:
        span_s = [now_s - self._trail_s, now_s + ROUNDING_S]
        first, last = np.searchsorted(stretch.times_s, span_s)
        if last - first < 2:
            return
        step = max(1, (last - first) // TRAIL_POINTS)
        first_kept = -(-first // step) * step  # the same rows in every frame
        kept = [*range(first_kept, last - 1, step), last - 1]
        points = floor.foot_points(stretch.boxes[kept])
        thickness = max(1, round(2 * self._scale))
        canvas.polyline(points, colour(stretch.person_id), thickness)


def draw_now(
    picture: av.VideoFrame, marks: Iterable[Mark], camera: str, time_s: float
) -> av.VideoFrame:
    """Draw who is where in a picture of a live camera, its name and the time.

    Args:
        picture: in YUV 4:2:0.
        marks: people in it.
        camera: the camera's name.
        time_s: its time, seconds since 1970; it is shown in UTC.

    Returns:
        A copy of the picture with the drawing; an odd size gets a row or column more.
    """
    drawn = yuv.copy(picture)
    clock = datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    scale = _scale(picture.width, picture.height)
    _draw_marks(Canvas(drawn), marks, f"{camera}  {clock}", scale)
    return drawn


def _scale(width: int, height: int) -> float:
    """How large lines and letters are in a picture of this size."""
    return max(min(width, height) / 720, 0.45)


def _draw_marks(canvas: Canvas, marks: Iterable[Mark], title: str, scale: float) -> None:
    for mark in marks:
        _draw_box(canvas, mark, scale)
    canvas.paste(_label(title, HEADER, scale, canvas.colours), 0, 0)


def _draw_box(canvas: Canvas, mark: Mark, scale: float) -> None:
    x1, y1, x2, y2 = mark.box.tolist()
    thickness = max(1, round(3 * scale)) if mark.seen else 1
    ink = GREY if mark.person_id == NOBODY else colour(mark.person_id)
    canvas.rectangle((x1, y1), (x2, y2), ink, thickness)
    if mark.person_id != NOBODY:
        label = _label(str(mark.person_id), ink, scale, canvas.colours)
        canvas.paste(label, round(x1), round(y1) - label.height)


@lru_cache(maxsize=1024)
def _label(text: str, background: Colour, scale: float, colours: Colours) -> Plate:
    """Draw text on a coloured plate.

    Plates are cached, because text is the most expensive part of drawing.
    """
    size = 0.7 * scale
    thickness = max(1, round(1.6 * scale))
    margin = max(2, round(4 * scale))
    (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, thickness)
    image = np.full(
        (yuv.even(height + base + margin), yuv.even(width + 2 * margin), 3), background, np.uint8
    )
    brightness = np.dot(background, (0.114, 0.587, 0.299))
    ink = (0, 0, 0) if brightness > 140 else (255, 255, 255)
    origin = (margin, height + margin // 2 + 1)
    cv2.putText(image, text, origin, cv2.FONT_HERSHEY_SIMPLEX, size, ink, thickness, cv2.LINE_AA)
    return plate(image, colours)


def annotate(
    frames: Iterator[Frame],
    camera: Camera,
    people: list[Person],
    path: Path,
    config: OutputConfig,
    timings: Timings,
    stop: Callable[[], bool],
) -> str:
    """Draw the frames of one camera into an H.264 file.

    Args:
        frames: the frames, in time order, with their pictures in YUV.
        camera: the camera, on whose clock the frames are.
        people: all people of the run.
        path: the file to write.
        config: encoder, quality and length of the trails.
        timings: the stages "draw" and "encode" are counted here.
        stop: is asked before each frame whether to stop.

    Returns:
        What is wrong with the length of the file, for the user; "" where nothing is.

    Raises:
        Interrupted: `stop` said so.
    """
    last_s = 0.0
    drawing = Drawing(camera, people, config.trail_s)
    with Encoder(
        path, camera.width, camera.height, camera.fps, config.crf, config.encoder
    ) as encoder:
        for frame in frames:
            if stop():
                raise Interrupted
            if frame.picture is None:
                raise ValueError("frames to draw on need their pictures in YUV")
            with timings.stage("draw"):
                picture = drawing.draw(frame.picture, frame.time_s)
            with timings.stage("encode"):
                last_s = frame.time_s - camera.start_s
                encoder.write(picture, last_s)
    return wrong_length(path, last_s, camera.fps)


def wrong_length(path: Path, last_s: float, fps: float) -> str:
    """Say in one line when a written video does not last as long as it was meant to.

    Args:
        path: the video.
        last_s: time of its last frame, seconds since its first.
        fps: its nominal rate; the last frame is shown for about as long.

    Returns:
        What is wrong, without the name of the file; "" where nothing is.
    """
    with av.open(f"file:{path}") as container:
        lasts_s = (container.duration or 0) / av.time_base
        n_frames = max(container.streams.video[0].frames, 1)
    shown_last_s = max(1 / fps, last_s / n_frames)
    if last_s - LENGTH_TOLERANCE_S <= lasts_s <= last_s + 2 * shown_last_s + LENGTH_TOLERANCE_S:
        return ""
    return (
        f"the video lasts {lasts_s:.1f} s and its frames {last_s:.1f} s, since an MP4 can hold no"
        f" step of more than {MAX_STEP_TICKS // TICKS} s; lower sources.max_gap_s"
    )


@lru_cache(maxsize=4096)
def colour(person_id: int) -> Colour:
    """Return a person's BGR colour: hues a golden angle apart, in two brightnesses."""
    hue = int(person_id * GOLDEN_ANGLE_DEG / 2) % 180
    brightness = 255 if person_id % 2 else 200
    hsv = np.array([[[hue, 200, brightness]]], np.uint8)
    blue, green, red = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].tolist()
    return blue, green, red


def _clock(time_s: float) -> str:
    all_tenths = round(abs(time_s) * 10)
    all_seconds, tenths = divmod(all_tenths, 10)
    all_minutes, seconds = divmod(all_seconds, 60)
    hours, minutes = divmod(all_minutes, 60)
    sign = "-" if time_s < 0 else ""
    return f"{sign}{hours}:{minutes:02d}:{seconds:02d}.{tenths}"
