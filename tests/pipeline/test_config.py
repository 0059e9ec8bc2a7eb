import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from models import settings as strict
from models.settings import RenamedSetting, keys
from pipeline import config
from pipeline.config import CameraConfig, Config, TrackerConfig
from pipeline.errors import ConfigError
from tests.conftest import ROOT

DEFAULT = ROOT / "configs" / "default.yaml"


def write(folder: Path, text: str) -> str:
    path = folder / "site.yaml"
    path.write_text(text)
    return str(path)


def error_of(path: str, *overrides: str) -> str:
    """The message of the ConfigError that loading raises, checked to be one line."""
    with pytest.raises(ConfigError) as caught:
        config.load(path, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_default_yaml_is_exactly_the_defaults() -> None:
    assert config.load(str(DEFAULT)) == Config()
    written = yaml.safe_load(DEFAULT.read_text())
    assert sorted(keys(Config)) == sorted(
        f"{name}.{key}" if isinstance(value, dict) else name
        for name, value in written.items()
        for key in (value if isinstance(value, dict) else [name])
    )


def test_every_value_in_the_default_yaml_has_a_comment_directly_above_it() -> None:
    lines = DEFAULT.read_text().splitlines()
    at = -1
    for dotted in keys(Config):
        key = dotted.rsplit(".", 1)[-1]
        at = next(i for i in range(at + 1, len(lines)) if lines[i].strip().startswith(f"{key}:"))
        assert lines[at - 1].strip().startswith("#"), dotted


@pytest.mark.parametrize("name", ["plaza.yaml", "plaza_4_cameras.yaml"])
def test_the_shipped_site_configs_load_and_their_videos_exist(name: str) -> None:
    cameras = config.load(str(ROOT / "configs" / name)).cameras
    assert cameras
    assert all(Path(camera.source).is_file() for camera in cameras)


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ("traker: {}", "traker", "tracker"),
        ("max_lost_s: 2", "max_lost_s", "tracker.max_lost_s"),
        ("tracker: {max_lost: 2}", "tracker.max_lost", "tracker.max_lost_s"),
        ("output: {vido: true}", "output.vido", "output.video"),
        (
            "cameras: [{source: a.mp4, homografy: []}]",
            "cameras.0.homografy",
            "cameras.0.homography",
        ),
        (
            "linking: {travel: [{cameras: [a, b], mins: 3}]}",
            "linking.travel.0.mins",
            "linking.travel.0.min_s",
        ),
    ],
)
def test_an_unknown_key_is_an_error_that_names_the_nearest_valid_one(
    tmp_path: Path, text: str, key: str, nearest: str
) -> None:
    path = write(tmp_path, text)
    assert error_of(path) == f"{path}: unknown key {key}; did you mean {nearest}?"


def test_an_unknown_key_in_set_is_blamed_on_the_command_line_and_not_on_the_file(
    tmp_path: Path,
) -> None:
    message = "the command line: unknown key tracker.max_lost; did you mean tracker.max_lost_s?"
    assert error_of(write(tmp_path, "device: cpu"), "tracker.max_lost=1") == message


