"""A YOLO as a graph that any runtime can take, and when two runtimes agree about it."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.runtimes import quantize
from models.runtimes.graph import Array, Graph, blotches, to_rgb, wrong_form
from models.weights import checksums

SAMPLE_SHAPE = (1, 384, 640)
"""One picture, as wide as most cameras: number, height and width in pixels."""
N_BEST = 100
"""Places of the network that are compared: those with the highest scores."""
MAX_APART = 0.05
"""Largest distance of a box's corners from torch's, mean over the places, as a fraction of the
box's size. bfloat16 is allowed what it rounds; float32 stays below 1e-4.
"""
MAX_SCORE_APART = 0.02
"""Largest difference of a score, mean over the places."""
MAX_APART_INT8 = 0.15
MAX_SCORE_APART_INT8 = 0.05
"""As above, for 8 bits."""


class FromPictures(nn.Module):
    """Pictures (n, height, width, 3) uint8 BGR -> raw answer (n, 4 + classes, places) float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """See the class."""
        answer = self.network(pixels(pictures))
        while isinstance(answer, list | tuple):
            answer = answer[0]
        return answer  # type: ignore[no-any-return]


class Expectation(nn.Module):
    """What ultralytics' `DFL` computes, the expected distance (n, 4, places) from its distribution
    (n, 4 * bins, places), without a convolution.

    OpenVINO keeps what follows the last convolution in float32, so that boxes are decoded in
    float32 also where the network is computed in bfloat16.
    """

    def __init__(self, n_bins: int) -> None:
        super().__init__()
        self.register_buffer("bins", torch.arange(n_bins, dtype=torch.float32).view(1, 1, -1, 1))

    def forward(self, distribution: torch.Tensor) -> torch.Tensor:
        """See the class."""
        n, channels, places = distribution.shape
        bins = distribution.view(n, 4, channels // 4, places).softmax(2)
        return (bins * self.bins).sum(2)  # type: ignore[operator]


def pixels(pictures: torch.Tensor) -> torch.Tensor:
    """Turn pictures (n, height, width, 3) uint8 BGR into what YOLO takes: (n, 3, height, width)
    float32 RGB, 0..1.
    """
    return to_rgb(pictures).permute(0, 3, 1, 2).contiguous().float().div(255)


def has_graph(network: Any) -> bool:
    """Whether a network of ultralytics can run in other runtimes: one that gives boxes and scores
    at all places, before suppression.
    """
    from ultralytics.nn.modules.head import Detect

    head = network.model[-1]
    return type(head) is Detect and not head.end2end


def build(network: Any, path: Path, architecture: str) -> Graph:
    """Return the graph of a network.

    Args:
        network: ultralytics' `DetectionModel`, not run yet. It is not changed.
        path: File of its weights.
        architecture: What the user says of it; "" for nothing.
    """
    own = copy.deepcopy(network).float().eval()
    with torch.no_grad():
        own = own.fuse(verbose=False)
    for parameter in own.parameters():
        parameter.requires_grad_(False)
    head = own.model[-1]
    head.dynamic = True  # places follow from the size of each picture
    if head.reg_max > 1:
        head.dfl = Expectation(head.reg_max)
    checksum = checksums.of_file(path, "sha256")
    parts = {"weights": checksum, "architecture": architecture}
    return Graph(
        FromPictures(own).eval(),
        path.stem,
        parts,
        blotches(SAMPLE_SHAPE),
        is_size_free=True,
        packages=("torch", "ultralytics"),
        ranges=quantize.read(path, checksum),
    )


def difference(found: Array, expected: Array, precision: str = "float32") -> str:
    """Say why two raw answers (1, 4 + classes, places) differ too much; "" if they do not.

    Args:
        found: What a runtime gives.
        expected: What torch gives in float32.
        precision: In which the runtime computes.
    """
    if reason := wrong_form(found, expected):
        return reason
    scores = expected[0, 4:].max(axis=0)
    best = np.argsort(-scores, kind="stable")[:N_BEST]
    boxes = expected[0, :4, best]
    sizes_px = np.sqrt(np.maximum(boxes[:, 2:].prod(axis=1), 1.0))
    apart = np.abs(found[0, :4, best] - boxes).max(axis=1) / sizes_px
    scores_apart = np.abs(found[0, 4:, best] - expected[0, 4:, best]).max(axis=1)
    is_int8 = precision == "int8"
    max_apart = MAX_APART_INT8 if is_int8 else MAX_APART
    max_score_apart = MAX_SCORE_APART_INT8 if is_int8 else MAX_SCORE_APART
    if apart.mean() > max_apart or scores_apart.mean() > max_score_apart:
        return (
            f"its boxes differ from torch's by {apart.mean():.1%} of their size and its scores by"
            f" {scores_apart.mean():.3f}; {max_apart:.0%} and {max_score_apart} are allowed"
        )
    return ""
