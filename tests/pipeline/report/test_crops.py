"""The best crop of each tracklet, kept while a run goes on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import SourceError
from pipeline.live.privacy import Blur
from pipeline.records import Tracklet
from pipeline.report import crops
from pipeline.report.stills import Stills
from tests.archives import DAMAGES, Damage, damaged
from tests.pipeline.report import results


def closed(qualities: list[float]) -> Tracklet:
    """A tracklet of ten frames whose crops are as grey as they are good."""
    entry = {
        "camera": "gate",
        "track_id": 7,
        "frames": list(range(100, 110)),
        "times_s": [10 + at / 10 for at in range(10)],
        "boxes": [[0, 0, 10, 20]] * 10,
        "scores": [0.9] * 10,
    }
    tracklet = results.with_crop(entry, 1)
    levels = (200 * np.array(qualities)).astype(np.uint8)
    shape = (len(qualities), *tracklet.crops.shape[1:])
    return replace(
        tracklet,
        crops=np.broadcast_to(levels[:, None, None, None], shape).copy(),
        crop_quality=np.array(qualities, np.float32),
        crop_times_s=np.linspace(10, 10.9, len(qualities)),
    )


def kept(path: Path, tracklets: list[Tracklet], blur: Blur = "off") -> crops.Crops:
    with crops.keeping(path, blur, Stills(blur)) as keeper:
        assert list(keeper.keep(iter([tracklets]))) == [tracklets]
    return crops.load(path)


def test_the_best_crop_of_a_tracklet_is_kept_with_its_frame(tmp_path: Path) -> None:
    found = kept(tmp_path / "crops.zip", [closed([0.2, 0.9, 0.5, 0.1])])
    best = found.best(("gate", 7), 100, 109)
    assert best is not None
    assert (best.frame, best.quality) == (103, 0.9)
    (image,) = found.images([best.number])
    assert abs(float(image.mean()) - 180) < 2


def test_a_piece_that_linking_cut_off_has_the_crop_only_if_it_was_cut_from_it(
    tmp_path: Path,
) -> None:
    found = kept(tmp_path / "crops.zip", [closed([0.2, 0.9, 0.5, 0.1])])
    assert found.best(("gate", 7), 100, 104) is not None
    assert found.best(("gate", 7), 105, 109) is None
    assert found.best(("gate", 8), 100, 109) is None


def test_a_tracklet_without_crops_has_none(tmp_path: Path) -> None:
    found = kept(tmp_path / "crops.zip", [closed([0.5]).without_crops()])
    assert found.entries == {}


def test_no_more_crops_are_kept_than_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crops, "MAX_CROPS", 2)
    found = kept(tmp_path / "crops.zip", [closed([0.5])] * 3)
    assert len(found.entries["gate", 7]) == 2


def test_faces_are_hidden_in_what_is_kept_and_of_bodies_nothing_is(tmp_path: Path) -> None:
    tracklet = closed([0.5])
    rows = np.arange(tracklet.crops.shape[1]) % 2 * 255
    striped = replace(
        tracklet, crops=np.broadcast_to(rows[:, None, None], tracklet.crops.shape).astype(np.uint8)
    )
    found = kept(tmp_path / "faces.zip", [striped], "faces")
    (image,) = found.images([0])
    assert found.blur == "faces"
    assert image[:40].std() < 20
    assert image[-40:].std() > 60
    bodies = kept(tmp_path / "bodies.zip", [striped], "bodies")
    assert (bodies.blur, bodies.entries) == ("bodies", {})


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_archive_is_one_line(tmp_path: Path, damage: Damage) -> None:
    path = tmp_path / "crops.zip"
    kept(path, [closed([0.5])])
    path.write_bytes(damaged(path.read_bytes(), damage))
    with pytest.raises(SourceError, match=r"crops\.zip: is damaged") as raised:
        crops.load(path)
    assert "\n" not in str(raised.value)
