"""The one way in which person crops enter a ReID network: training, evaluation and the pipeline all
use it.

Networks of ours take the `imagenet` convention. Networks of others may take another, which is
written down and never guessed.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch.nn import functional

from models.reid.crop_size import HEIGHT_PX, WIDTH_PX
from models.runtimes.graph import to_rgb

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Convention:
    """What a network takes: (value / divisor - mean) / std of bytes 0..255, in its order of
    channels.
    """

    bgr: bool = False
    divisor: float = 255
    mean: tuple[float, float, float] = (0, 0, 0)
    std: tuple[float, float, float] = (1, 1, 1)


IMAGENET = Convention(mean=MEAN, std=STD)
CONVENTIONS = {
    "imagenet": IMAGENET,
    "rgb_0_1": Convention(),
    "rgb_0_255": Convention(divisor=1),
    "bgr_0_255": Convention(bgr=True, divisor=1),
}
"""Conventions by the names that `reid.convention` and `models/weights/public.json` use."""


def resize(crop: np.ndarray, height_px: int = HEIGHT_PX, width_px: int = WIDTH_PX) -> np.ndarray:
    """One crop (h, w, 3) uint8 of any size -> (height_px, width_px, 3) uint8, aspect ratio not kept
    (the field's custom).
    """
    if crop.shape[:2] == (height_px, width_px):
        return crop
    return np.asarray(cv2.resize(crop, (width_px, height_px), interpolation=cv2.INTER_LINEAR))


def normalise(crops: torch.Tensor, convention: Convention = IMAGENET) -> torch.Tensor:
    """Crops (N, H, W, 3) uint8 BGR -> (N, 3, H, W) float32 as the convention wants them, on the
    same device.
    """
    ordered = crops if convention.bgr else to_rgb(crops)
    pixels = ordered.permute(0, 3, 1, 2).float().div_(convention.divisor)
    mean = torch.tensor(convention.mean, device=crops.device).view(1, 3, 1, 1)
    std = torch.tensor(convention.std, device=crops.device).view(1, 3, 1, 1)
    return pixels.sub_(mean).div_(std)


def scaled(images: torch.Tensor, scale: float) -> torch.Tensor:
    """Resize what a network sees, for a test at several scales.

    Args:
        images: (N, 3, H, W) float32, normalised.
        scale: Factor of the area; both sides grow by its root.

    Returns:
        (N, 3, H', W') float32, bicubically resized; the images themselves at scale 1.
    """
    if scale == 1:
        return images
    factor = math.sqrt(scale)
    return functional.interpolate(images, scale_factor=factor, mode="bicubic", align_corners=False)