def test_a_key_like_no_other_is_an_error_that_says_where_all_keys_are(tmp_path: Path) -> None:
    assert error_of(write(tmp_path, "qqqq: 1")).endswith(
        "unknown key qqqq; configs/default.yaml lists all keys"
    )


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("sources: {stride: many}", "sources.stride"),
        ("sources: {stride: 1.5}", "sources.stride"),
        ("sources: {stride: 0}", "sources.stride"),
        ("device: 3", "device"),
        ("detector: hog", "detector"),
        ("detector:", "detector"),
        ("detector: {min_score: 1.1}", "detector.min_score"),
        ("tracker: {assignment: greedy}", "tracker.assignment"),
        ("tracker: {max_lost_s: -1}", "tracker.max_lost_s"),
        ("tracker: {max_lost_s: .inf}", "tracker.max_lost_s"),
        ("output: {crf: 52}", "output.crf"),
        ("cameras: lobby.mp4", "cameras"),
        ("cameras: [{name: lobby}]", "cameras.0.source"),
        ("cameras: [{source: ''}]", "cameras.0.source"),
        ("cameras: [{source: a, start_s: .nan}]", "cameras.0.start_s"),
        ("cameras: [{source: a, homography: [[1, 0], [0, 1]]}]", "cameras.0"),
        ("cameras: [{source: a, roi: [[0, 0], [1, 1]]}]", "cameras.0"),
        ("linking: {travel: [{cameras: [a, b], min_s: 9, max_s: 1}]}", "linking.travel.0"),
        ("linking: {online: true, apply_clocks: true}", "linking"),
        ("zones: [{name: shop, camera: a}]", "zones.0"),
        ("zones: [{name: shop, polygon: [[0, 0], [9, 0]]}]", "zones.0"),
        ("zones: [{name: shop, polygon: [[0, 0], [4, 4], [9, 9]]}]", "zones.0"),
        ("zones: [{name: shop, polygon: [[0, 0], [9, 9], [9, 0], [0, 9]]}]", "zones.0"),
        ("zones: [{name: door, line: [[3, 3], [3, 3]]}]", "zones.0"),
        ("zones: [{name: door, line: [[1, 1], [2, 2], [3, 1]]}]", "zones.0"),
        ("zones: [{name: door, line: [[1, 1], [2, 2e9]]}]", "zones.0"),
        (
            "zones: [{name: door, line: [[1, 1], [2, 2]], polygon: [[0, 0], [9, 9], [0, 9]]}]",
            "zones.0",
        ),
        ("zones: [{name: '', line: [[1, 1], [2, 2]]}]", "zones.0.name"),
        ("zones: [{name: on, line: [[1, 1], [2, 2]]}]", "zones.0.name"),
        ('zones: [{name: "a\\nb", line: [[1, 1], [2, 2]]}]', "zones.0.name"),
        ("1: 2", "1"),
    ],
)
def test_a_wrong_type_or_a_value_out_of_range_is_an_error_that_names_the_key(
    tmp_path: Path, text: str, key: str
) -> None:
    path = write(tmp_path, text)
    message = error_of(path)
    assert message.startswith(f"{path}: {key}: ")
    assert "(got " in message


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("tracker.max_lost_s", "--set tracker.max_lost_s: write it as key=value"),
        ("tracker.max_lost_s=[", "--set tracker.max_lost_s=[: the value is not valid YAML"),
        ("device=2024-13-45", "--set device=2024-13-45: the value is not valid YAML"),
        ("device.name=cpu", "--set device.name: device is a value, not a section"),
        ("tracker.max_lost_s=", "the command line: tracker.max_lost_s: "),
        ("=1", "the command line: unknown key"),
    ],
)
def test_a_bad_set_is_an_error_that_repeats_it(override: str, expected: str) -> None:
    assert error_of("", override).startswith(expected)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"- a\n- b\n", "expected `key: value` pairs"),
        (b"just words", "expected `key: value` pairs"),
        (b"tracker: [1,\n  2", "is not valid YAML"),
        (b"device: 2024-13-45", "is not valid YAML"),
        (b"\xff\xfe\x80", "is not valid YAML"),
    ],
)
def test_a_file_that_is_not_a_yaml_mapping_is_an_error(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes(content)
    assert reason in error_of(str(path))


def test_a_missing_file_and_a_folder_are_errors_and_an_empty_file_is_the_defaults(
    tmp_path: Path,
) -> None:
    assert "No such file" in error_of(str(tmp_path / "nothing.yaml"))
    assert "Is a directory" in error_of(str(tmp_path))
    assert config.load(write(tmp_path, "# nothing\n")) == config.load("") == Config()


def test_set_wins_over_the_file_and_the_last_of_two_sets_wins(tmp_path: Path) -> None:
    path = write(tmp_path, "tracker: {max_lost_s: 1, min_match: 0.4}")
    loaded = config.load(
        path,
        [
            "tracker.max_lost_s=2",
            "tracker.max_lost_s=3",
            "detector.weights=hog",
            "output.video=false",
        ],
    )
    assert loaded.tracker == TrackerConfig(max_lost_s=3, min_match=0.4)
    assert (loaded.detector.weights, loaded.output.video) == ("hog", False)


def test_paths_in_a_yaml_are_relative_to_it_and_those_in_set_to_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, work = tmp_path / "site", tmp_path / "work"
    for folder in (site, work):
        folder.mkdir()
    for name in ("a.mp4", "yolo.pt", "reid.onnx", "boxes.txt"):
        (site / name).touch()
    path = write(
        site,
        "cameras: [{source: a.mp4}, {source: b.mp4}, {source: 'rtsp://a.mp4'}]\ndetector: {weights:"
        " yolo.pt}",
    )
    monkeypatch.chdir(work)
    loaded = config.load(path, ["reid.weights=reid.onnx", "detector.detections=boxes.txt"])
    assert [c.source for c in loaded.cameras] == [str(site / "a.mp4"), "b.mp4", "rtsp://a.mp4"]
    assert loaded.detector.weights == str(site / "yolo.pt")
    assert (loaded.reid.weights, loaded.detector.detections) == ("reid.onnx", "boxes.txt")


SITE = """
cameras:
  - {source: a.mp4, name: lobby, start_s: -1.5, roi: [[0, 0], [9, 0], [9, 9]],
     homography: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}
linking: {travel: [{cameras: [lobby, gate], min_s: 5, max_s: 60}]}
device: "cuda:1"
"""


def test_a_dumped_config_loads_to_the_same_config(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path, SITE))
    assert config.load(write(tmp_path, strict.dump(loaded))) == loaded
    assert loaded.cameras[0].name == "lobby"


