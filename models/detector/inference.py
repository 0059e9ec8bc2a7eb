"""People in images by any YOLO that ultralytics can load: the one inference path of the product,
the model card and the benchmarks.

Torch networks run in the runtime that `models.runtimes` chooses; what is around the network is the
same for all runtimes. Letterboxing is ours, so that the boxes of an image do not depend on the
others of its batch: each image is scaled to `size_px` on its long side and padded to multiples of
32, and images of equal canvas share a batch. Networks exported with a fixed input take everything
in that size. ultralytics is told not to report its use and not to install anything.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from models import device as devices
from models import torchvision_ops
from models.detector import graph as graphs
from models.detector import network as networks
from models.errors import InputError, one_line, shorten
from models.runtimes import choice as runtimes
from models.runtimes.choice import Choice, Chosen
from models.runtimes.graph import Graph, blotches
from models.runtimes.names import PrecisionName, RuntimeName

Array = NDArray[Any]

STRIDE_PX = 32
STRIDES_PX = (8, 16, 32)
"""Of the places of a YOLO's answer."""
PADDING = 114
BATCH = 16
MIN_SCORE = 0.001
"""Weaker boxes are never returned; what evaluation asks for."""
MAX_PEOPLE = 1000
BOX_TASKS = ("detect", "segment", "pose")
"""Tasks of ultralytics whose networks give upright boxes."""
EXPORTED_RUNTIMES = {".onnx": "onnxruntime", ".engine": "tensorrt", "": "openvino"}
"""Runtimes of exported weights by suffix; OpenVINO's is a folder."""
MAX_NAMES = 200
"""Longest list of classes in a message, characters."""


