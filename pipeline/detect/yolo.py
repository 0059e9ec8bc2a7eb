"""Any YOLO that ultralytics can load, person class only.

Letterboxing is ours, so that one camera's boxes do not depend on which other cameras share its
batch: each frame is scaled to `size_px` on its long side and padded to a multiple of 32, and frames
of equal canvas are batched. Networks exported with a fixed input take everything in that size.
ultralytics is told not to phone home and not to install anything.
"""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

import models.torchvision_ops  # noqa: F401 - before ultralytics
from models import device as devices
from models.detector import network as networks
from models.errors import InputError
from pipeline.config import DetectorConfig
from pipeline.errors import ModelError
from pipeline.records import Array, Detections, Frame

STRIDE_PX = 32
PADDING = 114
BATCH = 16


class YoloDetector:
    """YOLO weights: .pt, .onnx, an OpenVINO folder, a TensorRT .engine, or a .safetensors state
    dict.
    """

    def __init__(self, weights: str, config: DetectorConfig, device: str) -> None:
        self.name = f"YOLO {Path(weights).name}"
        self._config = config
        self._device = devices.resolve(device)
        self._yolo, path = load(weights, config.architecture)
        self.files: tuple[Path, ...] = (path,)
        try:
            self._warm_up()
        except Exception as error:  # noqa: BLE001 - the edge of a foreign loader: whatever it raises means unusable weights
            raise ModelError(
                f"{weights}: cannot be used as a YOLO detector ({_one_line(error)})"
            ) from None

    def _warm_up(self) -> None:
        """Run once, to load what is loaded late and to learn the person class and a fixed input
        size.
        """
        self._fixed: tuple[int, int] | None = None
        self._fixed_batch = 0
        blank = torch.zeros(1, 3, self._config.size_px // 32 * 32, self._config.size_px // 32 * 32)
        if isinstance(self._yolo.model, str):
            self._fixed, self._fixed_batch = _exported_input(self._yolo)
            height, width = self._fixed or blank.shape[2:]
            blank = torch.zeros(self._fixed_batch or 1, 3, height, width)
        self._person = [0]
        self._fast: AbstractContextManager[object] = nullcontext()
        self._predict(blank)
        if not isinstance(self._yolo.model, str):
            self._fast = networks.hasten(
                self._yolo.predictor.model.model, self._device
            )  # fused by now
            self._predict(blank)
        names: dict[int, str] = self._yolo.predictor.model.names
        person = [
            i for i, name in names.items() if name.lower() in ("person", "pedestrian", "people")
        ]
        named = any(
            name not in (str(i), f"class{i}") for i, name in names.items()
        )  # not what ultralytics calls nameless ones
        if not person and len(names) > 1 and named:
            raise ValueError(f"none of its {len(names)} classes is a person")
        self._person = person[:1] or [0]

    def detect(self, frames: list[Frame]) -> list[Detections]:
        """Return people with score >= `min_score`, boxes clipped to the image."""
        canvases = [
            _canvas(frame.image.shape, self._config.size_px, self._fixed) for frame in frames
        ]
        found: dict[int, Detections] = {}
        for canvas in dict.fromkeys(canvases):
            members = [i for i, c in enumerate(canvases) if c == canvas]
            size = self._fixed_batch or BATCH
            for start in range(0, len(members), size):
                part = members[start : start + size]
                found.update(
                    zip(
                        part,
                        self._detect_batch([frames[i].image for i in part], canvas),
                        strict=True,
                    )
                )
        return [found[i] for i in range(len(frames))]

    def _detect_batch(self, images: list[Array], canvas: tuple[int, int]) -> list[Detections]:
        batch = np.full((self._fixed_batch or len(images), *canvas, 3), PADDING, np.uint8)
        scales = [_letterbox(image, batch[i]) for i, image in enumerate(images)]
        tensor = (
            torch.from_numpy(batch)
            .flip(-1)
            .permute(0, 3, 1, 2)
            .contiguous()
            .to(self._device)
            .float()
            .div_(255)
        )
        results = self._predict(tensor)[: len(images)]
        return [
            _detections(r.boxes.xyxy, r.boxes.conf, s, image.shape)
            for r, s, image in zip(results, scales, images, strict=True)
        ]

    def _predict(self, batch: torch.Tensor) -> list[Any]:
        half = self._device.type == "cuda"
        with self._fast:
            results: list[Any] = self._yolo.predict(
                batch,
                conf=max(self._config.min_score, 1e-3),
                iou=self._config.nms_iou,
                classes=self._person,
                verbose=False,
                device=str(self._device),
                quantize=16 if half else None,
                max_det=1000,
                imgsz=list(batch.shape[2:]),
            )
        return results


def _canvas(shape: tuple[int, ...], size_px: int, fixed: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width of the network input for an image of this shape."""
    if fixed:
        return fixed
    scale = size_px / max(shape[:2])
    height, width = (
        max(STRIDE_PX, -(-round(n * scale) // STRIDE_PX) * STRIDE_PX) for n in shape[:2]
    )
    return height, width


def _letterbox(image: Array, out: Array) -> float:
    """Scale `image` into the top left corner of `out`, in place; returns the scale."""
    scale = float(min(out.shape[0] / image.shape[0], out.shape[1] / image.shape[1]))
    width, height = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    interpolation = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
    out[:height, :width] = cv2.resize(image, (width, height), interpolation=interpolation)
    return scale


def _detections(
    boxes: torch.Tensor, scores: torch.Tensor, scale: float, shape: tuple[int, ...]
) -> Detections:
    corners = boxes.float().cpu().numpy().reshape(-1, 4) / scale
    corners = np.clip(corners, 0, [shape[1], shape[0], shape[1], shape[0]]).astype(np.float32)
    good = (corners[:, 2] - corners[:, 0] > 1) & (corners[:, 3] - corners[:, 1] > 1)
    return Detections(corners[good], scores.float().cpu().numpy().reshape(-1)[good])


def load(weights: str, architecture: str) -> tuple[Any, Path]:
    """Open the weights and say where they are; only names that ultralytics publishes may be
    downloaded, and only when named.
    """
    networks.quiet()
    from ultralytics import YOLO
    from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES, attempt_download_asset

    try:
        if not Path(weights).exists():
            if weights not in GITHUB_ASSETS_NAMES:
                raise ModelError(
                    f"{weights}: no such file, nor a name that ultralytics publishes (for example"
                    " yolo11n.pt)"
                )
            weights = attempt_download_asset(weights)
        if weights.endswith(".safetensors"):
            return _load_state_dict(weights, architecture), Path(weights)
        return YOLO(weights, task="detect"), Path(weights)
    except ModelError:
        raise
    except Exception as error:  # noqa: BLE001 - the edge of a foreign loader, which raises anything from pickle to OSError
        raise ModelError(
            f"{weights}: cannot be loaded as YOLO weights ({_one_line(error)})"
        ) from None


def _load_state_dict(weights: str, architecture: str) -> Any:
    """A state dict without pickle; its architecture is in its metadata or in
    `detector.architecture`.
    """
    from ultralytics import YOLO

    try:
        network = networks.load(Path(weights), architecture)
    except InputError as error:
        text = str(error).removeprefix(f"{weights}: ")
        hint = (
            "; for example --set detector.architecture=yolo11n.yaml"
            if text.startswith("name its architecture")
            else ""
        )
        raise ModelError(f"{weights}: cannot be loaded as YOLO weights ({text}){hint}") from None
    yolo = YOLO(network.yaml["yaml_file"], task="detect")
    yolo.model = network
    return yolo


def _exported_input(yolo: Any) -> tuple[tuple[int, int] | None, int]:
    """Height and width, and batch, that an exported network is fixed to; None and 0 when it takes
    any.
    """
    path = Path(yolo.model)
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


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) < 160 else text[:157] + "..."