@settings(max_examples=50)
@given(
    st.fixed_dictionaries(
        {
            "tracker.max_lost_s": st.floats(0, 1e6),
            "detector.min_score": st.floats(0, 1),
            "sources.stride": st.integers(1, 1000),
            "device": st.text(),
            "output.mosaic": st.booleans(),
            "output.report": st.booleans(),
        }
    )
)
def test_any_valid_change_survives_dump_and_load(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, object]
) -> None:
    changed = config.change(Config(), values)
    path = tmp_path_factory.getbasetemp() / "changed.yaml"
    path.write_text(strict.dump(changed), encoding="utf-8")
    assert config.load(str(path)) == changed


def test_change_checks_the_new_values_and_leaves_the_old_config_alone() -> None:
    old = Config(cameras=[CameraConfig(source="a.mp4")])
    new = config.change(old, {"sources.stride": 4})
    assert (old.sources.stride, new.sources.stride) == (1, 4)
    assert new.cameras == old.cameras
    with pytest.raises(ConfigError, match=r"^the command line: sources\.stride: .*\(got 0\)$"):
        config.change(old, {"sources.stride": 0})


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["a/cam.mp4", "b/cam.avi", "c/CAM.mp4"], ["cam", "cam-2", "CAM-3"]),
        (["cam.mp4", "cam-2.mp4", "x/cam.mp4"], ["cam", "cam-2", "cam-3"]),
        (["MOT/img1/", "MOT/img1"], ["img1", "img1-2"]),
        (["my camera (1) #%.mp4", "Straße.mp4"], ["my_camera__1____", "Straße"]),
        (["/", "x/mosaic.mp4"], ["camera", "mosaic-2"]),
    ],
)
def test_cameras_without_a_name_get_a_unique_one_that_is_a_good_file_name(
    sources: list[str], names: list[str]
) -> None:
    named = config.unique_names([CameraConfig(source=source) for source in sources])
    assert [camera.name for camera in named] == names
    assert [camera.source for camera in named] == sources


