"""The one way in which person crops enter a ReID network: training, evaluation and the pipeline all use it."""

import cv2
import numpy as np
import torch

HEIGHT_PX, WIDTH_PX = 256, 128
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def resize(crop: np.ndarray, height_px: int = HEIGHT_PX, width_px: int = WIDTH_PX) -> np.ndarray:
    """One crop (h, w, 3) uint8 of any size -> (height_px, width_px, 3) uint8, aspect ratio not kept (the field's custom)."""
    if crop.shape[:2] == (height_px, width_px):
        return crop
    return np.asarray(cv2.resize(crop, (width_px, height_px), interpolation=cv2.INTER_LINEAR))


def normalise(crops: torch.Tensor) -> torch.Tensor:
    """Crops (N, H, W, 3) uint8 BGR -> (N, 3, H, W) float32 RGB, ImageNet mean and std, on the same device."""
    rgb = crops.flip(-1).permute(0, 3, 1, 2).float().div_(255)
    mean = torch.tensor(MEAN, device=crops.device).view(1, 3, 1, 1)
    std = torch.tensor(STD, device=crops.device).view(1, 3, 1, 1)
    return rgb.sub_(mean).div_(std)
