"""What a number of cameras costs, from rates that were measured and assumptions that are named.

A figure of this model is a product of rates (`Rates`, measured by `rates` and `runs`) and
assumptions (`Assumptions`, each with where it comes from). It is no measurement: nobody ran 10,000
cameras here. What grows with the cameras is multiplied; what grows faster, linking, follows the
line through the logarithms of what `benchmarks.linking` measured, and is marked where it leaves
the sizes that were measured.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from pipeline.report.crops import MAX_CROPS

DAY_S = 86_400.0
HOUR_S = 3600.0
MIN_S = 60.0
MIB = float(1 << 20)


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """`factor` times the size to the power of `power`; measured up to the size `largest`."""

    factor: float
    power: float
    largest: float

    @classmethod
    def through(cls, sizes: Sequence[float], values: Sequence[float]) -> "PowerLaw":
        """Fit a line through the logarithms.

        Args:
            sizes: Two or more, above 0.
            values: What was measured at each of them, above 0.
        """
        power, shift = np.polyfit(np.log(sizes), np.log(values), 1)
        return cls(math.exp(shift), float(power), max(sizes))

    def at(self, size: float) -> float:
        """Return the value at a size."""
        return float(self.factor * size**self.power)

    def largest_size(self, value: float) -> float:
        """Return the size at which a value is reached."""
        return float((value / self.factor) ** (1 / self.power))


@dataclass(frozen=True, slots=True)
class Line:
    """`base` and `slope` for each of the size."""

    base: float
    slope: float

    @classmethod
    def through(cls, sizes: Sequence[float], values: Sequence[float]) -> "Line":
        """Fit a line, by least squares.

        Args:
            sizes: Two or more.
            values: What was measured at each of them.
        """
        slope, base = np.polyfit(sizes, values, 1)
        return cls(float(base), float(slope))

    def at(self, size: float) -> float:
        """Return the value at a size."""
        return self.base + self.slope * size

    def largest_size(self, value: float) -> float:
        """Return the size at which a value is reached."""
        return (value - self.base) / self.slope


@dataclass(frozen=True, slots=True)
class Rates:
    """What was measured on this machine; times are CPU time, of user and system.

    Attributes:
        decode_ms_per_s: Of a second of a camera, decoded, converted where it is looked at.
        full_hd_ms_per_s: The same, for 1920x1080 at 25 frames a second.
        video_ms_per_s: Of a second of a camera's annotated video, drawn and encoded.
        detect_ms: Of a look of the detector.
        track_ms: Of a look, tracked and gathered into tracklets.
        embed_ms: Of a crop.
        looks_per_s: Looks of the detector at a camera.
        tracklets_per_min: Of a camera.
        crops_per_tracklet: Crops that are embedded.
        kept_bytes: Memory of a tracklet with its embeddings, without pixels.
        stored_bytes: On disk, by kind of output: of a tracklet.
        video_bytes_per_s: Of the annotated video of a camera.
        sent_bytes_per_s: From a worker to the driver, of a camera, per second of video.
        driver_ms_per_s: Of the driver without linking, of a camera, per second of video.
        ray_cores_per_node: Of Ray's own processes on a node that works.
        ray_mib_per_node: Memory of Ray's own processes on a node.
        worker_mib: Memory of a worker without cameras.
        camera_mib: Memory of a camera in a worker.
        link_s: Linking, by tracklets of a run.
        link_mib: Memory of linking, by tracklets of a run.
        step_s: A step of online linking, by tracklets that it looks at.
        looked_at_per_camera: Tracklets that a step looks at, of each camera of the simulated day
            of `benchmarks.linking`: it depends on how many people come by, not on tracklets.
    """

    decode_ms_per_s: float
    full_hd_ms_per_s: float
    video_ms_per_s: float
    detect_ms: float
    track_ms: float
    embed_ms: float
    looks_per_s: float
    tracklets_per_min: float
    crops_per_tracklet: float
    kept_bytes: float
    stored_bytes: Mapping[str, float]
    video_bytes_per_s: float
    sent_bytes_per_s: float
    driver_ms_per_s: float
    ray_cores_per_node: float
    ray_mib_per_node: float
    worker_mib: float
    camera_mib: float
    link_s: PowerLaw
    link_mib: Line
    step_s: PowerLaw
    looked_at_per_camera: float

    def as_json(self) -> dict[str, Any]:
        """Return all values by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What was not measured here, each with its reason.

    Attributes:
        busy_hours: Hours of a day in which people come by.
        share: Tracklets in these hours, of those that the scenes have in the same time.
        load: Share of the cores, GPUs and networks that may be used, so that peaks fit.
        cameras_per_worker: As `ray.cameras_per_worker` has it by default.
        cores_per_node: Of a machine of the cluster.
        camera_mbit_s: What a camera sends.
        gpu_look_ms: Of a look on a GPU.
        gpu_crop_ms: Of a crop on a GPU.
        site_cameras: Cameras that one site has, between which people walk.
        link_hours: Linking a day of files may take so long, on one core a shard.
        link_gib: Memory of the machine that links a shard.
        live_delay_s: `linking.max_delay_s`; two steps are due in this time.
    """

    busy_hours: float = 8.0
    share: float = 1.0
    load: float = 0.7
    cameras_per_worker: int = 4
    cores_per_node: int = 32
    camera_mbit_s: float = 1.0
    gpu_look_ms: float = 1.5
    gpu_crop_ms: float = 0.3
    site_cameras: int = 100
    link_hours: float = 1.0
    link_gib: float = 16.0
    live_delay_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Linking:
    """How one linker would do, and into what it has to be cut.

    Attributes:
        cameras: Of the linker.
        tracklets: Of a day.
        hours: CPU hours to link the day as one shard.
        gib: Memory of that.
        is_measured: Whether so many tracklets were linked in a measurement.
        shards: Shards of a day that each keep within the limits of time and memory.
        shard_s: How long one of them is.
        step_s: A step of live linking. Where it is longer than half of `linking.max_delay_s`,
            people have their numbers later; nothing else waits for it.
    """

    cameras: int
    tracklets: float
    hours: float
    gib: float
    is_measured: bool
    shards: int
    shard_s: float
    step_s: float


@dataclass(frozen=True, slots=True)
class Costs:
    """What some cameras cost.

    Attributes:
        cameras: How many.
        workers: Actors of Ray.
        nodes: Machines for the workers.
        cores: For the workers at the busiest time, all on CPUs, without annotated video.
        cores_full_hd: The same, for cameras of 1920x1080 at 25 frames a second.
        cores_video: More, for annotated video.
        cores_with_gpus: For the workers, where networks run on GPUs.
        gpus: For detection and embedding.
        driver_cores: For all drivers.
        ray_cores: For Ray's own processes on all nodes.
        camera_gbit_s: From the cameras to the workers.
        sent_mbit_s: From the workers to the drivers.
        memory_gib: Of workers and of Ray on all nodes.
        kept_gib: Memory of a day's tracklets in the drivers of runs over files.
        stored_gb: On disk, of a day, by kind of output.
        as_one: One linker for all cameras.
        by_site: One linker of each site.
        sites: How many sites.
    """

    cameras: int
    workers: int
    nodes: int
    cores: float
    cores_full_hd: float
    cores_video: float
    cores_with_gpus: float
    gpus: float
    driver_cores: float
    ray_cores: float
    camera_gbit_s: float
    sent_mbit_s: float
    memory_gib: float
    kept_gib: float
    as_one: Linking
    by_site: Linking
    sites: int
    stored_gb: Mapping[str, float] = field(default_factory=dict)


def costs(cameras: int, rates: Rates, assumed: Assumptions) -> Costs:
    """Return what cameras cost at the busiest time and, where it says so, in a day.

    Args:
        cameras: How many, 1 or more.
        rates: What was measured.
        assumed: What was not.
    """
    crops_per_s = assumed.share * rates.tracklets_per_min / MIN_S * rates.crops_per_tracklet
    networks_ms = rates.looks_per_s * rates.detect_ms + crops_per_s * rates.embed_ms
    rest_ms = rates.decode_ms_per_s + rates.looks_per_s * rates.track_ms
    full_hd_ms = rates.full_hd_ms_per_s - rates.decode_ms_per_s
    per_core_ms = 1000 * assumed.load
    gpu_ms = rates.looks_per_s * assumed.gpu_look_ms + crops_per_s * assumed.gpu_crop_ms
    cores = cameras * (networks_ms + rest_ms) / per_core_ms
    workers = math.ceil(cameras / assumed.cameras_per_worker)
    nodes = math.ceil(cores / assumed.cores_per_node)
    site_cameras = min(cameras, assumed.site_cameras)
    return Costs(
        cameras=cameras,
        workers=workers,
        nodes=nodes,
        cores=cores,
        cores_full_hd=cores + cameras * full_hd_ms / per_core_ms,
        cores_video=cameras * rates.video_ms_per_s / per_core_ms,
        cores_with_gpus=cameras * rest_ms / per_core_ms,
        gpus=cameras * gpu_ms / per_core_ms,
        driver_cores=cameras * rates.driver_ms_per_s / per_core_ms,
        ray_cores=nodes * rates.ray_cores_per_node,
        camera_gbit_s=cameras * assumed.camera_mbit_s / 1000,
        sent_mbit_s=cameras * 8 * rates.sent_bytes_per_s / 1e6,
        memory_gib=_memory_mib(cameras, workers, nodes, rates) / 1024,
        kept_gib=tracklets_of_a_day(cameras, rates, assumed) * rates.kept_bytes / MIB / 1024,
        stored_gb=_stored_gb(cameras, rates, assumed),
        as_one=linking(cameras, rates, assumed),
        by_site=linking(site_cameras, rates, assumed),
        sites=math.ceil(cameras / assumed.site_cameras),
    )


def tracklets_of_a_day(cameras: int, rates: Rates, assumed: Assumptions) -> float:
    """Return how many tracklets cameras make in a day."""
    a_camera = rates.tracklets_per_min * assumed.share * assumed.busy_hours * HOUR_S / MIN_S
    return cameras * a_camera


def linking(cameras: int, rates: Rates, assumed: Assumptions) -> Linking:
    """Return what one linker of some cameras costs, and the longest shard that it can link.

    As few shards are made as time and memory allow, evenly over the busy hours.

    Args:
        cameras: Of one run.
        rates: What was measured.
        assumed: What was not.
    """
    tracklets = tracklets_of_a_day(cameras, rates, assumed)
    most_by_time = rates.link_s.largest_size(assumed.link_hours * HOUR_S)
    most_by_memory = rates.link_mib.largest_size(assumed.link_gib * 1024)
    most = min(most_by_time, most_by_memory)
    shards = math.ceil(tracklets / most)
    return Linking(
        cameras=cameras,
        tracklets=tracklets,
        hours=rates.link_s.at(tracklets) / HOUR_S,
        gib=rates.link_mib.at(tracklets) / 1024,
        is_measured=tracklets <= rates.link_s.largest,
        shards=shards,
        shard_s=assumed.busy_hours * HOUR_S / shards,
        step_s=rates.step_s.at(cameras * rates.looked_at_per_camera),
    )


def most_live_cameras(rates: Rates, assumed: Assumptions) -> int:
    """Return how many cameras of the simulated day one live run links in time."""
    looked_at = rates.step_s.largest_size(assumed.live_delay_s / 2)
    return int(looked_at / rates.looked_at_per_camera)


def _memory_mib(cameras: int, workers: int, nodes: int, rates: Rates) -> float:
    of_workers = workers * rates.worker_mib + cameras * rates.camera_mib
    return of_workers + nodes * rates.ray_mib_per_node


def _stored_gb(cameras: int, rates: Rates, assumed: Assumptions) -> dict[str, float]:
    """What a day of results takes on disk, by kind."""
    tracklets = tracklets_of_a_day(cameras, rates, assumed)
    sites = math.ceil(cameras / assumed.site_cameras)
    numbers = {"crops": min(tracklets, sites * MAX_CROPS)}
    stored = {
        kind: numbers.get(kind, tracklets) * size / 1e9 for kind, size in rates.stored_bytes.items()
    }
    stored["video"] = cameras * DAY_S * rates.video_bytes_per_s / 1e9
    return stored
