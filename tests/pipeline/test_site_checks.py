"""Regions of interest and homographies that do not mean what they have to are told."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline import cli, mot, site_checks
from pipeline.config import ZoneConfig
from pipeline.errors import ConfigError
from pipeline.evaluate.__main__ import evaluate
from pipeline.records import Array, Camera, Tracklet
from tests.videos import write_video

Polygon = list[tuple[float, float]]


def camera(homography: Array | None = None, fps: float = 12.5) -> Camera:
    matrix = np.zeros((0, 0)) if homography is None else homography
    return Camera("cam1", "", 960, 540, fps, 0.0, -1, matrix)


def scaled(polygon: Polygon, x: float, y: float) -> Polygon:
    return [(px * x, py * y) for px, py in polygon]


SQUARE = [(96.0, 108.0), (864.0, 108.0), (864.0, 486.0), (96.0, 486.0)]
GENEROUS = [(-50.0, -20.0), (480.0, -20.0), (480.0, 560.0), (-50.0, 560.0)]


@pytest.mark.parametrize("roi", [[], SQUARE, GENEROUS])
def test_a_region_in_the_picture_needs_no_warning(roi: Polygon) -> None:
    assert site_checks.check_region(camera(), roi) == []


@pytest.mark.parametrize(
    ("roi", "reason"),
    [
        (
            scaled(SQUARE, 1 / 960, 1 / 540),
            r"from \(0\.1, 0\.2\) to \(0\.9, 0\.9\), as fractions .* 960 x 540 px it is roi:"
            r" \[\[96\.0, 108\.0\],",
        ),
        ([(1000, 100), (1900, 100), (1900, 900)], "wholly outside the picture of 960 x 540 px"),
        ([(0, 0), (100, 100), (300, 300)], "has no area"),
    ],
    ids=["fractions", "outside", "line"],
)
def test_a_region_that_holds_nothing_is_an_error(roi: Polygon, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"^cam1: its roi [^\n]*{reason}[^\n]*$"):
        site_checks.check_region(camera(), roi)


@pytest.mark.parametrize(
    ("roi", "word"),
    [
        (scaled(SQUARE, 2, 2), "if it was drawn at 1920 x 1080, it is roi: [[96.0, 108.0],"),
        ([(-900, 0), (300, 0), (300, 500)], "beyond the picture of 960 x 540 px"),
        ([(y, x) for x, y in SQUARE], "if x and y are exchanged, it is roi: [[96.0, 108.0],"),
        (scaled(SQUARE, 1 / 9, 1 / 5), "if these are percent, it is roi: [[102.4, 116.6],"),
        ([SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3]], "has sides that cross"),
    ],
    ids=["larger picture", "far beyond", "y x", "percent", "order"],
)
def test_a_region_that_is_hardly_meant_so_is_a_warning(roi: Polygon, word: str) -> None:
    (warning,) = site_checks.check_region(camera(), roi)
    assert word in warning


OUTSIDE_LINE = [(1000.0, 100.0), (1900.0, 100.0)]
HALF_SCALE = [(0.1, 0.2), (0.9, 0.2)]
LARGER = [(100.0, 100.0), (1900.0, 1000.0)]


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ({"line": OUTSIDE_LINE}, "its line in cam1 reaches .* wholly outside the picture of 960"),
        ({"line": HALF_SCALE}, r"its line .* as fractions .* it is line: \[\[96\.0, 108\.0\],"),
        ({"polygon": scaled(SQUARE, 1 / 960, 1 / 540)}, r"it is polygon: \[\[96\.0, 108\.0\],"),
        ({"polygon": scaled(SQUARE, -1, -1)}, "its polygon .* wholly outside the picture"),
    ],
)
def test_a_zone_that_is_not_in_the_picture_is_an_error(
    shape: dict[str, Polygon], reason: str
) -> None:
    zone = ZoneConfig(name="door", camera="cam1", **shape)
    with pytest.raises(ConfigError, match=f"^zone door: [^\n]*{reason}[^\n]*$"):
        site_checks.check_zone(camera(), zone)


def test_a_zone_that_is_hardly_meant_so_is_a_warning() -> None:
    (warning,) = site_checks.check_zone(camera(), ZoneConfig(name="a", camera="cam1", line=LARGER))
    assert "beyond the picture of 960 x 540 px; if it was drawn at 1920 x 1080" in warning
    assert "it is line: [[50.0, 50.0], [950.0, 500.0]]" in warning
    assert site_checks.check_zone(camera(), ZoneConfig(name="a", polygon=SQUARE)) == []


def test_a_region_that_holds_nobody_is_told_in_run_json_and_on_the_screen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_video(tmp_path / "cam.mp4", 10, size=(200, 100))
    boxes = tmp_path / "cam.txt"
    boxes.write_text("".join(f"{f},-1,{10 + 9 * f},10,20,50,0.9\n" for f in range(1, 11)))
    roi = [[150, 0], [400, 0], [400, 100], [150, 100]]
    site = {
        "cameras": [{"source": str(video), "name": "cam", "roi": roi}],
        "detector": {"detections": str(boxes)},
        "reid": {"weights": "none"},
    }
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(site))
    arguments = ["--config", str(tmp_path / "site.yaml"), "--no-video", "--quiet"]
    assert cli.main([*arguments, "--output", str(tmp_path / "out")]) == 0
    warnings = json.loads((tmp_path / "out" / "run.json").read_text())["warnings"]
    assert len(warnings) == 2
    assert "beyond the picture of 200 x 100 px" in warnings[0]
    assert "has the feet of none of the 10 people boxes" in warnings[1]
    assert all(warning in capsys.readouterr().err for warning in warnings[:1])


@pytest.fixture(scope="module")
def people(sample: Path) -> list[Tracklet]:
    """Everybody in the sample's first camera, from its truth."""
    rows = mot.read(sample / "truth" / "cam1.txt")
    tracklets: list[Tracklet] = []
    for person in np.unique(rows[:, 1]).tolist():
        own = rows[rows[:, 1] == person]
        frames = own[:, 0].astype(np.int64) - 1
        scores = np.ones(len(own), np.float32)
        crops = np.zeros((0, 256, 128, 3), np.uint8)
        quality = np.zeros(0, np.float32)
        boxes = mot.boxes(own)
        tracklets.append(
            Tracklet(
                "cam1",
                int(person),
                frames,
                frames / 12.5,
                boxes,
                scores,
                crops,
                quality,
                np.zeros(0),
            )
        )
    return tracklets


