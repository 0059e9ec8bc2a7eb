"""The best crops of a live run are on disk as it goes, and do not stay longer than its video."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.reid.crop_size import HEIGHT_PX, WIDTH_PX
from pipeline.errors import SourceError
from pipeline.live import best_crops
from pipeline.live.best_crops import BETTER, CROPS, FILE_S, SUFFIX, BestCrops, load
from pipeline.live.segments import SEGMENTS, name_of
from pipeline.records import Tracklet
from tests.pipeline.live.disks import read_only, small_disk
from tests.pipeline.live.test_retention import NOW_S, kept
from tests.programs import running

DAY_S = 86_400.0
TRACK = ("gate", 7)


def seen(quality: float = 0.5, grey: int = 90, first_frame: int = 20, n: int = 5) -> Tracklet:
    """A tracklet of some rows, whose crop is cut from its third one."""
    frames = np.arange(first_frame, first_frame + n)
    crop = np.full((HEIGHT_PX, WIDTH_PX, 3), grey, np.uint8)
    times_s = frames / 10
    boxes = np.tile(np.array([1, 2, 30, 60], np.float32), (n, 1))
    return Tracklet(
        *TRACK,
        frames,
        times_s,
        boxes,
        np.full(n, 0.9, np.float32),
        crop[None],
        np.array([quality], np.float32),
        times_s[2:3],
    )


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


def files_of(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / CROPS).iterdir())


def greys(folder: Path) -> list[int]:
    """Grey levels of all crops on disk, in the order in which they were kept."""
    found = load(folder)
    numbers = [entry.number for entries in found.entries.values() for entry in entries]
    return [round(image.mean()) for image in found.images(sorted(numbers))]


def test_the_best_crop_of_a_tracklet_comes_back_with_its_frame(tmp_path: Path) -> None:
    crops = BestCrops(tmp_path, "off")
    crops.take_closed([seen(), replace(seen(grey=200, first_frame=90), track_id=8)])
    crops.write()
    found = load(tmp_path)
    best = found.best(TRACK, 20, 24)
    assert best is not None
    assert (best.frame, best.quality) == (22, 0.5)
    assert found.best(TRACK, 30, 40) is None
    other = found.best(("gate", 8), 90, 94)
    assert other is not None
    images = list(found.images([other.number, best.number]))
    assert [round(image.mean()) for image in images] == [200, 90]


def test_of_somebody_in_view_another_crop_is_kept_when_it_is_clearly_better(
    tmp_path: Path,
) -> None:
    crops = BestCrops(tmp_path, "off")
    for grey, quality in ((50, 0.5), (60, 0.5), (70, 0.55), (80, 0.5 + 1.1 * BETTER)):
        crops.take_in_view([seen(quality, grey)])
    crops.take_closed([seen(0.5 + 1.2 * BETTER, 90)])
    crops.take_closed([seen(0.9, 100, first_frame=70)])
    crops.write()
    assert greys(tmp_path) == [50, 80, 90, 100]
    best = load(tmp_path).best(TRACK, 20, 24)
    assert best is not None
    assert best.quality == pytest.approx(0.62)


def test_a_tracklet_whose_crop_was_kept_in_view_is_not_kept_again(tmp_path: Path) -> None:
    crops = BestCrops(tmp_path, "off")
    crops.take_in_view([seen()])
    crops.take_closed([seen()])
    crops.write()
    assert greys(tmp_path) == [90]


def test_faces_are_hidden_and_of_bodies_nothing_is_kept(tmp_path: Path) -> None:
    noisy = seen()
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, noisy.crops.shape, np.uint8)
    for blur in ("off", "faces", "bodies"):
        crops = BestCrops(tmp_path / blur, blur)
        crops.take_closed([replace(noisy, crops=image)])
        crops.write()
    spreads = {}
    for blur in ("off", "faces"):
        (kept_image,) = load(tmp_path / blur).images([0])
        spreads[blur] = kept_image[: HEIGHT_PX // 4].std()
    assert spreads["faces"] < spreads["off"] / 3
    assert load(tmp_path / "faces").blur == "faces"
    assert load(tmp_path / "bodies").entries == {}
    assert not (tmp_path / "bodies").exists()


def test_a_file_is_continued_for_an_hour(tmp_path: Path) -> None:
    clock = Clock()
    crops = BestCrops(tmp_path, "off", clock)
    for hours in (0, 0.5, 1.01, 3, 2.5):
        clock.now_s = NOW_S + hours * FILE_S
        crops.take_closed([seen(grey=40 + int(10 * hours))])
        crops.write()
    starts_s = [NOW_S + hours * FILE_S for hours in (0, 1.01, 2.5, 3)]
    assert files_of(tmp_path) == [name_of(start_s, SUFFIX) for start_s in starts_s]


def test_crops_are_deleted_as_old_as_video_is_but_not_the_file_that_is_written(
    tmp_path: Path,
) -> None:
    clock = Clock()
    for age_s in (3 * DAY_S, 1.5 * DAY_S, 0.5 * DAY_S, 0.5 * FILE_S):
        clock.now_s = NOW_S - age_s
        crops = BestCrops(tmp_path, "off", clock)
        crops.take_closed([seen()])
        crops.write()
    (tmp_path / CROPS / "notes.jsonl").write_text("not to be lost")
    (tmp_path / CROPS / name_of(1e9, SUFFIX)).symlink_to(tmp_path / CROPS / "notes.jsonl")
    assert kept(tmp_path, keep_days=2).n_deleted == 1
    assert len(files_of(tmp_path)) == 5
    assert kept(tmp_path, keep_gb=1 / 1e9).n_deleted == 2
    left = {name_of(1e9, SUFFIX), name_of(NOW_S - 0.5 * FILE_S, SUFFIX), "notes.jsonl"}
    assert set(files_of(tmp_path)) == left


def test_video_and_crops_share_the_room_and_the_oldest_goes_first(tmp_path: Path) -> None:
    clock = Clock()
    clock.now_s = NOW_S - 2 * DAY_S
    crops = BestCrops(tmp_path, "off", clock)
    crops.take_closed([seen()])
    crops.write()
    n_bytes = (tmp_path / CROPS / files_of(tmp_path)[0]).stat().st_size
    videos = tmp_path / SEGMENTS / "gate"
    videos.mkdir(parents=True)
    for days in (1, 3):
        (videos / name_of(NOW_S - days * DAY_S)).write_bytes(b"x" * 5000)
    kept(tmp_path, keep_gb=(n_bytes + 5100) / 1e9)
    assert [path.name for path in videos.iterdir()] == [name_of(NOW_S - DAY_S)]
    assert len(files_of(tmp_path)) == 1
    kept(tmp_path, keep_gb=5100 / 1e9)
    assert len(list(videos.iterdir())) == 1
    assert files_of(tmp_path) == []


def test_what_a_torn_line_held_is_left_out_and_the_others_are_there(tmp_path: Path) -> None:
    crops = BestCrops(tmp_path, "off")
    crops.take_closed([seen(grey=grey, first_frame=grey) for grey in (50, 60, 70)])
    crops.write()
    (path,) = (tmp_path / CROPS).iterdir()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b'{"camera": 3\n[]\n' + lines[1] + lines[2][:-40])
    assert greys(tmp_path) == [50, 60]


@pytest.mark.parametrize("line", [b"[" * 100_000, b'{"camera": "gate", "track_id": 1e999}'])
def test_a_line_that_this_program_did_not_write_is_left_out(tmp_path: Path, line: bytes) -> None:
    crops = BestCrops(tmp_path, "off")
    crops.take_closed([seen(grey=50, first_frame=50)])
    crops.write()
    (path,) = (tmp_path / CROPS).iterdir()
    path.write_bytes(line + b"\n" + path.read_bytes())
    assert greys(tmp_path) == [50]


@pytest.mark.parametrize("jpeg", ["", "!", "bm8gSlBFRw=="])
def test_a_damaged_crop_is_one_line(tmp_path: Path, jpeg: str) -> None:
    entry = {"camera": "gate", "track_id": 7, "frame": 1, "quality": 0.5, "blur": "off"}
    (tmp_path / CROPS).mkdir()
    path = tmp_path / CROPS / name_of(NOW_S, SUFFIX)
    path.write_text(json.dumps({**entry, "jpeg": jpeg}) + "\n")
    with pytest.raises(SourceError, match=f"{CROPS}: is damaged"):
        list(load(tmp_path).images([0]))


def test_crops_that_are_deleted_while_a_report_is_made_are_not_called_damaged(
    tmp_path: Path,
) -> None:
    crops = BestCrops(tmp_path, "off")
    crops.take_closed([seen()])
    crops.write()
    found = load(tmp_path)
    (path,) = (tmp_path / CROPS).iterdir()
    path.unlink()
    with pytest.raises(SourceError, match=f"^{path}: was deleted meanwhile; make the report again"):
        list(found.images([0]))


def test_crops_wait_for_a_disk_that_takes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(best_crops, "MAX_WAITING", 3)
    with small_disk(tmp_path / "small", megabytes=4) as disk:
        (disk / CROPS).mkdir()
        crops = BestCrops(disk, "off")
        with read_only(disk / CROPS):
            crops.take_closed([seen(grey=grey, first_frame=grey) for grey in (50, 60, 70)])
            crops.write()
            assert "Read-only file system" in crops.problem
            crops.take_closed([seen(grey=80, first_frame=80)])
        crops.write()
        assert crops.problem == ""
        assert greys(disk) == [60, 70, 80]


KEEPS_ON = """
import sys
from pathlib import Path
from pipeline.live.best_crops import BestCrops
from tests.pipeline.live.test_best_crops import seen

crops = BestCrops(Path(sys.argv[1]), "off")
for number in range(1, 100_000):
    crops.take_closed([seen(first_frame=10 * number)])
    crops.write()
    print(number, flush=True)
"""


@pytest.mark.slow
def test_a_kill_loses_no_crop_that_was_written(tmp_path: Path) -> None:
    with running([sys.executable, "-c", KEEPS_ON, tmp_path], stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        for _ in range(20):
            started.stdout.readline()
        started.kill()
        rest = started.stdout.read().split()
    n_written = 20 + len(rest)
    assert len(greys(tmp_path)) in (n_written, n_written + 1)
