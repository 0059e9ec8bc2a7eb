"""Events at zones as a file, summed up, and in a whole run."""

import csv
import json
from pathlib import Path

import pytest
import yaml

from pipeline import cli
from pipeline.zones import table
from pipeline.zones.counting import Event
from tests.pipeline.zones.walks import area, line
from tests.videos import write_video

HOSTILE = 'a,"b" é'
EVENTS = [
    Event(HOSTILE, "entry", 1, 1.25, "gate", occupancy=1),
    Event("door", "crossing", 1, 2.0, "gate", "in"),
    Event(HOSTILE, "entry", 2, 3.0, "hall", occupancy=2),
    Event(HOSTILE, "exit", 1, 5.25, "hall", dwell_s=4.0, occupancy=1),
    Event("door", "crossing", 2, 6.0, "gate", "out"),
    Event("door", "crossing", 3, 7.0, "gate", "out"),
]
ZONES = [area(name=HOSTILE), line(), area(name="empty")]


def test_events_are_written_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / table.FILE
    path.write_text("".join(table.csv_lines(EVENTS)), encoding="utf-8")
    assert table.read(path) == EVENTS
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == [
        *("zone", "kind", "person_id", "time_s", "camera", "direction", "dwell_s", "occupancy")
    ]
    assert rows[1] == [HOSTILE, "entry", "1", "1.2500", "gate", "", "", "1"]
    assert rows[2] == ["door", "crossing", "1", "2.0000", "gate", "in", "", ""]
    assert rows[4] == [HOSTILE, "exit", "1", "5.2500", "hall", "", "4.0000", "1"]


def test_a_folder_without_zones_has_no_events(tmp_path: Path) -> None:
    assert table.read(tmp_path / table.FILE) == []


@pytest.mark.parametrize("row", ["shop,dance,1,2.0,gate,,,", "shop,entry,1,,gate,,,1"])
def test_a_table_of_others_is_refused(tmp_path: Path, row: str) -> None:
    path = tmp_path / table.FILE
    path.write_text(f"{','.join(table.COLUMNS)}\n{row}\n")
    with pytest.raises(ValueError, match=r"dance|could not convert"):
        table.read(path)


def test_a_field_that_is_too_long_is_none_of_this_program(tmp_path: Path) -> None:
    path = tmp_path / table.FILE
    path.write_text("".join(table.csv_lines(EVENTS)) + "x" * 200_000 + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match="field larger than field limit"):
        table.read(path)


def test_totals_name_all_zones_also_those_where_nothing_happened() -> None:
    shop, door, empty = table.totals(EVENTS, ZONES)
    assert (shop.entries, shop.exits, shop.inside, shop.most, shop.dwell_s) == (2, 1, 1, 2, 4.0)
    assert door.in_words() == "zone door: 1 in, 2 out"
    assert empty.in_words() == "zone empty: 0 entries, 0 exits, 0 inside at the end, 0 at most"
    assert shop.in_words().endswith(
        "2 entries, 1 exit, 1 inside at the end, 2 at most, median stay 4.0 s"
    )


def test_a_run_counts_at_its_zones_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_video(tmp_path / "cam.mp4", 60, size=(200, 100))
    boxes = tmp_path / "cam.txt"
    boxes.write_text("".join(f"{f},-1,{3 * f - 20},10,20,50,0.9\n" for f in range(1, 61)))
    zones = [
        {"name": "left", "camera": "cam", "polygon": [[0, 0], [100, 0], [100, 100], [0, 100]]},
        {"name": "door", "camera": "cam", "line": [[50, 100], [50, 0]]},
    ]
    site = {
        "cameras": [{"source": str(video), "name": "cam"}],
        "detector": {"detections": str(boxes)},
        "reid": {"weights": "none"},
        "zones": zones,
    }
    config = tmp_path / "site.yaml"
    config.write_text(yaml.safe_dump(site))
    output = tmp_path / "out"
    assert cli.main(["--config", str(config), "--no-video", "--output", str(output)]) == 0
    said = capsys.readouterr().out
    assert "zone door: 1 in, 0 out" in said
    assert "zone left: 1 entry, 1 exit, 0 inside at the end, 1 at most, median stay" in said
    events = table.read(output / "zones.csv")
    assert [(each.zone, each.kind, each.direction) for each in events] == [
        ("left", "entry", ""),
        ("door", "crossing", "in"),
        ("left", "exit", ""),
    ]
    manifest = json.loads((output / "run.json").read_text())
    assert "zones.csv" in manifest["files"]
    assert [(each["zone"], each["entries"], each["exits"]) for each in manifest["zones"]] == [
        ("left", 1, 1),
        ("door", 1, 0),
    ]