def test_given_names_are_kept_but_never_twice() -> None:
    named = config.unique_names(
        [CameraConfig(source=s, name=n) for s, n in [("1", "gate"), ("gate.mp4", ""), ("2", "a.b")]]
    )
    assert [camera.name for camera in named] == ["gate", "gate-2", "a.b"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a/b", "may have letters, digits, blanks, _ - and . but not '/'; call it, .* 'a_b'"),
        ("../up", "not '/'; call it, for example, '.._up'"),
        ("a\nb", r"not '\\n'; call it, for example, 'a_b'"),
        (True, 'put the name in quotes, as in name: "on"'),
    ],
)
def test_a_given_name_that_is_no_good_file_name_is_refused_with_one_that_is(
    name: object, words: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^site.yaml: cameras\.0\.name: .*{words}.*$"):
        config.build({"cameras": [{"source": "x.mp4", "name": name}]}, "site.yaml")


@pytest.mark.parametrize(
    ("given", "name"),
    [(1, "1"), (1.5, "1.5"), ("my camera", "my_camera"), (" gate ", "gate"), ("on", "on")],
)
def test_numbers_and_blanks_are_names_and_a_change_is_told(given: object, name: str) -> None:
    cameras = [{"source": "x.mp4", "name": given}, {"source": "y.mp4", "name": "b"}]
    travel = [{"cameras": [given, "b"], "max_s": 9}]
    built = config.build({"cameras": cameras, "linking": {"travel": travel}}, "site.yaml")
    named = config.unique_names(built.cameras)
    assert [camera.name for camera in named] == [name, "b"]
    config.check_travel(built.model_copy(update={"cameras": named}))
    notes = config.renamed_cameras(built.cameras, named)
    is_told = ["the camera 'my camera' is called my_camera in all files and settings"]
    assert notes == (is_told if given == "my camera" else [])


@pytest.mark.parametrize(("given", "listed"), [("head", ["head"]), (3, [3]), (["a", 1], ["a", 1])])
def test_one_class_of_people_needs_no_brackets(given: object, listed: list[object]) -> None:
    assert config.build({"detector": {"classes": given}}, "site.yaml").detector.classes == listed


def test_a_path_may_begin_with_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "site.yaml").write_text("cameras: [{source: ~/cam.mp4}]\n")
    loaded = config.load(str(tmp_path / "site.yaml"))
    assert loaded.cameras[0].source == str(tmp_path / "cam.mp4")


def test_a_name_that_is_taken_is_told() -> None:
    cameras = [CameraConfig(source=source, name="gate") for source in "ab"]
    notes = config.renamed_cameras(cameras, config.unique_names(cameras))
    assert notes == ["the camera 'gate' is called gate-2 in all files and settings"]


@settings(max_examples=100)
@given(st.lists(st.text(min_size=1, max_size=6), max_size=6))
def test_names_are_unique_on_every_file_system_and_hold_no_separator(sources: list[str]) -> None:
    names = [
        camera.name
        for camera in config.unique_names([CameraConfig(source=source) for source in sources])
    ]
    assert len({name.lower() for name in names}) == len(sources)
    assert all(name and not set(name) & set("/\\:\0\n ") for name in names)


def test_the_site_in_the_readme_is_a_valid_config() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (site,) = re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)
    built = config.build(yaml.safe_load(site), "README.md")
    config.check_travel(built)
    assert [camera.name for camera in built.cameras] == ["lobby", "gate"]


def another_value(dotted: str) -> float | bool:
    """A valid value of a setting that is not its default."""
    section, key = dotted.split(".")
    default = Config().model_dump()[section][key]
    return not default if isinstance(default, bool) else default / 2


@pytest.mark.parametrize(("old", "new"), Config.renamed.items())
def test_an_old_key_in_a_yaml_still_works_with_a_notice_that_names_the_new_one(
    tmp_path: Path, old: str, new: str
) -> None:
    section, key = old.split(".")
    value = another_value(new)
    path = write(tmp_path, yaml.safe_dump({section: {key: value}}))
    with pytest.warns(RenamedSetting) as caught:
        loaded = config.load(path)
    expected = f"{path}: {old} is now called {new}; the old name stops working in the next version"
    assert [str(warning.message) for warning in caught] == [expected]
    assert loaded == config.change(Config(), {new: value})
    assert loaded != Config()


