"""Augmentation of training clips, on uint8 before `preprocess.normalise`.

Size, flip, crop, colour and erasing.
What is drawn and what is done are apart: a `Change` is drawn once for a clip, or once for every
frame, and applying it draws nothing. So the frames of a clip cannot differ unless they are meant
to, and a frame counts as erased exactly if it was.

Erasing (Zhong et al., arXiv 1708.04896) comes last and fills with ImageNet's mean colour, which the
normalisation turns into 0. Published systems normalise first and then fill with the numbers of the
mean, a brighter grey that they did not intend; that is `published`, for comparison. There is no
augmentation in tests, and nothing here that a test could share with training.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from models.reid import preprocess
from models.reid.data import degradation
from models.reid.data.degradation import Degradation
from models.reid.settings import AugmentSettings

ZOOM = 1.125
"""Size from which `translate` crops, relative to the network's (Random2DTranslation of torchreid).
"""
MAX_TRIES = 100
"""Boxes drawn for one erasing until one fits."""
GREY = np.array((0.114, 0.587, 0.299), np.float32)
"""Luminance of BGR (ITU-R BT.601)."""
_MEAN = np.array(preprocess.MEAN[::-1])
_STD = np.array(preprocess.STD[::-1])
FILLS = {
    "mean": np.rint(255 * _MEAN).astype(np.uint8),
    "published": np.rint(255 * (_MEAN * _STD + _MEAN)).astype(np.uint8),
}
"""Colours (3,) uint8 BGR of erased boxes: 0 and, as published, the mean after normalisation."""


class Change(NamedTuple):
    """What is done to one frame, in this order.

    degraded: what another camera would do to it, None nothing. size: height and width px it is
    resized to. pad_px: black on all sides. top, left: where the crop lies in that. factors:
    brightness, contrast, saturation. box: top, left, height, width px of what is erased, zeros for
    nothing. patch: uint8, the pixels that go there, or their one colour.
    """

    degraded: Degradation | None
    size: tuple[int, int]
    mirrored: bool
    pad_px: int
    top: int
    left: int
    factors: tuple[float, float, float]
    box: tuple[int, int, int, int]
    patch: np.ndarray


def augment(
    frames: Sequence[np.ndarray],
    settings: AugmentSettings,
    height_px: int,
    width_px: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Augment the frames of one clip.

    Args:
        frames: T frames, each (h, w, 3) uint8 BGR of any size.
        settings: What to draw. With `whole_clip` all frames get the same change, pixel noise
            included; else each its own.
        height_px: Height of the clip.
        width_px: Width of the clip.
        rng: Source of the draws.

    Returns:
        The clip (T, height_px, width_px, 3) uint8 BGR, and which frames have an erased box, (T,)
        bool.
    """
    if settings.whole_clip:
        changes = [_draw(settings, height_px, width_px, rng)] * len(frames)
    else:
        changes = [_draw(settings, height_px, width_px, rng) for _ in frames]
    clip = []
    for frame, change in zip(frames, changes, strict=True):
        clip.append(_apply(frame, change, height_px, width_px))
    erased = [change.box[2] > 0 for change in changes]
    return np.stack(clip), np.array(erased)


def _draw(
    settings: AugmentSettings, height_px: int, width_px: int, rng: np.random.Generator
) -> Change:
    """Draw a change; the order of the draws is part of what a seed means."""
    mirrored = rng.random() < settings.flip
    is_zoomed = settings.crop == "translate" and rng.random() < 0.5
    zoom = ZOOM if is_zoomed else 1
    full_height = round(height_px * zoom)
    full_width = round(width_px * zoom)
    pad_px = settings.pad_px if settings.crop == "pad" else 0
    top = int(rng.integers(full_height + 2 * pad_px - height_px + 1))
    left = int(rng.integers(full_width + 2 * pad_px - width_px + 1))
    brightness, contrast, saturation = (_draw_factor(spread, rng) for spread in settings.jitter)
    box = (0, 0, 0, 0)
    if rng.random() < settings.erase:
        box = _draw_box(settings, height_px, width_px, rng)
    if settings.erase_fill == "noise":
        patch = rng.integers(0, 256, (*box[2:], 3), np.uint8)
    else:
        patch = FILLS[settings.erase_fill]
    degraded = degradation.draw(settings.degrade, rng) if settings.degrade.probability else None
    return Change(
        degraded=degraded,
        size=(full_height, full_width),
        mirrored=mirrored,
        pad_px=pad_px,
        top=top,
        left=left,
        factors=(brightness, contrast, saturation),
        box=box,
        patch=patch,
    )


def _draw_factor(spread: float, rng: np.random.Generator) -> float:
    """Factor about 1, at least 0."""
    return rng.uniform(max(0.0, 1 - spread), 1 + spread)


def _draw_box(
    settings: AugmentSettings, height_px: int, width_px: int, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Box to erase: top, left, height, width.

    Area (share of the crop) and aspect (height / width) are uniform, drawn again until the box lies
    inside.
    """
    for _ in range(MAX_TRIES):
        area = rng.uniform(*settings.erase_area) * height_px * width_px
        aspect = rng.uniform(*settings.erase_aspect)
        height = round(math.sqrt(area * aspect))
        width = round(math.sqrt(area / aspect))
        if 0 < height < height_px and 0 < width < width_px:
            top = int(rng.integers(height_px - height + 1))
            left = int(rng.integers(width_px - width + 1))
            return top, left, height, width
    return 0, 0, 0, 0


def _apply(frame: np.ndarray, change: Change, height_px: int, width_px: int) -> np.ndarray:
    out = preprocess.resize(degradation.apply(frame, change.degraded), *change.size)
    if change.mirrored:
        out = cv2.flip(out, 1)
    pad = change.pad_px
    out = cv2.copyMakeBorder(out, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    out = out[change.top : change.top + height_px, change.left : change.left + width_px]
    out = _coloured(out, *change.factors)
    top, left, height, width = change.box
    out[top : top + height, left : left + width] = change.patch
    return out


def _coloured(
    frame: np.ndarray, brightness: float, contrast: float, saturation: float
) -> np.ndarray:
    """Change brightness, contrast about the mean luminance, and saturation; rounded once."""
    if brightness == contrast == saturation == 1:
        return frame
    out: np.ndarray = frame * np.float32(brightness)
    mean = float((out @ GREY).mean())
    out = mean + contrast * (out - mean)
    grey = (out @ GREY)[..., np.newaxis]
    out = grey + saturation * (out - grey)
    return np.rint(np.clip(out, 0, 255)).astype(np.uint8)