@pytest.fixture(scope="module")
def homography(sample: Path) -> Array:
    cameras = json.loads((sample / "cameras.json").read_text())["cameras"]
    return np.array(cameras[0]["H_image_to_ground"], np.float64)


def test_a_homography_in_metres_needs_no_warning(people: list[Tracklet], homography: Array) -> None:
    assert site_checks.check_homographies(people, [camera(homography)], True) == []
    assert site_checks.check_homographies(people, [camera()], True) == []
    assert site_checks.check_homographies([], [camera(homography)], True) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda h: np.diag([100, 100, 1]) @ h, ["is it in centimetres?", "walk 11", "by 0.01"]),
        (lambda h: np.diag([1000, 1000, 1]) @ h, ["is it in millimetres?", "by 0.001"]),
        (lambda h: np.diag([1 / 0.3048, 1 / 0.3048, 1]) @ h, ["is it in feet?", "2.07 m wide"]),
        (np.linalg.inv, ["its inverse fits: it maps the floor to the image"]),
        (np.transpose, ["it fits with rows and columns exchanged"]),
        (lambda h: np.diag([12, 12, 1]) @ h, ["measure the floor points again"]),
    ],
    ids=["cm", "mm", "feet", "inverse", "transposed", "neither"],
)
def test_a_homography_that_makes_people_too_wide_is_told_with_the_remedy(
    people: list[Tracklet], homography: Array, change: object, words: list[str]
) -> None:
    assert callable(change)
    changed = camera(np.asarray(change(homography), np.float64))
    (doubt,) = site_checks.check_homographies(people, [changed], True)
    assert doubt.text.startswith("cam1: with its homography people are ")
    assert all(word in doubt.text for word in words)
    assert doubt.is_impossible
    assert doubt.text.endswith("it is left out of linking and of the results")
    assert site_checks.without_homographies(changed, [doubt]).homography.shape == (0, 0)


def test_people_who_are_too_fast_are_told_with_the_frame_rate(
    people: list[Tracklet], homography: Array
) -> None:
    fast: list[Tracklet] = []
    for each in people:
        repeated = Tracklet(
            "cam1",
            each.track_id,
            each.frames,
            each.frames / 125,
            each.boxes,
            each.scores,
            each.crops,
            each.crop_quality,
            each.crop_times_s,
        )
        fast.append(repeated)
    (doubt,) = site_checks.check_homographies(fast, [camera(homography, 125)], True)
    assert "check the frame rate: frames are 0.008 s apart" in doubt.text
    assert not doubt.is_impossible


def test_a_homography_that_is_only_suspect_stays_in_use(
    people: list[Tracklet], homography: Array
) -> None:
    changed = camera(np.diag([2.5, 2.5, 1]) @ homography)
    (doubt,) = site_checks.check_homographies(people, [changed], True)
    assert doubt.text.endswith("floor positions and the links that rest on them are wrong")
    assert site_checks.without_homographies(changed, [doubt]) is changed


def test_homographies_in_centimetres_cost_no_links(sample: Path, tmp_path: Path) -> None:
    site = yaml.safe_load(Path("configs/plaza.yaml").read_text())
    for each in site["cameras"]:
        each["source"] = str(sample / f"{each['name']}.mp4")
        each["homography"] = (np.diag([100, 100, 1]) @ np.array(each["homography"])).tolist()
    site["detector"] = {"detections": str(sample / "truth")}
    site["sources"] = {"max_seconds": 12}
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(site))
    arguments = ["--config", str(tmp_path / "site.yaml"), "--no-video", "--quiet"]
    assert cli.main([*arguments, "--output", str(tmp_path / "out")]) == 0
    manifest = json.loads((tmp_path / "out" / "run.json").read_text())
    told = [warning for warning in manifest["warnings"] if "is it in centimetres?" in warning]
    assert len(told) == 2
    found, _ = evaluate(tmp_path / "out", sample / "truth", cameras=["cam1", "cam2"])
    assert found.together["ours"]["IDF1"] > 0.95