class PersonDetector:
    """Weights of a YOLO: .pt, .onnx, an OpenVINO folder, a TensorRT .engine, or a .safetensors
    state dict.
    """

    def __init__(
        self,
        weights: str,
        architecture: str = "",
        size_px: int = 640,
        min_score: float = MIN_SCORE,
        nms_iou: float = 0.7,
        device: str = "auto",
        classes: Sequence[int | str] = (),
        runtime: RuntimeName = "torch",
        precision: PrecisionName = "auto",
    ) -> None:
        """Load the weights, run them once and read what comes out.

        Args:
            weights: A file, a folder, or a name that ultralytics publishes.
            architecture: YAML name for a .safetensors file that does not name its own.
            size_px: Long side of the network's input.
            min_score: Weaker boxes are left out, 0..1.
            nms_iou: Of two boxes that overlap more, the weaker is left out, 0..1.
            device: As for `models.device.resolve`.
            classes: Names or numbers of the classes that are people; () for all that are called so.
            runtime: What computes a torch network, see `models.runtimes.choice`; exported weights
                have a runtime of their own.
            precision: In which precision it computes.

        Raises:
            InputError: The weights cannot be used, or have no class of this name; or the runtime
                cannot be used.
        """
        if size_px < STRIDE_PX:
            raise InputError(f"an input of {size_px} px is too small; give {STRIDE_PX} or more")
        self._size_px = size_px
        self._min_score = max(min_score, MIN_SCORE)
        self._nms_iou = nms_iou
        self._device = devices.resolve(device)
        self._agrees: dict[tuple[int, int], bool] = {}
        self.warnings: list[str] = []
        loaded = load(weights, architecture)
        self.path = loaded.path
        self._task = loaded.task
        self._is_exported = loaded.network is None
        with _usable(weights):
            _refuse_task(loaded.task)
            self._graph = self._graph_of(loaded, architecture) if runtime != "torch" else None
            self._open(loaded)
            names: dict[int, str] = self._network.names
            self._person = people_classes(names, classes)
        self._chosen = self._choose(runtime, precision)
        if self._chosen.run is None:
            with _usable(weights):
                self._check_answer()

    @property
    def choice(self) -> Choice:
        """The runtime that computes the network, and its precision."""
        return self._chosen.choice

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the choice."""
        return self._chosen.notes

    def detect(self, images: Sequence[Array]) -> list[tuple[Array, Array]]:
        """Find people in images of any sizes.

        Args:
            images: (H, W, 3) uint8 BGR each.

        Returns:
            For each image boxes (n, 4) float32 x1 y1 x2 y2 px, clipped to it, and scores (n,)
            float32, by descending score.
        """
        canvases = [canvas_size(image.shape, self._size_px, self._fixed) for image in images]
        batch_size = self._fixed_batch or BATCH
        found: dict[int, tuple[Array, Array]] = {}
        for canvas in dict.fromkeys(canvases):
            members = [i for i, other in enumerate(canvases) if other == canvas]
            for start in range(0, len(members), batch_size):
                batch = members[start : start + batch_size]
                answers = self._detect_batch([images[i] for i in batch], canvas)
                found.update(zip(batch, answers, strict=True))
        return [found[i] for i in range(len(images))]

    def __call__(self, image: Array) -> tuple[Array, Array]:
        """Find people in one image; see `detect`."""
        return self.detect([image])[0]

    def _graph_of(self, loaded: "Loaded", architecture: str) -> Graph | None:
        """The network for other runtimes, before ultralytics changes it; None for what has none."""
        network = loaded.network
        if network is None or self._device.type != "cpu" or not graphs.has_graph(network):
            return None
        return graphs.build(network, loaded.path, architecture)

    def _open(self, loaded: "Loaded") -> None:
        """Prepare the network for torch, or open exported weights, whose input may be fixed."""
        from ultralytics.nn.autobackend import AutoBackend

        self._fixed: tuple[int, int] | None = None
        self._fixed_batch = 0
        self._precision: AbstractContextManager[object] = nullcontext()
        is_half = self._device.type == "cuda"
        opened = loaded.network if loaded.network is not None else str(loaded.path)
        self._network = AutoBackend(opened, self._device, fp16=is_half, verbose=False).eval()
        if self._is_exported:
            self._fixed, self._fixed_batch = _exported_input(loaded.path)
        else:
            self._precision = networks.optimize_for_inference(self._network.model, self._device)

    def _check_answer(self) -> None:
        """Run once, which also loads what is loaded late; raises InputError unless boxes come out
        that are finite.
        """
        _refuse_task(getattr(self._network, "task", None) or "detect")
        side_px = self._size_px // STRIDE_PX * STRIDE_PX
        height, width = self._fixed or (side_px, side_px)
        blank = np.zeros((self._fixed_batch or 1, height, width, 3), np.uint8)
        answer = _refuse_answer(self._run_torch(blank))
        n_places = sum((height // stride) * (width // stride) for stride in STRIDES_PX)
        places_first = answer.shape[1] % n_places == 0 and answer.shape[2] % n_places != 0
        if self._is_exported and places_first:
            raise InputError(
                f"its output is {tuple(answer.shape)}, places before classes, as YOLOX and YOLOv5"
                " have it, not (N, 4 + classes, places); export it with ultralytics"
            )

    def _choose(self, runtime: RuntimeName, precision: PrecisionName) -> Chosen:
        """Choose what computes the network; raises InputError."""
        weights = self.path.name
        if self._is_exported:
            name = EXPORTED_RUNTIMES.get(self.path.suffix, "as its format says")
            notes: tuple[str, ...] = ()
            if runtime not in ("auto", name):
                notes = (f"{weights}: exported weights choose their runtime themselves ({name})",)
            return Chosen(Choice(name, "as exported"), None, notes)
        if self._device.type != "cpu":
            reason = f"{weights} runs on {self._device}, and only torch does"
            return runtimes.without_graph(runtime, precision, self._device, reason)
        if precision == "float32":
            self._precision = nullcontext()
        if self._graph is None:
            reason = f"{weights} has a head that only torch runs"
            return runtimes.without_graph(runtime, precision, self._device, reason)
        return runtimes.choose(self._graph, self._run_torch, graphs.difference, runtime, precision)

    def _detect_batch(
        self, images: list[Array], canvas: tuple[int, int]
    ) -> list[tuple[Array, Array]]:
        batch = np.full((self._fixed_batch or len(images), *canvas, 3), PADDING, np.uint8)
        scales = [letterbox(image, batch[i]) for i, image in enumerate(images)]
        answers = self._run_for(canvas)(batch)
        return [
            in_image(*self._suppress(answers[i : i + 1]), scale, image.shape)
            for i, (scale, image) in enumerate(zip(scales, images, strict=True))
        ]

    def _run_for(self, canvas: tuple[int, int]) -> Callable[[Array], Any]:
        """What computes pictures of this size: the chosen runtime, if it agrees with torch on this
        size too.
        """
        run = self._chosen.run
        if run is None or self._graph is None:
            return self._run_torch
        if canvas not in self._agrees:
            sample = blotches((1, *canvas))
            try:
                reason = graphs.difference(
                    run(sample), self._graph.expected(sample), self.choice.precision
                )
            except Exception as error:  # noqa: BLE001 - whatever a foreign runtime raises, torch is left
                reason = f"it fails ({one_line(error)})"
            self._agrees[canvas] = not reason
            if reason:
                self.warnings.append(
                    f"{self.path.name}: torch computes pictures of {canvas[1]}x{canvas[0]}, not"
                    f" {self.choice.runtime}, because {reason}"
                )
        return run if self._agrees[canvas] else self._run_torch

    @torch.inference_mode()
    def _run_torch(self, pictures: Array) -> Any:
        """Raw answer (n, 4 + classes, places), a tensor on the device, for pictures (n, height,
        width, 3) uint8 BGR.
        """
        pixels = graphs.pixels(torch.from_numpy(pictures).to(self._device))
        with self._precision:
            answer = self._network(pixels.half() if self._network.fp16 else pixels)
        while isinstance(answer, list | tuple):
            answer = answer[0]
        return answer

    def _suppress(self, answer: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Boxes (n, 4) x1 y1 x2 y2 and scores (n,) of one picture by its raw answer (1, 4 +
        classes, places), or (1, n, 6) of a network that suppresses by itself.
        """
        from ultralytics.utils import nms

        torchvision_ops.complete()  # suppression uses it where it has been imported
        network = self._network
        with torch.inference_mode():
            (found,) = nms.non_max_suppression(
                torch.as_tensor(answer),
                self._min_score,
                self._nms_iou,
                self._person,
                agnostic=len(self._person) > 1,  # one person may be two kinds of people
                max_det=MAX_PEOPLE,
                nc=0 if self._task == "detect" else len(network.names),
                end2end=getattr(network, "end2end", False),
            )
        return found[:, :4], found[:, 4]


