"""Check all input of a run, open its sources, and load its networks, before anything is written."""

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from models import device as devices
from models import weights
from models.runtimes.choice import NO_RUNTIME, Choice
from models.runtimes.names import PrecisionName, RuntimeName
from pipeline import config as configuration
from pipeline import embed, hardware, site_checks, yuv
from pipeline.address import Address
from pipeline.config import CameraConfig, Config, DetectorConfig, SourcesConfig
from pipeline.detect import detector as detectors
from pipeline.detect.detector import Detector
from pipeline.embed import Embedder
from pipeline.errors import ConfigError, ModelError
from pipeline.linking import site as sites
from pipeline.linking.clustering import corrections
from pipeline.linking.site import Site
from pipeline.outputs import mosaic
from pipeline.outputs.folder import OutputFolder
from pipeline.records import Camera
from pipeline.result import Result
from pipeline.sources import Source, open_source
from pipeline.sources.looks import SHORT_S, Looks


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a run works with, checked. Nothing has been processed or written yet."""

    config: Config
    folder: OutputFolder
    sources: list[Source]
    detector: Detector
    embedder: Embedder
    cameras: dict[str, Camera]
    prior: Site
    result: Result


def prepare(config: Config, output: Path, overwrite: bool, resume: bool = False) -> Prepared:
    """Check all input, open the sources, and load the networks.

    Args:
        config: all settings.
        output: folder for the results; it is not touched yet.
        overwrite: whether it may hold the results of an earlier run.
        resume: whether to go on with an unfinished run in it, if there is one.

    Raises:
        PipelineError: the input is bad.
    """
    config, name_notes = checked(config)
    corrected = corrections.load(config.linking.corrections, config.linking.online)
    folder = OutputFolder(output, overwrite, resume)
    sources = [open_camera(camera, config) for camera in config.cameras]
    if config.output.mosaic:
        _refuse_a_dark_mosaic(sources, config.sources)
    cameras = {source.camera.name: source.camera for source in sources}
    region_warnings: list[str] = []
    for camera in config.cameras:
        region_warnings += site_checks.check_region(cameras[camera.name], camera.roi)
    region_warnings += site_checks.check_zones(config.zones, cameras)
    networks = load_networks(config, list(cameras.values()))
    addresses = [Address.parse(camera.source) for camera in config.cameras]
    source_paths = [Path(address.path) for address in addresses if address.path]
    _refuse_inputs_in(output, [*source_paths, *networks.files])
    result = new_result(config, output, networks)
    result.corrections = corrected
    result.notes = name_notes + _codec_notes(config, cameras) + networks.notes
    result.warnings = region_warnings + _privacy_warnings(config)
    prior = sites.load(config.linking.priors, result.reid_sha256)
    return Prepared(
        config,
        folder,
        sources,
        networks.detector,
        networks.embedder,
        cameras,
        prior,
        result,
    )


def _privacy_warnings(config: Config) -> list[str]:
    """Say that videos of recordings show what `privacy.blur` hides elsewhere."""
    if config.privacy.blur == "off" or not config.output.video:
        return []
    return [
        f"privacy.blur={config.privacy.blur} hides people in live runs and in the report, and not"
        " in the annotated videos of recordings; add --no-video to write none"
    ]


def checked(config: Config) -> tuple[Config, list[str]]:
    """Check settings that need no file, and name the cameras.

    Returns:
        The settings, with a name for each camera, and notes for the user.

    Raises:
        ConfigError: there are no cameras, or a setting cannot be used.
    """
    if not config.cameras:
        raise ConfigError("no cameras: give --videos cam1.mp4 cam2.mp4, or a config with cameras")
    named = configuration.unique_names(config.cameras)
    notes = configuration.renamed_cameras(config.cameras, named)
    config = config.model_copy(update={"cameras": named})
    configuration.check_travel(config)
    configuration.check_zones(config)
    configuration.check_groups(config)
    try:
        devices.resolve(config.device)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return config, notes


@dataclass(frozen=True, slots=True)
class Networks:
    """What finds people, what tells them apart, and notes about both for the user."""

    detector: Detector
    embedder: Embedder
    notes: list[str]

    @property
    def files(self) -> list[Path]:
        """What they were loaded from."""
        return [*self.detector.files, *self.embedder.files]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What computes the networks of a run, so that other machines compute the same numbers.

    Attributes:
        device: kind of the device: cpu, cuda or mps.
        detector: runtime and precision of the detector.
        reid: those of the ReID network.
        detector_sha256: hash of the weights.
        reid_sha256: likewise.
    """

    device: str
    detector: Choice
    reid: Choice
    detector_sha256: str
    reid_sha256: str

    @classmethod
    def of(cls, result: Result) -> "Chosen":
        """Return what was chosen for a run."""
        return cls(
            devices.resolve(result.config.device).type,
            result.detector_choice,
            result.reid_choice,
            result.detector_sha256,
            result.reid_sha256,
        )


