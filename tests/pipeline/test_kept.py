"""What a run keeps of its tracklets is all that linking needs."""

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pipeline
from pipeline import config as configuration
from pipeline import kept as keeping
from pipeline import packed, run
from pipeline.errors import SourceError
from pipeline.linking import shards
from pipeline.linking.shards import Shard, ShardLinked
from pipeline.outputs import links
from pipeline.result import Result
from tests.archives import DAMAGES, Damage, damaged
from tests.conftest import ROOT
from tests.videos import write_video

PLAZA = ROOT / "configs" / "plaza.yaml"


@pytest.fixture(scope="module")
def finished(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A run of a few seconds with appearance, seen in two cameras."""
    return pipeline.track_people(
        output=tmp_path_factory.mktemp("kept") / "run",
        config=PLAZA,
        settings={
            "detector.detections": str(sample / "truth"),
            "sources.max_seconds": 3,
            "output.video": False,
        },
    )


def test_linking_what_was_kept_gives_the_same_people_for_the_same_reasons(
    finished: Result,
) -> None:
    kept = keeping.read(finished.folder)
    again = Result(kept.config, finished.folder, "", "", cameras=kept.cameras)
    run.link(kept, again)
    config = finished.config.linking
    assert len(again.linked.people) > 3
    assert links.to_json(again.linked, config) == links.to_json(finished.linked, config)


def test_what_was_kept_is_linked_in_shards_where_the_settings_say_so(finished: Result) -> None:
    kept = keeping.read(finished.folder)
    values = {"linking.shard_s": 0.5, "linking.handover_s": 0.5}
    config = configuration.change(kept.config, values)
    ranges = dict(kept.frame_ranges)
    again = Result(config, finished.folder, "", "", cameras=kept.cameras, frame_ranges=ranges)
    numbers: list[int] = []

    def numbered(link: Callable[[Shard], ShardLinked], found: Iterable[Shard]) -> list[ShardLinked]:
        linked = [link(shard) for shard in found]
        numbers.extend(shard.number for shard in linked)
        return linked

    in_shards = replace(run.HERE, link=partial(shards.link, map_shards=numbered))
    run.link(kept, again, engine=in_shards)
    run.settle(kept, again)
    assert len(numbers) > 1
    keys = sorted(tracklet.key for tracklet in again.linked.tracklets)
    assert keys == sorted(tracklet.key for tracklet in finished.linked.tracklets)
    assert len(again.people) == len(again.linked.people) > 3


def test_pixels_are_not_kept(finished: Result) -> None:
    kept = keeping.read(finished.folder)
    assert sum(len(embedded.crop_embeddings) for embedded in kept.tracklets) > 20
    assert all(not embedded.tracklet.crops.size for embedded in kept.tracklets)
    n_bytes = (finished.folder / keeping.FILE).stat().st_size
    assert n_bytes / len(kept.tracklets) < 10_000


def test_credentials_are_not_kept(tmp_path: Path) -> None:
    video = write_video(tmp_path / "cam.mp4", 5)
    quiet = {"detector.weights": "hog", "reid.weights": "none", "output.video": False}
    secret = {"events.webhook": "https://user:hunter2@example.com/hook"}
    pipeline.track_people([video], output=tmp_path / "out", settings={**quiet, **secret})
    assert b"hunter2" not in (tmp_path / "out" / keeping.FILE).read_bytes()


def test_a_run_that_links_online_keeps_nothing_to_link_again(tmp_path: Path) -> None:
    video = write_video(tmp_path / "cam.mp4", 5)
    quiet = {"detector.weights": "hog", "reid.weights": "none", "output.video": False}
    online = {**quiet, "linking.online": True}
    result = pipeline.track_people([video], output=tmp_path / "out", settings=online)
    assert keeping.FILE not in result.files
    with pytest.raises(SourceError, match=r"runs with linking\.online do not; run again with"):
        keeping.read(tmp_path / "out")


def test_damage_is_one_line_with_what_to_do(finished: Result, tmp_path: Path) -> None:
    data = (finished.folder / keeping.FILE).read_bytes()
    path = tmp_path / keeping.FILE
    for torn in (b"", data[:-100], data[: len(data) // 2], b"PK" + data[10:]):
        path.write_bytes(torn)
        with pytest.raises(SourceError, match="is damaged, or of another version") as raised:
            keeping.read(tmp_path)
        assert "\n" not in str(raised.value)
        assert str(raised.value).endswith("run again with --corrections FILE")


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_archive_with_wrong_bits_is_one_line(
    finished: Result, tmp_path: Path, damage: Damage
) -> None:
    data = (finished.folder / keeping.FILE).read_bytes()
    (tmp_path / keeping.FILE).write_bytes(damaged(data, damage))
    with pytest.raises(SourceError, match=r"tracklets\.npz: .*run again with --corrections FILE"):
        keeping.read(tmp_path)


def test_what_is_of_another_version_is_one_line(tmp_path: Path) -> None:
    with (tmp_path / keeping.FILE).open("wb") as file:
        packed.write(file, "tracklets/0", [], {})
    with pytest.raises(SourceError, match=r"another version of this program \(its schema is"):
        keeping.read(tmp_path)


@dataclass(frozen=True)
class Pair:
    first: Any
    second: Any


plain = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text() | st.floats()
keys = st.text() | st.integers(-9, 9) | st.tuples(st.floats(0, 9), st.text(max_size=3))
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
        | st.builds(Pair, inner, inner)
    ),
    max_leaves=12,
)


@given(values)
@settings(max_examples=100)
def test_values_are_read_as_they_were_written(value: Any) -> None:
    kinds = packed.kinds(Pair)
    file = io.BytesIO()
    packed.write(file, "test/1", value, kinds, {"maker": "me"})
    file.seek(0)
    document = packed.Document(file, "test/1")
    assert document.facts["maker"] == "me"
    assert repr(document.value(kinds)) == repr(value)  # nan is not equal to itself


def test_an_object_that_is_there_twice_is_one_object_again() -> None:
    numbers = np.arange(6, dtype=np.float16).reshape(2, 3)
    shared = Pair(numbers, {"a", "b"})
    file = io.BytesIO()
    packed.write(file, "test/1", [shared, shared, np.float32(1.5)], packed.kinds(Pair))
    file.seek(0)
    first, second, number = packed.Document(file, "test/1").value(packed.kinds(Pair))
    assert first is second
    assert (first.first.dtype, first.first.tolist()) == (np.float16, numbers.tolist())
    assert first.second == {"a", "b"}
    assert (type(number), number) == (np.float32, 1.5)


def test_the_file_is_an_npz_that_numpy_reads(finished: Result) -> None:
    with np.load(finished.folder / keeping.FILE, allow_pickle=False) as file:
        document = json.loads(file["document"].tobytes())
        assert document["schema"] == keeping.SCHEMA
        n_bytes = [np.dtype(d).itemsize * int(np.prod(shape)) for d, shape in document["arrays"]]
        assert len(file["data"]) == sum(n_bytes)
