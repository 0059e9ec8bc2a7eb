"""CVAT for video 1.1: one XML file a camera, in which a human can correct boxes and people.

A track is a tracklet. CVAT gives tracks ids of its own when it imports them, but keeps attributes.
So `person_id` and `track_id` are attributes that hold for the whole track, and `score` and
`filled` (interpolated, not detected) attributes that may change from box to box. A filled box is no
keyframe, so CVAT moves it along with the detected ones around it; only the last one before a gap
has to be one. A box that is `outside` ends what is seen. `labels.json` beside the files is the
label for CVAT's constructor ("Raw"). Frames are numbered as in the video: a task for a run with
`sources.stride` N needs CVAT's frame step N. Images of a folder are numbered from 0 by CVAT; make a
video of those whose names begin at another number, or have gaps.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from pipeline.exports.staging import staged
from pipeline.exports.table import Footage, Table
from pipeline.outputs.trajectories import Rows
from pipeline.version import VERSION

LABEL = "person"
COLOUR = "#33ddff"
LABELS_FILE = "labels.json"
MAX_ID = 1_000_000_000
ATTRIBUTES: tuple[dict[str, Any], ...] = (
    {
        "name": "person_id",
        "input_type": "number",
        "mutable": False,
        "values": ["0", str(MAX_ID), "1"],
        "default_value": "0",
    },
    {
        "name": "track_id",
        "input_type": "number",
        "mutable": False,
        "values": ["0", str(MAX_ID), "1"],
        "default_value": "0",
    },
    {
        "name": "score",
        "input_type": "text",
        "mutable": True,
        "values": ["1"],
        "default_value": "1",
    },
    {
        "name": "filled",
        "input_type": "checkbox",
        "mutable": True,
        "values": ["false"],
        "default_value": "false",
    },
)
"""Attributes of the label, as CVAT's constructor takes them. 0 stands for an id that was not given.
"""
NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What cannot stand in XML, not even escaped."""

Name = tuple[int, int]
"""Track and first frame of a tracklet, within its camera."""


@dataclass(frozen=True, slots=True)
class _Box:
    frame: int
    corners: tuple[float, ...]
    score: float
    is_filled: bool


@dataclass(slots=True)
class _Track:
    """Lines of the boxes of a tracklet; each is written when it is known what follows it."""

    person_id: int
    track_id: int
    lines: list[str] = field(default_factory=list)
    _latest: _Box | None = None

    def add(self, box: _Box, footage: Footage) -> None:
        """Add the next box."""
        self._write(box.frame, footage)
        self._latest = box

    def end(self, footage: Footage) -> None:
        """Write the last box."""
        self._write(-1, footage)

    def _write(self, next_frame: int, footage: Footage) -> None:
        """Write the latest box, and what ends it if there is a gap before the next frame."""
        box = self._latest
        if box is None:
            return
        following = box.frame + footage.stride
        goes_on = next_frame == following
        is_keyframe = not (box.is_filled and goes_on)
        self._line(box, box.frame, is_keyframe, is_outside=False)
        if not goes_on and following <= footage.last_frame:
            self._line(box, following, is_keyframe=True, is_outside=True)

    def _line(self, box: _Box, frame: int, is_keyframe: bool, is_outside: bool) -> None:
        x1, y1, x2, y2 = box.corners
        values = {
            "person_id": str(self.person_id),
            "track_id": str(self.track_id),
            "score": f"{box.score:.4f}",
            "filled": "true" if box.is_filled else "false",
        }
        attributes = [
            f'<attribute name="{name}">{value}</attribute>' for name, value in values.items()
        ]
        self.lines.append(
            f'    <box frame="{frame}" outside="{is_outside:d}" occluded="0"'
            f' keyframe="{is_keyframe:d}" xtl="{x1:.2f}" ytl="{y1:.2f}" xbr="{x2:.2f}"'
            f' ybr="{y2:.2f}" z_order="0">{"".join(attributes)}</box>\n'
        )


