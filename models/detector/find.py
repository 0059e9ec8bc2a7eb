"""Find people in pictures with a network of `network.py`: letterbox, forward pass, non-maximum
suppression.
"""

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from models.detector import network as networks

Array = NDArray[Any]

PADDING = 114
MAX_IOU = 0.7
MAX_PEOPLE = 300


class Finder:
    """A callable image (H, W, 3) uint8 BGR -> boxes (n, 4) px, scores (n,), by descending score;
    people only.
    """

    def __init__(
        self, network: Any, size: tuple[int, int], min_score: float = 0.001, device: str = "cpu"
    ) -> None:
        """`size` is the network's input, width and height px, multiples of 32. The network is fused
        for speed, in place.
        """
        self._person = networks.person(network)
        self._network = network.eval().fuse(verbose=False).to(device)
        self._fast = networks.hasten(self._network, torch.device(device))
        self._size, self._min_score, self._device = size, min_score, device

    def __call__(self, image: Array) -> tuple[Array, Array]:
        """Boxes are clipped to the image."""
        canvas, scale = letterbox(image, self._size)
        batch = (
            torch.from_numpy(canvas)
            .flip(-1)
            .permute(2, 0, 1)[None]
            .to(self._device)
            .float()
            .div_(255)
        )
        with self._fast:
            boxes, scores = found(self._network, batch, self._person, self._min_score)[0]
        limits = [image.shape[1], image.shape[0]] * 2
        return np.clip(boxes / scale, 0, limits).astype(np.float32), scores


def letterbox(image: Array, size: tuple[int, int]) -> tuple[Array, float]:
    """Return the image in the top left corner of a grey canvas of `size` (width, height), and its
    scale there.
    """
    width, height = size
    scale = min(width / image.shape[1], height / image.shape[0])
    inner = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    canvas = np.full((height, width, 3), PADDING, np.uint8)
    canvas[: inner[1], : inner[0]] = cv2.resize(
        image, inner, interpolation=cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
    )
    return canvas, scale


@torch.inference_mode()
def found(
    network: Any, batch: torch.Tensor, person: int = 0, min_score: float = 0.001
) -> list[tuple[Array, Array]]:
    """Boxes (n, 4) in px of the batch (B, 3, H, W), RGB 0 to 1, and scores (n,), for each of its
    pictures.
    """
    from ultralytics.utils.nms import non_max_suppression

    answers = network(batch)[0]
    answers = torch.cat([answers[:, :4], answers[:, 4 + person : 5 + person]], dim=1)
    kept = non_max_suppression(
        answers, min_score, MAX_IOU, max_det=MAX_PEOPLE, nc=1, max_time_img=10.0
    )
    return [(rows[:, :4].cpu().numpy(), rows[:, 4].cpu().numpy()) for rows in kept]