def load_networks(
    config: Config, cameras: Sequence[Camera], chosen: Chosen | None = None
) -> Networks:
    """Load the detector and the ReID network.

    Args:
        config: all settings.
        cameras: those that the detector is for.
        chosen: what has to compute them; None to choose.

    Raises:
        PipelineError: weights or a file of detections cannot be used, or they are not those that
            were chosen for.
    """
    detector_choice = chosen.detector if chosen else NO_RUNTIME
    reid_choice = chosen.reid if chosen else NO_RUNTIME
    detector, detector_notes = detectors.build(
        config.detector, config.device, cameras, *_computed_by(detector_choice, config)
    )
    embedder, embedder_notes = embed.build(
        config.reid, config.device, *_computed_by(reid_choice, config)
    )
    if chosen is not None:
        _refuse_other_weights(detector, chosen.detector_sha256)
        _refuse_other_weights(embedder, chosen.reid_sha256)
    return Networks(detector, embedder, detector_notes + embedder_notes)


def _refuse_other_weights(network: Detector | Embedder, expected_sha256: str) -> None:
    """Raise ModelError when weights are not those that were chosen for; "" for none."""
    if expected_sha256 and _sha256(network.files) != expected_sha256:
        raise ModelError(
            f"{network.name}: {network.files[0]} on {platform.node()} is not the file that the run"
            " began with; put the same on all machines"
        )


def _computed_by(choice: Choice, config: Config) -> tuple[RuntimeName, PrecisionName]:
    """Runtime and precision to ask for: those of a choice, or of the settings without one.

    A precision that cannot be asked for, such as float16, is what the runtime takes by itself.
    """
    if choice == NO_RUNTIME:
        return config.runtime, config.precision
    runtime = choice.runtime if choice.runtime in get_args(RuntimeName) else config.runtime
    precision = choice.precision if choice.precision in get_args(PrecisionName) else "auto"
    return cast("RuntimeName", runtime), cast("PrecisionName", precision)


def new_result(config: Config, output: Path, networks: Networks) -> Result:
    """Return the result of a run that has not begun."""
    detector = networks.detector
    embedder = networks.embedder
    return Result(
        config,
        output,
        detector.name,
        embedder.name,
        _sha256(detector.files),
        _sha256(embedder.files),
        detector_choice=detector.choice,
        reid_choice=embedder.choice,
    )


def _codec_notes(config: Config, cameras: Mapping[str, Camera]) -> list[str]:
    """Say which hardware that the settings name decodes or encodes nothing."""
    sizes = [(yuv.even(camera.width), yuv.even(camera.height)) for camera in cameras.values()]
    return hardware.notes(
        config.sources.decoder, config.output.encoder, sizes if config.output.video else []
    )


def open_camera(camera: CameraConfig, config: Config) -> Source:
    """Open a source with the rate of its detection.

    Args:
        camera: the camera, with its name.
        config: all settings.

    Raises:
        SourceError: it cannot be read.
    """
    source = open_source(camera, config.sources, detectors.rate(config.detector))
    opened = source.camera
    is_short = 0 < opened.n_frames < SHORT_S * opened.fps
    if is_short and detectors.is_adaptive(config.detector):
        source.looks = Looks(0)
    return source


def _refuse_a_dark_mosaic(sources: list[Source], config: SourcesConfig) -> None:
    """Raise ConfigError when the cameras' times are too far apart for a mosaic."""
    spans_s: dict[str, tuple[float, float]] = {}
    for source in sources:
        camera = source.camera
        duration_s = math.inf
        if camera.n_frames > 0:
            duration_s = n_expected(camera, config) * config.stride / camera.fps
        spans_s[camera.name] = (camera.start_s, camera.start_s + duration_s)
    if reason := mosaic.too_dark(spans_s):
        raise ConfigError(reason)


def _refuse_inputs_in(output: Path, inputs: list[Path]) -> None:
    """Raise ConfigError when an input lies in the output folder, where results could replace it."""
    for path in inputs:
        if path.resolve().is_relative_to(output.resolve()):
            raise ConfigError(
                f"{path}: lies in the output folder {output}, whose files are replaced; choose"
                " another --output"
            )


def _sha256(files: tuple[Path, ...]) -> str:
    return weights.sha256(files[0]) if files else ""


def longest_look_s(config: DetectorConfig, frame_s: float) -> float:
    """Return the longest time from one look of the detector at a camera to the next, seconds.

    Args:
        config: settings of the detector.
        frame_s: time from one frame of the camera to the next, by which a look may be late.

    Returns:
        That time if the machine keeps up; 0 where all frames are looked at.
    """
    looks_per_s = detectors.rate(config)
    return 1 / looks_per_s + frame_s if looks_per_s else 0.0


def n_expected(camera: Camera, config: SourcesConfig) -> int:
    """How many frames of a camera will be processed, as far as its file tells; 0 unknown."""
    n_frames = max(camera.n_frames, 0)
    if config.max_seconds:
        n_frames = min(n_frames, round(config.max_seconds * camera.fps))
    return math.ceil(n_frames / config.stride)
