"""All settings of a run, with their defaults and valid ranges; configs/default.yaml explains them.

A run takes the defaults, then the YAML file of `--config`, then `--set key=value`, then the flags
of the command line. An unknown key is an error that names the nearest valid one.
"""

import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from models import files, settings
from models.errors import InputError, hide_credentials, shorten
from models.runtimes.names import PrecisionName, RuntimeName
from models.settings import S, Section
from pipeline import floor
from pipeline.address import VARIABLE, Address
from pipeline.errors import ConfigError
from pipeline.zones import geometry

EXAMPLE = settings.config_file("default.yaml")
FILE = "config.yaml"
"""What an output folder has of the settings."""

MAX_TYPICAL_S = 600.0
"""Longest gap between two cameras that is evidence of travel: a longer one is another visit."""

MAX_START_S = 4e9
"""In the year 2096, if counted from 1970: starts beyond are no seconds. Up to here, times that are
1e-6 s apart differ.
"""

MAX_COORDINATE = 1e6
"""Of zones and boxes, in pixels or metres: products of two have to be exact enough."""
MIN_IMAGE_FPS = 1e-5
MAX_NAME_BYTES = 255 - len(".mp4")
"""File systems take names of 255 bytes."""

CLUSTER_ADDRESS = re.compile(r"([\w.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}", re.ASCII)

Fraction = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]


def _listed(value: Any) -> Any:
    """A single value as a list of one."""
    return [value] if isinstance(value, str | int) else value


ClassName = Annotated[int, Field(ge=0, strict=True)] | Annotated[str, Field(min_length=1)]


NAME = re.compile(r"[\w. -]*")
SWITCH = (
    "YAML reads on, off, yes, no, true and false as switches; put the name in quotes, as in"
    ' name: "on"'
)


def _text(value: Any) -> Any:
    """A name as text; numbers are names too. Raises ValueError."""
    if isinstance(value, bool):
        raise ValueError(SWITCH)
    if isinstance(value, int | float | datetime.date):
        return str(value)
    return value.strip() if isinstance(value, str) else value


def _name(value: Any) -> Any:
    """A camera's name as text, as `_text`. Raises ValueError."""
    if isinstance(value, str) and not NAME.fullmatch(value):
        odd = next(c for c in value if not NAME.fullmatch(c))
        raise ValueError(
            f"a camera's name becomes a file name and may have letters, digits, blanks, _ - and ."
            f" but not {odd!r}; call it, for example, {file_name(value) or 'camera'!r}"
        )
    return _text(value)


