"""Degradations that stand for other cameras, for training on crops of people.

Wrong boxes, occlusion, colour casts, blur, few pixels, noise and JPEG.
`augmentation` makes a network's own training views (flip, crop, erasing) at the network's size.
These changes stand for another camera and come before it, on the crop as it was cut: few pixels,
noise and compression are properties of a picture before it is resized. As there, what is drawn and
what is done are apart: a `Degradation` is drawn once and applying it draws nothing.

Order: where the box lies, what hides the person, light and colour, optics, sensor, compression.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from models.reid.settings import DegradationSettings

MIN_HEIGHT_PX = 16
"""No crop is made lower than this."""


Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass(frozen=True)
class Degradation:
    """What is done to one crop, in this order; None or 1 where nothing is.

    Attributes:
        box: left, top, right, bottom of the new box in shares of the old one; (0, 0, 1, 1) is the
            same box.
        hidden: left, top, right, bottom shares of the part that something stands before, or None.
        hidden_from: left, top shares of the part whose pixels are put there.
        gains: factors of blue, green and red.
        gamma: exponent of the brightness; 1 changes nothing.
        blur_share: sigma of the blur as a share of the crop's height; 0 is no blur.
        height_px: height that the crop is reduced to; 0 leaves it.
        noise: standard deviation of the noise in grey levels of 255.
        noise_seed: seed of the noise.
        jpeg_quality: 1 to 100; 0 does not compress.
    """

    box: Box
    hidden: Box | None
    hidden_from: tuple[float, float]
    gains: tuple[float, float, float]
    gamma: float
    blur_share: float
    height_px: int
    noise: float
    noise_seed: int
    jpeg_quality: int


def draw(settings: DegradationSettings, rng: np.random.Generator) -> Degradation | None:
    """Draw what another camera would do to a crop.

    Args:
        settings: Probabilities and ranges.
        rng: Source of the draws.

    Returns:
        The change, or None for none, with probability 1 - settings.probability.
    """
    if rng.random() >= settings.probability:
        return None
    # the order of the draws is part of what a seed means
    hidden, hidden_from = _draw_occlusion(settings, rng)
    gains = rng.uniform(1 - settings.white_balance, 1 + settings.white_balance, 3)
    box = _draw_box(settings, rng)
    log_gamma = rng.uniform(-settings.gamma, settings.gamma)
    blur_share = rng.uniform(0, settings.blur_share) if rng.random() < 0.5 else 0.0
    height_px = _draw_height(settings, rng)
    noise = rng.uniform(0, settings.noise) if rng.random() < 0.5 else 0.0
    noise_seed = rng.integers(2**32)
    jpeg_quality = rng.integers(settings.jpeg_quality, 96) if rng.random() < 0.5 else 0
    return Degradation(
        box=box,
        hidden=hidden,
        hidden_from=hidden_from,
        gains=(float(gains[0]), float(gains[1]), float(gains[2])),
        gamma=float(np.exp(log_gamma)),
        blur_share=float(blur_share),
        height_px=height_px,
        noise=float(noise),
        noise_seed=int(noise_seed),
        jpeg_quality=int(jpeg_quality),
    )


def apply(crop: np.ndarray, change: Degradation | None) -> np.ndarray:
    """Degrade one crop.

    Args:
        crop: (h, w, 3) uint8 BGR.
        change: what to do; None returns the crop itself.

    Returns:
        (h', w', 3) uint8 BGR, of another size where the box or the resolution changed.
    """
    if change is None:
        return crop
    out = _boxed(crop, change.box)
    out = _hidden(out, change)
    out = _lit(out, change)
    if change.blur_share > 0:
        sigma = change.blur_share * out.shape[0]
        out = cv2.GaussianBlur(out, (0, 0), max(sigma, 0.1))
    out = _reduced(out, change.height_px)
    if change.noise > 0:
        rng = np.random.default_rng(change.noise_seed)
        noise = rng.normal(0, change.noise, out.shape)
        out = np.clip(out + noise, 0, 255).astype(np.uint8)
    if change.jpeg_quality > 0:
        _, encoded = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, change.jpeg_quality])
        out = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))
    return np.asarray(out)


def _draw_box(settings: DegradationSettings, rng: np.random.Generator) -> Box:
    """A box that is shifted, too large or too small, and sometimes cut off below.

    The frame's border or furniture cuts people off like that.
    """
    left, top, right, bottom = rng.uniform(-settings.shift, settings.shift, 4)
    if rng.random() < settings.partial:
        bottom = -rng.uniform(0.1, 0.5)
    return float(left), float(top), float(1 + right), float(1 + bottom)


def _draw_occlusion(
    settings: DegradationSettings, rng: np.random.Generator
) -> tuple[Box | None, tuple[float, float]]:
    """Box of the occlusion, and left and top of the part that covers it."""
    if rng.random() >= settings.occlusion:
        return None, (0.0, 0.0)
    width = rng.uniform(0.2, 0.6)
    height = rng.uniform(0.15, 0.4)
    left = rng.uniform(0, 1 - width)
    top = rng.uniform(0, 1 - height)
    source_left = rng.uniform(0, 1 - width)
    source_top = rng.uniform(0, 1 - height)
    box = (float(left), float(top), float(left + width), float(top + height))
    return box, (float(source_left), float(source_top))


def _draw_height(settings: DegradationSettings, rng: np.random.Generator) -> int:
    """Height in px, uniform in its logarithm; 0 for unchanged."""
    if rng.random() >= settings.low_resolution:
        return 0
    log_height = rng.uniform(np.log(settings.min_height_px), np.log(128))
    return round(float(np.exp(log_height)))


def _reduced(crop: np.ndarray, height_px: int) -> np.ndarray:
    """The crop reduced to a height; 0, or more than it has, leaves it."""
    height, width = crop.shape[:2]
    if height_px == 0 or height_px >= height:
        return crop
    width_px = max(MIN_HEIGHT_PX // 2, round(height_px * width / height))
    return cv2.resize(crop, (width_px, height_px), interpolation=cv2.INTER_AREA)


def _boxed(crop: np.ndarray, box: Box) -> np.ndarray:
    """Another box of the same picture; what lies outside of it repeats the border."""
    height, width = crop.shape[:2]
    left = round(box[0] * width)
    right = round(box[2] * width)
    top = round(box[1] * height)
    bottom = round(box[3] * height)
    if bottom - top < MIN_HEIGHT_PX or right - left < MIN_HEIGHT_PX // 2:
        return crop
    above = max(0, -top)
    below = max(0, bottom - height)
    before = max(0, -left)
    behind = max(0, right - width)
    padded = cv2.copyMakeBorder(crop, above, below, before, behind, cv2.BORDER_REPLICATE)
    rows = slice(top + above, bottom + above)
    columns = slice(left + before, right + before)
    return np.ascontiguousarray(padded[rows, columns])


def _hidden(crop: np.ndarray, change: Degradation) -> np.ndarray:
    """Occlude one part of the picture by another part, as a person or a shelf in front would."""
    if change.hidden is None:
        return crop
    height, width = crop.shape[:2]
    left = int(change.hidden[0] * width)
    top = int(change.hidden[1] * height)
    right = int(change.hidden[2] * width)
    bottom = int(change.hidden[3] * height)
    source_left = int(change.hidden_from[0] * width)
    source_top = int(change.hidden_from[1] * height)
    source_right = source_left + right - left
    source_bottom = source_top + bottom - top
    source = crop[source_top:source_bottom, source_left:source_right]
    if source.size == 0:
        return crop
    source_height, source_width = source.shape[:2]
    out = crop.copy()
    out[top : top + source_height, left : left + source_width] = cv2.flip(source, -1)
    return out


def _lit(crop: np.ndarray, change: Degradation) -> np.ndarray:
    """Gains of the three colours, then gamma, by one table a colour."""
    levels = np.arange(256, dtype=np.float32) / 255
    tables = [np.clip(levels * gain, 0, 1) ** change.gamma for gain in change.gains]
    table = np.rint(255 * np.stack(tables, axis=-1)).astype(np.uint8)
    return np.asarray(cv2.LUT(crop, table[np.newaxis]))