def people_classes(names: dict[int, str], wanted: Sequence[int | str]) -> list[int]:
    """Return the classes of a network that are people, by number.

    Args:
        names: Names of its classes, by number.
        wanted: Names or numbers of those that are people; empty for all that are called so.

    Raises:
        InputError: There is no such class, or none is called so.
    """
    by_name = {_plain_name(name): number for number, name in names.items()}
    # ultralytics calls classes without names by their number
    is_named = any(name not in (str(i), f"class{i}") for i, name in names.items())
    known = ", ".join(names.values() if is_named else map(str, names))
    known = shorten(known, MAX_NAMES)
    chosen: list[int] = []
    for want in wanted:
        number = want if isinstance(want, int) else by_name.get(_plain_name(want), -1)
        if number not in names:
            raise InputError(f"there is no class {want}; the network has {known}")
        chosen.append(number)
    if chosen:
        return sorted(set(chosen))
    people = [i for i, name in names.items() if _plain_name(name) in networks.PEOPLE]
    if not people and len(names) > 1 and is_named:
        raise InputError(
            f"none of its {len(names)} classes is a person, but {known}; name the class of people"
        )
    return people or [0]


def _plain_name(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


def _refuse_task(task: str) -> None:
    """Raise InputError when a network of this task of ultralytics gives no upright boxes."""
    if task not in BOX_TASKS:
        raise InputError(
            f"it is a network for the task {task!r}, not a detector; give weights for detection,"
            " such as yolo11n.pt"
        )


def _refuse_answer(answer: Any) -> torch.Tensor:
    """Return the boxes of a network's raw answer; raises InputError unless they are finite."""
    while isinstance(answer, list | tuple) and answer:
        answer = answer[0]
    if not isinstance(answer, torch.Tensor) or answer.ndim != 3 or min(answer.shape[1:]) < 5:
        shape = tuple(answer.shape) if isinstance(answer, torch.Tensor) else type(answer).__name__
        raise InputError(
            f"its output is {shape}, not boxes (N, 4 + classes, places); give weights for detection"
        )
    if not bool(torch.isfinite(answer).all()):
        raise InputError(
            "it gives NaN or infinite boxes, so its weights are damaged; train or download it again"
        )
    return answer


def canvas_size(
    shape: tuple[int, ...], size_px: int, fixed: tuple[int, int] | None
) -> tuple[int, int]:
    """Return height and width of the network input for an image of this shape."""
    if fixed:
        return fixed
    scale = size_px / max(shape[:2])
    height, width = (
        max(STRIDE_PX, -(-round(n * scale) // STRIDE_PX) * STRIDE_PX) for n in shape[:2]
    )
    return height, width


def letterbox(image: Array, out: Array) -> float:
    """Scale `image` into the top left corner of `out`, in place; return the scale."""
    scale = float(min(out.shape[0] / image.shape[0], out.shape[1] / image.shape[1]))
    width = max(1, round(image.shape[1] * scale))
    height = max(1, round(image.shape[0] * scale))
    interpolation = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
    out[:height, :width] = cv2.resize(image, (width, height), interpolation=interpolation)
    return scale


def in_image(
    boxes: torch.Tensor, scores: torch.Tensor, scale: float, shape: tuple[int, ...]
) -> tuple[Array, Array]:
    """Take boxes (n, 4) from the canvas to an image of this shape; those without area are left
    out.
    """
    corners = boxes.float().cpu().numpy().reshape(-1, 4) / scale
    limits = [shape[1], shape[0], shape[1], shape[0]]
    corners = np.clip(corners, 0, limits).astype(np.float32)
    sides = corners[:, 2:] - corners[:, :2]
    kept = (sides > 1).all(axis=1)
    return corners[kept], scores.float().cpu().numpy().reshape(-1)[kept]


class Loaded(NamedTuple):
    """Weights of a YOLO.

    path: where they are.
    task: of ultralytics' names, what the network is for.
    network: ultralytics' network, in evaluation mode; None for exported weights.
    """

    path: Path
    task: str
    network: Any


def load(weights: str, architecture: str) -> Loaded:
    """Open the weights; only names that ultralytics publishes may be downloaded, and only when
    named. Raises InputError.
    """
    networks.disable_telemetry()
    from ultralytics import YOLO
    from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES, attempt_download_asset

    try:
        if not Path(weights).exists():
            if weights not in GITHUB_ASSETS_NAMES:
                raise InputError(
                    f"{weights}: no such file, nor a name that ultralytics publishes (for example"
                    " yolo11n.pt)"
                )
            weights = attempt_download_asset(weights)
        if weights.endswith(".safetensors"):
            return Loaded(Path(weights), "detect", _load_state_dict(weights, architecture))
        yolo = YOLO(weights, task="detect")
        network = None if isinstance(yolo.model, str) else yolo.model.eval()
        return Loaded(Path(weights), yolo.task, network)
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - the edge of a foreign loader, which raises anything from pickle to OSError
        raise InputError(
            f"{weights}: cannot be loaded as YOLO weights ({one_line(error)})"
        ) from None


def _load_state_dict(weights: str, architecture: str) -> Any:
    """A state dict without pickle; its architecture is in its metadata or given."""
    try:
        return networks.load(Path(weights), architecture)
    except InputError as error:
        text = str(error).removeprefix(f"{weights}: ")
        raise InputError(f"{weights}: cannot be loaded as YOLO weights ({text})") from None


@contextmanager
def _usable(weights: str) -> Iterator[None]:
    """Say of whatever is raised that the weights cannot be used."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the edge of a foreign loader: whatever it raises means unusable weights
        raise InputError(
            f"{weights}: cannot be used as a YOLO detector ({one_line(error)})"
        ) from None


def _exported_input(path: Path) -> tuple[tuple[int, int] | None, int]:
    """Height and width, and batch, that an exported network is fixed to; None and 0 when it takes
    any.
    """
    if path.suffix == ".onnx":
        import onnxruntime

        shape = (
            onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            .get_inputs()[0]
            .shape
        )
        size = (shape[2], shape[3]) if all(isinstance(n, int) for n in shape[2:]) else None
        return size, shape[0] if isinstance(shape[0], int) else 0
    from ultralytics.nn.backends.base import BaseBackend

    about = BaseBackend.read_metadata(path)
    if "imgsz" not in about or about.get("args", {}).get("dynamic"):
        return None, 0
    height, width = about["imgsz"]
    return (height, width), int(about["batch"])