def file_name(name: str) -> str:
    """Return a name as cameras have it in files and results: other characters become _."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)


CameraName = Annotated[str, BeforeValidator(_name)]
NameInFiles = Annotated[CameraName, AfterValidator(file_name)]


def _printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError("a name may have letters, digits, blanks and signs, but no line breaks")
    return name


GroupName = Annotated[str, BeforeValidator(_text), Field(max_length=80), AfterValidator(_printable)]
ZoneName = Annotated[
    str,
    BeforeValidator(_text),
    Field(min_length=1, max_length=80),
    AfterValidator(_printable),
]
Point = tuple[float, float]


class CameraConfig(Section):
    """One camera of a site."""

    source: str = Field(min_length=1, repr=False)  # it may have credentials
    name: CameraName = ""
    live: bool = False
    transport: Literal["tcp", "udp"] = "tcp"
    start_s: float = 0.0
    track: Annotated[int, Field(ge=0)] = 0
    homography: list[list[float]] = Field(default_factory=list)
    roi: list[tuple[float, float]] = Field(default_factory=list)
    group: GroupName = ""

    @field_validator("start_s")
    @classmethod
    def _seconds(cls, start_s: float) -> float:
        if abs(start_s) > MAX_START_S:
            raise ValueError(
                f"start_s is in seconds, at most {MAX_START_S:g}; divide milliseconds by 1e3 and"
                " microseconds by 1e6"
            )
        return start_s

    @model_validator(mode="after")
    def _shapes(self) -> "CameraConfig":
        if self.homography and [len(row) for row in self.homography] != [3, 3, 3]:
            raise ValueError("homography needs 3 rows of 3 numbers, image pixels to floor metres")
        if self.homography and not floor.is_homography(np.array(self.homography)):
            raise ValueError(
                "homography cannot be inverted; take points that are not on one line, and numbers"
                f" up to {floor.MAX_FACTOR:g}"
            )
        if self.roi and len(self.roi) < 3:
            raise ValueError("roi needs at least 3 points [x, y] in pixels")
        return self


class ZoneConfig(Section):
    """A shape of a zone, a polygon or a line: px in the picture of a camera, or metres on the floor
    where no camera is named. All shapes of one name are one zone.
    """

    name: ZoneName
    camera: NameInFiles = ""
    polygon: list[Point] = Field(default_factory=list)
    line: list[Point] = Field(default_factory=list)

    @model_validator(mode="after")
    def _shape(self) -> "ZoneConfig":
        if bool(self.polygon) == bool(self.line):
            raise ValueError("a zone needs a polygon, or a line, and not both")
        if max(abs(value) for point in self.points for value in point) > MAX_COORDINATE:
            raise ValueError(f"coordinates must be at most {MAX_COORDINATE:g}")
        if self.line and (len(self.line) != 2 or self.line[0] == self.line[1]):
            raise ValueError("line needs 2 points [x, y] that differ")
        if self.polygon and len(self.polygon) < 3:
            raise ValueError("polygon needs at least 3 points [x, y]")
        if self.polygon:
            points = np.array(self.polygon)
            if geometry.crosses_itself(points):
                raise ValueError(
                    "polygon has sides that cross; list its points in order along its border"
                )
            if geometry.area(points) == 0:
                raise ValueError("polygon has no area: its points lie on one line")
        return self

    @property
    def points(self) -> list[Point]:
        """Corners of the polygon, or ends of the line."""
        return self.polygon or self.line


class SourcesConfig(Section):
    """Which frames are read."""

    stride: Annotated[int, Field(ge=1, le=1_000_000_000)] = 1
    max_seconds: Seconds = 0.0
    max_gap_s: Annotated[float, Field(gt=0)] = 10.0
    image_fps: Annotated[float, Field(ge=0, le=10_000)] = 0.0
    numbers_in_names: bool = True
    read_ahead_frames: Annotated[int, Field(ge=1, le=256)] = 8
    decoder: Literal["software", "auto", "cuda", "vaapi"] = "software"

    @field_validator("image_fps")
    @classmethod
    def _at_least_one_a_day(cls, image_fps: float) -> float:
        if 0 < image_fps < MIN_IMAGE_FPS:
            raise ValueError(
                f"image_fps is in images a second, at least {MIN_IMAGE_FPS:g}, one a day"
            )
        return image_fps


class DetectorConfig(Section):
    """How people are detected."""

    weights: str = "auto"
    architecture: str = ""
    classes: Annotated[list[ClassName], BeforeValidator(_listed)] = Field(default_factory=list)
    detections: str = ""
    first_frame: Annotated[int, Field(ge=-1)] = -1
    size_px: Annotated[int, Field(ge=64, le=4096)] = 640
    rate: Literal["auto", "all"] | Annotated[float, Field(gt=0)] = "auto"
    skip_unchanged: bool = True
    min_score: Fraction = 0.1
    nms_iou: Fraction = 0.7


class TrackerConfig(Section):
    """How boxes become tracks within one camera."""

    duplicate_iou: Fraction = 0.75
    calibrate_scores: bool = True
    new_track_confidence: Fraction = 0.5
    compare_heights: bool = True
    min_match: Fraction = 0.1
    min_match_tentative: Fraction = 0.3
    ambiguous_below_iou: Fraction = 0.4
    ambiguity_margin: Fraction = 0.3
    confirm_s: Seconds = 0.1
    max_lost_s: Seconds = 1.5
    position_std: Annotated[float, Field(gt=0)] = 0.033
    size_noise_ratio: Annotated[float, Field(gt=0)] = 2.5
    acceleration_std: Annotated[float, Field(gt=0)] = 0.6
    size_acceleration_ratio: Annotated[float, Field(gt=0)] = 0.35
    part_share: Fraction = 0.7
    smoothing: Fraction = 0.4
    assignment: Literal["lap", "scipy"] = "scipy"


class TrackletsConfig(Section):
    """How tracks become tracklets."""

    max_tracklet_s: Annotated[float, Field(gt=0)] = 60.0
    min_tracklet_s: Seconds = 0.3
    min_piece_s: Seconds = 0.6
    max_gap_in_tracklet_s: Seconds = 0.4
    max_crops: Annotated[int, Field(ge=1, le=64)] = 8
    max_interpolated_gap_s: Seconds = 1.5


class ReidConfig(Section):
    """How a tracklet becomes an embedding."""

    weights: str = "auto"
    convention: Literal["auto", "imagenet", "rgb_0_1", "rgb_0_255", "bgr_0_255"] = "auto"
    batch_crops: Annotated[int, Field(ge=1)] = 16


class TravelConfig(Section):
    """Travel time of people between two cameras, for both directions; typical_s 0 if unknown."""

    cameras: tuple[NameInFiles, NameInFiles]
    min_s: Seconds = 0.0
    typical_s: Seconds = 0.0
    max_s: Seconds = 3600.0

    @model_validator(mode="after")
    def _order(self) -> "TravelConfig":
        if self.cameras[0] == self.cameras[1]:
            raise ValueError(
                f"cameras: {self.cameras[0]} stands twice; a travel time is between two cameras"
            )
        if self.min_s > self.max_s:
            raise ValueError("min_s is greater than max_s")
        if self.typical_s > MAX_TYPICAL_S:
            raise ValueError(
                f"typical_s must be at most {MAX_TYPICAL_S:g} s, since longer gaps are no evidence;"
                " leave it out, min_s and max_s still hold"
            )
        if self.typical_s and not self.min_s <= self.typical_s <= self.max_s:
            raise ValueError("typical_s must lie between min_s and max_s (or be 0: not known)")
        return self


class LinkingConfig(Section):
    """How tracklets are linked into people."""

    min_probability: Fraction = 0.5
    confirmed_probability: Fraction = 0.9
    min_person_s: Seconds = 1.0
    similarity_at_even_odds: Annotated[float, Field(ge=-1, le=1)] = 0.55
    similarity_scale: Annotated[float, Field(gt=0)] = 0.045
    max_floor_m: Annotated[float, Field(gt=0)] = 2.5
    max_speed_m_s: Annotated[float, Field(gt=0)] = 4.0
    max_gap_s: Annotated[float, Field(gt=0)] = 3600.0
    position_evidence: bool = True
    learn_travel_times: bool = True
    estimate_homographies: bool = True
    travel: list[TravelConfig] = Field(default_factory=list)
    corrections: str = ""
    priors: str = ""
    apply_clocks: bool = False
    online: bool = False
    max_delay_s: Annotated[float, Field(gt=0)] = 2.0
    forget_after_s: Annotated[float, Field(gt=0)] = 600.0
    shard_s: Seconds = 0.0
    handover_s: Seconds = 60.0

    @model_validator(mode="after")
    def _clocks(self) -> "LinkingConfig":
        if self.online and self.apply_clocks:
            raise ValueError(
                "apply_clocks needs the whole recording and cannot be used online; set online or"
                " apply_clocks to false, or correct start_s of the cameras"
            )
        return self

    @model_validator(mode="after")
    def _shards(self) -> "LinkingConfig":
        if self.shard_s and self.online:
            raise ValueError(
                "shard_s is for runs that link at their end; set shard_s to 0 or online to false"
            )
        if 0 < self.shard_s < self.handover_s:
            raise ValueError(
                "shard_s must be 0, or at least handover_s: a shard is longer than the window that"
                " it shares with its neighbours"
            )
        return self


class OutputConfig(Section):
    """What is written."""

    video: bool = True
    mosaic: bool = False
    report: bool = True
    trail_s: Seconds = 2.0
    crf: Annotated[int, Field(ge=0, le=51)] = 23
    encoder: Literal["libx264", "auto", "h264_nvenc", "h264_qsv", "h264_vaapi"] = "libx264"


class LiveConfig(Section):
    """How live cameras are read, and what a run keeps that does not end."""

    open_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    dead_after_s: Annotated[float, Field(gt=0)] = 20.0
    frozen_after_s: Seconds = 8.0
    max_attempts_per_hour: Annotated[int, Field(ge=1)] = 240
    clock: Literal["auto", "arrival"] = "auto"
    flush_s: Annotated[float, Field(gt=0)] = 5.0
    segment_s: Annotated[float, Field(gt=0)] = 60.0
    keep_days: Annotated[float, Field(ge=0)] = 0.0
    keep_gb: Annotated[float, Field(ge=0)] = 0.0
    min_free_gb: Annotated[float, Field(ge=0)] = 1.0


class PrivacyConfig(Section):
    """What is hidden before anything is encoded or served."""

    blur: Literal["off", "faces", "bodies"] = "off"


class ServeConfig(Section):
    """The page of a live run; no port, no page."""

    port: Annotated[int, Field(ge=0, le=65535)] = 0
    host: str = "127.0.0.1"
    token: str = Field("", repr=False)


class EventsConfig(Section):
    """Where the events of a live run are sent, beside events.jsonl; "" sends none."""

    webhook: str = Field("", repr=False)
    mqtt: str = Field("", repr=False)


class GroupConfig(Section):
    """Where the worker of a group of cameras runs: what of a node it is given."""

    num_cpus: Annotated[float, Field(ge=0, le=10_000)] = 1.0
    num_gpus: Literal["auto"] | Annotated[float, Field(ge=0, le=1_000)] = "auto"
    resources: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)

    @field_validator("num_gpus")
    @classmethod
    def _whole_above_one(cls, num_gpus: str | float) -> str | float:
        if isinstance(num_gpus, float) and num_gpus > 1 and num_gpus != int(num_gpus):
            raise ValueError("num_gpus must be a share of one GPU, up to 1, or a whole number")
        return num_gpus

    @field_validator("resources")
    @classmethod
    def _others(cls, resources: dict[str, float]) -> dict[str, float]:
        for name in {"CPU", "GPU", "memory", "object_store_memory"} & set(resources):
            raise ValueError(f"{name} is no name of your own; give num_cpus and num_gpus")
        return resources


class RayConfig(Section):
    """Workers in other processes and on other machines, with `engine: ray`."""

    address: str = ""
    start_timeout_s: Annotated[float, Field(gt=0)] = 60.0
    cameras_per_worker: Annotated[int, Field(ge=1)] = 4
    spare_workers: Annotated[int, Field(ge=0)] = 0
    groups: dict[GroupName, GroupConfig] = Field(default_factory=dict)

    @field_validator("address")
    @classmethod
    def _of_a_cluster(cls, address: str) -> str:
        if address not in ("", "auto") and not CLUSTER_ADDRESS.fullmatch(address):
            raise ValueError(
                "address is host:port of a cluster's head, such as 10.0.0.5:6379, or auto, or"
                ' "" for a cluster on this machine'
            )
        return address


class Config(Section):
    """All settings of a run."""

    renamed: ClassVar[Mapping[str, str]] = {
        "detector.max_iou": "detector.nms_iou",
        "tracker.max_iou": "tracker.duplicate_iou",
        "tracker.learn_scores": "tracker.calibrate_scores",
        "tracker.new_confidence": "tracker.new_track_confidence",
        "tracker.min_match_new": "tracker.min_match_tentative",
        "tracker.sure_iou": "tracker.ambiguous_below_iou",
        "tracker.sure_margin": "tracker.ambiguity_margin",
        "tracklets.sure_gap_s": "tracklets.max_gap_in_tracklet_s",
        "tracklets.fill_gap_s": "tracklets.max_interpolated_gap_s",
        "linking.even_similarity": "linking.similarity_at_even_odds",
    }

    cameras: list[CameraConfig] = Field(default_factory=list)
    zones: list[ZoneConfig] = Field(default_factory=list)
    device: str = "auto"
    runtime: RuntimeName = "auto"
    precision: PrecisionName = "auto"
    sources: SourcesConfig = SourcesConfig()
    detector: DetectorConfig = DetectorConfig()
    tracker: TrackerConfig = TrackerConfig()
    tracklets: TrackletsConfig = TrackletsConfig()
    reid: ReidConfig = ReidConfig()
    linking: LinkingConfig = LinkingConfig()
    output: OutputConfig = OutputConfig()
    live: LiveConfig = LiveConfig()
    privacy: PrivacyConfig = PrivacyConfig()
    serve: ServeConfig = ServeConfig()
    events: EventsConfig = EventsConfig()
    engine: Literal["local", "ray"] = "local"
    ray: RayConfig = RayConfig()


def load(path: str, overrides: Sequence[str] = ()) -> Config:
    """Read the settings from a YAML file and apply single values.

    Args:
        path: The YAML file; "" for the defaults.
        overrides: Single values as the command line gives them, section.key=value.

    Raises:
        ConfigError: The file cannot be read, a key is unknown, or a value is not valid.
    """
    with _config_errors():
        config = Config()
        if path:
            config = _resolve_paths(
                settings.build(Config, settings.read(path, EXAMPLE), path, EXAMPLE),
                Path(path).parent,
            )
        return settings.change(
            config, settings.overrides(overrides, "tracker.max_lost_s=2"), EXAMPLE
        )


def of_folder(folder: Path) -> Config:
    """Read the settings of a run from its output folder; the defaults where they were not kept.

    Raises:
        ConfigError: The file is damaged.
    """
    path = folder / FILE
    return load(str(path)) if path.is_file() else Config()


def with_videos(config: Config, videos: Sequence[str]) -> Config:
    """Return the settings with one camera per video; unchanged when there are no videos.

    Raises:
        ConfigError: The settings list cameras already.
    """
    if videos and config.cameras:
        raise ConfigError("give either --videos or a config with cameras, not both")
    if not videos:
        return config
    return change(config, {"cameras": [{"source": video} for video in videos]})


def build(values: dict[str, Any], where: str) -> Config:
    """Validate plain values and make them settings.

    Args:
        values: Nested plain values, as read from YAML.
        where: Where the values come from, for messages.

    Raises:
        ConfigError: A key is unknown or a value is not valid; the text names the key.
    """
    with _config_errors():
        return settings.build(Config, values, where, EXAMPLE)


def change(config: Config, values: Mapping[str, Any], where: str = "the command line") -> Config:
    """Return the settings with some values changed, validated again.

    Args:
        config: The settings to start from.
        values: New values by dotted key.
        where: Where the values come from, for messages.

    Raises:
        ConfigError: A key is unknown or a value is not valid.
    """
    with _config_errors():
        return settings.change(config, values, EXAMPLE, where)


@contextmanager
def _config_errors() -> Iterator[None]:
    try:
        yield
    except InputError as error:  # which may quote the source of a camera
        raise ConfigError(hide_credentials(str(error))) from None


def is_live(config: Config) -> bool:
    """Whether any camera is live, so that all are read as they come."""
    return any(camera.live or Address.parse(camera.source).is_live for camera in config.cameras)


def all_live(config: Config) -> Config:
    """Return the settings with files played as if they were live."""
    cameras = [camera.model_copy(update={"live": True}) for camera in config.cameras]
    return config.model_copy(update={"cameras": cameras})


def unique_names(cameras: Sequence[CameraConfig]) -> list[CameraConfig]:
    """Give every camera a unique name that is valid as a file name: cam, cam-2, cam-3.

    Raises:
        ConfigError: A name is too long.
    """
    named: list[CameraConfig] = []
    taken = {"mosaic"}  # mosaic.mp4 is the video of all cameras
    for camera in cameras:
        wanted = camera.name or Address.parse(camera.source).name or "camera"
        wanted = file_name(wanted)
        name = wanted
        n = 1
        while name.lower() in taken:
            n += 1
            name = f"{wanted}-{n}"
        n_bytes = len(name.encode())
        if n_bytes > MAX_NAME_BYTES:
            raise ConfigError(
                f"the name {shorten(name, 40)} of a camera has {n_bytes} bytes, and its files"
                f" cannot be named by more than {MAX_NAME_BYTES}; give a shorter name under cameras"
            )
        taken.add(name.lower())
        named.append(camera.model_copy(update={"name": name}))
    return named


def renamed_cameras(before: Sequence[CameraConfig], after: Sequence[CameraConfig]) -> list[str]:
    """Say which cameras could not keep their names.

    Args:
        before: cameras as they were given.
        after: the same cameras with the names that they have in the results.
    """
    return [
        f"the camera {given.name!r} is called {named.name} in all files and settings"
        for given, named in zip(before, after, strict=True)
        if given.name and given.name != named.name
    ]


def check_travel(config: Config) -> None:
    """Check the cameras that travel times name.

    Raises:
        ConfigError: A camera does not exist, or a pair of cameras has two travel times.
    """
    names = [camera.name for camera in config.cameras]
    pairs: set[frozenset[str]] = set()
    for travel in config.linking.travel:
        for name in travel.cameras:
            if name not in names:
                raise ConfigError(
                    f"linking.travel: there is no camera {name}; the cameras are {', '.join(names)}"
                )
        if frozenset(travel.cameras) in pairs:
            raise ConfigError(
                f"linking.travel: {' and '.join(travel.cameras)} have two entries; keep one"
            )
        pairs.add(frozenset(travel.cameras))


def check_zones(config: Config) -> None:
    """Check what zones name, and that all shapes of a zone are of one kind.

    Raises:
        ConfigError: a camera does not exist, no camera knows the floor that a zone is on, or a zone
            has lines and polygons.
    """
    names = [camera.name for camera in config.cameras]
    knows_floor = any(camera.homography for camera in config.cameras)
    is_line: dict[str, bool] = {}
    for zone in config.zones:
        where = f"zones: {zone.name}"
        if zone.camera and zone.camera not in names:
            raise ConfigError(
                f"{where}: there is no camera {zone.camera}; the cameras are {', '.join(names)}"
            )
        if not zone.camera and not knows_floor:
            raise ConfigError(
                f"{where}: is on the floor, which no camera knows; name the camera in whose picture"
                " it is, or give the cameras homographies"
            )
        if is_line.setdefault(zone.name, bool(zone.line)) != bool(zone.line):
            raise ConfigError(
                f"{where}: has a line and a polygon; give them two names, because lines count"
                " crossings and polygons who is inside"
            )


def check_groups(config: Config) -> None:
    """Check that each group of `ray.groups` has a camera; raises ConfigError."""
    groups = sorted({camera.group for camera in config.cameras if camera.group})
    for name in config.ray.groups:
        if name not in groups:
            known = f"the groups are {', '.join(groups)}" if groups else "no camera has a group"
            raise ConfigError(
                f"ray.groups: no camera is in the group {name}, and {known}; set group of its"
                " cameras"
            )


def absolute(config: Config) -> Config:
    """Return the settings with absolute paths, which are valid from any folder."""
    return _resolve_paths(config, Path.cwd())


def stored(config: Config) -> Config:
    """Return the settings as they are stored with results: with absolute paths, and without
    credentials, but for names in the environment.
    """
    config = absolute(config)
    cameras = [
        camera.model_copy(update={"source": Address.parse(camera.source).shown})
        for camera in config.cameras
    ]
    events = config.events.model_copy(
        update={
            "webhook": Address.parse(config.events.webhook).host_shown,
            "mqtt": Address.parse(config.events.mqtt).shown,
        }
    )
    is_variable = VARIABLE.fullmatch(config.serve.token)
    serve = config.serve if is_variable else config.serve.model_copy(update={"token": ""})
    return config.model_copy(update={"cameras": cameras, "events": events, "serve": serve})


def _resolve_paths(config: Config, folder: Path) -> Config:
    """Replace paths that exist relative to `folder`, where the YAML file is; others stay relative
    to the working folder.
    """

    def resolve(name: str) -> str:
        name = str(Path(name).expanduser()) if name.startswith("~/") else name
        is_relative = bool(name) and not Path(name).is_absolute()
        return str(folder / name) if is_relative and files.exists(folder / name) else name

    def resolve_source(camera: CameraConfig) -> CameraConfig:
        address = Address.parse(camera.source)
        if address.kind not in ("file", "folder"):
            return camera
        source = resolve(address.path) + camera.source[len(address.path) :]
        return camera.model_copy(update={"source": source})

    def resolve_all(section: S, *keys: str) -> S:
        return section.model_copy(update={key: resolve(getattr(section, key)) for key in keys})

    sections = {
        "cameras": [resolve_source(camera) for camera in config.cameras],
        "detector": resolve_all(config.detector, "weights", "detections"),
        "reid": resolve_all(config.reid, "weights"),
        "linking": resolve_all(config.linking, "corrections", "priors"),
    }
    return config.model_copy(update=sections)
