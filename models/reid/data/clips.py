"""Which frames of a tracklet a network sees, from their number, the clip length and a rule.
Training rules give one clip and may draw; test rules give as many clips as they need and never
draw, so that an evaluation repeats. A tracklet shorter than a clip gives some frames twice, so
training clips are always full.

| training | clip | source | a short tracklet |
| --- | --- | --- | --- |
| random | frames anywhere, in time order | torchreid | the same, with repetition |
| consecutive | a window | Gao & Nevatia, arXiv 1805.02104 | starts again |
| evenly | one frame every n // length, from the first | torchreid | repeats the last frame |
| restricted | one frame from each of equal parts | arXiv 1912.05295 | repeats the last frame |
| interval | one frame from each cell of 8, 4, 2 or 1 frames in a window | PSTA | as random |

| test | clips | source |
| --- | --- | --- |
| all | one clip of all frames, whatever the length | torchreid |
| evenly | one, as in training | torchreid |
| dense | neighbouring windows over all frames | Gao & Nevatia |
| begin_interval | one, from the first, the widest stride of length / 1, 2, 4, 8 or 1 | PSTA |
| dense_interval | n // length clips, spread over the tracklet, n % length frames left out | PSTA |

`evenly` draws nothing. `restricted` is restricted random sampling, "intelligent" in its authors'
program. PSTA is Wang et al., ICCV 2021.

Two published programs draw the start of a window such that the last window never comes up
(consecutive, interval), and two drop the frames after 41 or 200 dense clips; here every window can
come up and dense has no limit.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np

from models.errors import InputError

TrainingRule = Literal["random", "consecutive", "evenly", "restricted", "interval"]
TestRule = Literal["all", "evenly", "dense", "begin_interval", "dense_interval"]

STRIDES = (8, 4, 2, 1)
"""Cells of `interval`, widest first, in frames."""


def training_clip(n: int, length: int, rule: TrainingRule, rng: np.random.Generator) -> np.ndarray:
    """Draw one clip of a tracklet for training.

    Args:
        n: Frames of the tracklet.
        length: Frames of the clip.
        rule: How to choose them.
        rng: Source of the draws.

    Returns:
        Frame numbers (length,) int64 in 0..n-1, in time order, except that `consecutive` starts
        again at a short tracklet's end.

    Raises:
        InputError: The tracklet has no frames.
    """
    choose = _TRAINING[rule]
    return choose(_checked(n), length, rng)


def covering_clips(n: int, length: int, rule: TestRule) -> list[np.ndarray]:
    """Choose the clips of a tracklet for a test.

    Args:
        n: Frames of the tracklet.
        length: Frames of a clip.
        rule: How to choose them.

    Returns:
        At least one clip: frame numbers (length,) int64 in 0..n-1; (n,) with `all`. A clip that
        lacks frames (n < length; the last of `dense`) starts again at its own first frame; `evenly`
        repeats the last.

    Raises:
        InputError: The tracklet has no frames.
    """
    choose = _TEST[rule]
    return choose(_checked(n), length)


def _checked(n: int) -> int:
    if n < 1:
        raise InputError("a tracklet has no frames; remove it from the data set")
    return n


def _random(n: int, length: int, rng: np.random.Generator) -> np.ndarray:
    return np.sort(rng.choice(n, length, replace=n < length))


def _consecutive(n: int, length: int, rng: np.random.Generator) -> np.ndarray:
    begin = rng.integers(max(n - length, 0) + 1)
    return np.asarray((begin + np.arange(length)) % n)


def _evenly(n: int, length: int) -> np.ndarray:
    stride = max(n // length, 1)
    frames = np.arange(length) * stride
    return np.minimum(frames, n - 1)


def _restricted(n: int, length: int, rng: np.random.Generator) -> np.ndarray:
    part = max(n // length, 1)
    begins = np.arange(length) * part
    ends = begins + part
    ends[-1] = max(n, ends[-1])  # the last part takes what the division leaves
    frames = rng.integers(begins, ends)
    return np.minimum(frames, n - 1)


def _interval(n: int, length: int, rng: np.random.Generator) -> np.ndarray:
    if n < length:
        return _random(n, length, rng)
    stride = next(s for s in STRIDES if s * length <= n)
    begin = rng.integers(n - stride * length + 1)
    cells = begin + np.arange(length) * stride
    within_cell = rng.integers(stride, size=length)
    return np.asarray(cells + within_cell)


def _all(n: int, length: int) -> list[np.ndarray]:
    return [np.arange(n)]


def _dense(n: int, length: int) -> list[np.ndarray]:
    clips = []
    for begin in range(0, n, length):
        n_frames = min(length, n - begin)
        clips.append(begin + np.arange(length) % n_frames)
    return clips


def _begin_interval(n: int, length: int) -> list[np.ndarray]:
    strides = (max(length // divisor, 1) for divisor in (1, 2, 4, 8, length))
    stride = next((s for s in strides if s * (length - 1) < n), 1)
    return [np.arange(length) * stride % n]


def _dense_interval(n: int, length: int) -> list[np.ndarray]:
    if n < length:
        return [np.arange(length) % n]
    n_clips = n // length
    return [first + np.arange(length) * n_clips for first in range(n_clips)]


_TRAINING: dict[TrainingRule, Callable[[int, int, np.random.Generator], np.ndarray]] = {
    "random": _random,
    "consecutive": _consecutive,
    "evenly": lambda n, length, rng: _evenly(n, length),
    "restricted": _restricted,
    "interval": _interval,
}
_TEST: dict[TestRule, Callable[[int, int], list[np.ndarray]]] = {
    "all": _all,
    "evenly": lambda n, length: [_evenly(n, length)],
    "dense": _dense,
    "begin_interval": _begin_interval,
    "dense_interval": _dense_interval,
}
