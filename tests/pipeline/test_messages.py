"""What people type and save by habit is understood, or answered with what to type."""

import codecs
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from pipeline import cli
from pipeline.evaluate import __main__ as evaluation
from tests.videos import write_video

ROWS = "".join(f"{f},1,{10 + 9 * f},10,20,50,0.9\n" for f in range(1, 11))


def marked(path: Path, text: str) -> Path:
    """A text file with a byte order mark, as editors on Windows write it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(codecs.BOM_UTF8 + text.encode())
    return path


def test_files_with_byte_order_marks_and_cameras_with_blanks_and_numbers_go_through(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = [write_video(tmp_path / f"{i}.mp4", 10, size=(200, 100)) for i in range(2)]
    names: list[object] = ["main hall", 7]
    cameras = [
        {"source": str(video), "name": name} for video, name in zip(videos, names, strict=True)
    ]
    for name in names:
        marked(tmp_path / "boxes" / f"{name}.txt", ROWS)
    site = {
        "cameras": cameras,
        "detector": {"detections": str(tmp_path / "boxes")},
        "reid": {"weights": "none"},
    }
    config = str(marked(tmp_path / "site.yaml", yaml.safe_dump(site)))
    out = tmp_path / "out"
    quick = ["--no-video", "--quiet"]
    assert cli.main(["--config", config, "--output", str(out), *quick]) == 0
    assert "the camera 'main hall' is called main_hall" in capsys.readouterr().out
    assert sorted(path.name for path in (out / "mot").iterdir()) == ["7.txt", "main_hall.txt"]
    for name in ("tracks.csv", "priors.json", "run.json"):
        marked(out / name, (out / name).read_text())
    assert evaluation.main([str(out), str(tmp_path / "boxes")]) == 0
    again = ["--priors", str(out / "priors.json"), "--output", str(tmp_path / "again")]
    assert cli.main(["--config", config, *again, *quick]) == 0


def test_a_seqinfo_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    images = tmp_path / "walk" / "img1"
    images.mkdir(parents=True)
    for i in range(1, 4):
        cv2.imwrite(str(images / f"{i:06}.png"), np.zeros((48, 64, 3), np.uint8))
    marked(tmp_path / "walk" / "seqinfo.ini", "[Sequence]\nframeRate=10\n")
    (tmp_path / "walk.txt").write_text("")
    boxes = ["--set", f"detector.detections={tmp_path / 'walk.txt'}"]
    given = ["--videos", str(tmp_path / "walk"), *boxes, "--no-video", "--quiet"]
    assert cli.main([*given, "--output", str(tmp_path / "out")]) == 0


@pytest.mark.parametrize("path", ["-cam.mp4", "-videos/cam.mp4", "./-cam.mp4"])
def test_a_path_may_begin_with_a_dash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-videos").mkdir()
    write_video(Path(path), 3)
    assert cli.parse(["--videos", path, "--quiet"]).videos[0].endswith(path)
    assert Path(cli.parse(["--videos", path, "--quiet"]).videos[0]).is_file()


def test_a_path_that_begins_with_a_dash_and_is_not_there_is_answered_with_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        cli.parse(["--videos", "-cam.mp4"])
    assert "a path that begins with a dash is written ./-name" in capsys.readouterr().err


def test_a_yaml_switch_as_a_name_is_answered_with_what_to_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("cameras:\n  - source: a.mp4\n    name: on\n")
    assert cli.main(["--config", str(site), "--output", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {site}: cameras.0.name: YAML reads on, off, yes, no,")
    assert 'name: "on"' in line