def write(table: Table, folder: Path) -> None:
    """Write one file a camera, and the label.

    Args:
        table: the rows of a run.
        folder: where they go.

    Raises:
        PipelineError: the results are damaged, or a file cannot be written.
    """
    last_frames = _last_frames(table)
    for footage, parts in table.by_camera():
        name = footage.camera.name
        with staged(folder / f"{name}.xml") as path, path.open("w", encoding="utf-8") as file:
            file.write(_head(footage))
            for number, track in enumerate(_tracks(parts, footage, last_frames[name])):
                file.write(f'  <track id="{number}" label="{LABEL}" source="auto">\n')
                file.writelines(track.lines)
                file.write("  </track>\n")
            file.write("</annotations>\n")
    with staged(folder / LABELS_FILE) as path:
        label = {"name": LABEL, "color": COLOUR, "type": "rectangle", "attributes": ATTRIBUTES}
        path.write_text(json.dumps([label], indent=1) + "\n", encoding="utf-8")


def _last_frames(table: Table) -> dict[str, dict[Name, int]]:
    """Last frame of each tracklet, by camera: then it can be written, and forgotten."""
    last_frames: dict[str, dict[Name, int]] = {}
    for footage, parts in table.by_camera():
        of_camera = last_frames.setdefault(footage.camera.name, {})
        for rows in parts:
            names = zip(rows.track_ids.tolist(), rows.first_frames.tolist(), strict=True)
            of_camera.update(zip(names, rows.frames.tolist(), strict=True))
    return last_frames


def _tracks(
    parts: Iterable[Rows], footage: Footage, last_frames: dict[Name, int]
) -> Iterator[_Track]:
    """Tracklets, in the order in which they end."""
    open_tracks: dict[Name, _Track] = {}
    for rows in parts:
        corners = rows.boxes.tolist()
        for i, frame in enumerate(rows.frames.tolist()):
            name = (int(rows.track_ids[i]), int(rows.first_frames[i]))
            track = open_tracks.get(name)
            if track is None:
                track = _Track(int(rows.person_ids[i]), name[0])
                open_tracks[name] = track
            score = float(rows.scores[i])
            track.add(_Box(frame, tuple(corners[i]), score, bool(rows.is_filled[i])), footage)
            if frame == last_frames[name]:
                track.end(footage)
                yield open_tracks.pop(name)


def _head(footage: Footage) -> str:
    """What stands before the tracks: the task as CVAT describes it."""
    camera = footage.camera
    step = footage.stride
    source = escape(NO_XML.sub("", Path(camera.source).name))
    return f"""<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <name>{escape(camera.name)}</name>
      <size>{len(footage.frames)}</size>
      <mode>interpolation</mode>
      <overlap>0</overlap>
      <start_frame>{footage.first_frame}</start_frame>
      <stop_frame>{max(footage.last_frame, 0)}</stop_frame>
      <frame_filter>{f"step={step}" if step > 1 else ""}</frame_filter>
      <z_order>False</z_order>
      <labels>
        <label>
          <name>{LABEL}</name>
          <color>{COLOUR}</color>
          <type>rectangle</type>
          <attributes>
{"".join(_attribute(each) for each in ATTRIBUTES)}          </attributes>
        </label>
      </labels>
      <original_size>
        <width>{camera.width}</width>
        <height>{camera.height}</height>
      </original_size>
      <source>{source}</source>
    </task>
    <dumped>people-tracker {VERSION}</dumped>
  </meta>
"""


def _attribute(attribute: dict[str, Any]) -> str:
    values = "\n".join(attribute["values"])
    return f"""            <attribute>
              <name>{attribute["name"]}</name>
              <mutable>{attribute["mutable"]}</mutable>
              <input_type>{attribute["input_type"]}</input_type>
              <default_value>{attribute["default_value"]}</default_value>
              <values>{values}</values>
            </attribute>
"""