@pytest.mark.parametrize(("old", "new"), Config.renamed.items())
def test_an_old_key_in_set_still_works_with_a_notice(old: str, new: str) -> None:
    with pytest.warns(RenamedSetting, match=f"^the command line: {old} is now called {new}; "):
        loaded = config.load("", [f"{old}={another_value(new)}"])
    assert loaded == config.load("", [f"{new}={another_value(new)}"])
    assert loaded != Config()


def test_an_old_key_beside_its_new_one_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, "tracker: {sure_iou: 0.3, ambiguous_below_iou: 0.3}")
    assert error_of(path) == (
        f"{path}: tracker.sure_iou is the old name of tracker.ambiguous_below_iou;"
        " give only tracker.ambiguous_below_iou"
    )


def test_a_bad_value_of_an_old_key_is_an_error_that_names_the_new_one(tmp_path: Path) -> None:
    path = write(tmp_path, "tracker: {sure_iou: 7}")
    with pytest.warns(RenamedSetting):
        assert error_of(path).startswith(f"{path}: tracker.ambiguous_below_iou: ")


def test_old_keys_are_no_keys_any_more_and_new_ones_stay_in_their_section() -> None:
    known = set(keys(Config))
    for old, new in Config.renamed.items():
        assert old not in known
        assert new in known
        assert old.split(".")[0] == new.split(".")[0]


@pytest.mark.parametrize("start_s", [1.7e12, 1.7e15, -1e10, 1e30])
def test_a_start_in_milliseconds_or_microseconds_is_an_error_that_says_so(start_s: float) -> None:
    values = {"cameras": [{"source": "a.mp4", "start_s": start_s}]}
    with pytest.raises(ConfigError, match=r"start_s is in seconds.*divide milliseconds by 1e3"):
        config.build(values, "site.yaml")


def test_a_start_in_seconds_since_1970_is_valid() -> None:
    values = {"cameras": [{"source": "a.mp4", "start_s": 1.7e9}]}
    assert config.build(values, "site.yaml").cameras[0].start_s == 1.7e9


@pytest.mark.parametrize(
    ("zones", "reason"),
    [
        ([{"name": "shop", "camera": "lobby"}], "shop: there is no camera lobby; the cameras are"),
        ([{"name": "shop"}], "shop: is on the floor, which no camera knows"),
        (
            [{"name": "shop", "camera": "gate"}, {"name": "shop", "camera": "yard", "line": True}],
            "shop: has a line and a polygon; give them two names",
        ),
    ],
)
def test_zones_name_cameras_that_are_there_and_are_of_one_kind(
    zones: list[dict[str, object]], reason: str
) -> None:
    for zone in zones:
        key = "line" if zone.pop("line", False) else "polygon"
        zone[key] = [[0, 0], [9, 0], [9, 9]][: 2 if key == "line" else 3]
    cameras = [{"source": "a.mp4", "name": "gate"}, {"source": "b.mp4", "name": "yard"}]
    site = config.build({"cameras": cameras, "zones": zones}, "site.yaml")
    with pytest.raises(ConfigError, match=f"^zones: {reason}[^\n]*$"):
        config.check_zones(site)


def test_a_zone_finds_its_camera_under_the_name_that_files_have() -> None:
    zones = [{"name": 7, "camera": "main gate", "line": [[0, 0], [9, 0]]}]
    site = config.build({"cameras": [{"source": "a.mp4", "name": "main gate"}]}, "site.yaml")
    named = site.model_copy(update={"cameras": config.unique_names(site.cameras)})
    with_zones = config.change(named, {"zones": zones})
    config.check_zones(with_zones)
    (zone,) = with_zones.zones
    assert (zone.name, zone.camera) == ("7", "main_gate")
