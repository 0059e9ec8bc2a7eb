"""What the cameras show, with boxes and numbers: recorded as segments, and published for the page.

Pictures are drawn at once, with the numbers that are known by then: who is new has a grey box until
the next step of linking. What `privacy.blur` hides is hidden first.
"""

from collections.abc import Callable
from pathlib import Path

from pipeline.config import Config
from pipeline.following import Followed
from pipeline.live import jpeg, privacy
from pipeline.live.hub import Hub
from pipeline.live.segments import Segments
from pipeline.outputs.video import NOBODY, Mark, draw_now
from pipeline.records import Array, Frame
from pipeline.sources.live.health import CameraEvent


class Views:
    """Draws what is looked at; nothing here may stop or delay the run."""

    def __init__(
        self,
        folder: Path,
        config: Config,
        hub: Hub,
        person_of: Callable[[str, int], int],
        blocked: Callable[[], str],
    ) -> None:
        """Begin.

        Args:
            folder: output folder of the run.
            config: all settings.
            hub: gets the pictures of cameras that somebody watches.
            person_of: returns the number of the person whose track of a camera this is; -1 for
                nobody.
            blocked: returns why no video may be written now, in words; "" where it may.
        """
        self._folder = folder
        self._config = config
        self._hub = hub
        self._person_of = person_of
        self._blocked = blocked
        self._segments: dict[str, Segments] = {}

    def show(self, frame: Frame, followed: Followed) -> None:
        """Draw a frame, record it, and publish it if somebody watches.

        Args:
            frame: with its picture in YUV.
            followed: the people in it.
        """
        (in_frame,) = (followed.tracks.frames == frame.index).nonzero()
        track_ids = followed.tracks.track_ids[in_frame].tolist()
        is_recorded = self._config.output.video
        is_watched = self._hub.is_watched(frame.camera) or self._hub.picture(frame.camera) is None
        if frame.picture is None or not (is_recorded or is_watched):
            return
        hidden = privacy.blurred(frame.picture, followed.possible_boxes, self._config.privacy.blur)
        marks = self._marks(frame.camera, track_ids, followed.tracks.boxes[in_frame])
        drawn = draw_now(hidden, marks, frame.camera, frame.time_s)
        if is_watched:
            self._hub.publish_picture(frame.camera, jpeg.of_picture(drawn), frame.time_s)
        if is_recorded:
            self._segments_of(frame.camera).write(drawn, frame.time_s)

    def take_events(self) -> list[CameraEvent]:
        """Return what has happened to the videos since the last call."""
        events: list[CameraEvent] = []
        for segments in self._segments.values():
            events += segments.take_events()
        return events

    def close(self) -> None:
        """Finish the segments."""
        for segments in self._segments.values():
            segments.close()

    def being_written(self) -> list[Path]:
        """Return the segments that are being written; on any thread."""
        current = [segments.current for segments in list(self._segments.values())]
        return [path for path in current if path is not None]

    def _marks(self, camera: str, track_ids: list[int], boxes: Array) -> list[Mark]:
        """The boxes (n, 4) of tracks in a picture, px, with the numbers of their people."""
        marks: list[Mark] = []
        for track_id, box in zip(track_ids, boxes, strict=True):
            person_id = self._person_of(camera, track_id)
            marks.append(Mark(person_id if person_id > 0 else NOBODY, box, seen=True))
        return marks

    def _segments_of(self, camera: str) -> Segments:
        if camera not in self._segments:
            self._segments[camera] = Segments(
                self._folder,
                camera,
                self._config.live,
                self._config.output,
                self._blocked,
            )
        return self._segments[camera]
