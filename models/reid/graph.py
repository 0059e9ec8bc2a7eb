"""A ReID network as a graph of single crops that any runtime can take, and when two runtimes agree
about it.

Only networks whose feature of a clip is a mean over its frames have one: the features of the crops
come from the runtime, and the mean is computed here. The graph takes `CROPS` crops a call. More
gain nothing on a CPU (4, 8 and 16 take the same time a crop), and fewer are filled up.
"""

import copy
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from models.reid import preprocess
from models.reid.networks.file import Loaded
from models.reid.networks.heads import QualityPooling
from models.runtimes import quantize
from models.runtimes.graph import Array, Graph, blotches, wrong_form
from models.weights import checksums

CROPS = 4
MAX_APART = 0.06
"""Largest distance of a crop's unit features from torch's. bfloat16 is allowed what it rounds, 0.03
for the network that ships (two crops of different people are 0.9 apart); float32 stays below 1e-5.
"""
MAX_APART_INT8 = 0.15
"""As above, for 8 bits."""
MIN_QUALITY = 1e-3
"""Frames of quality 0 still count a little."""


class FromCrops(nn.Module):
    """Crops (n, height, width, 3) uint8 BGR -> raw features (n, width) float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> Tensor:
        """See the class; each crop is a clip of one frame."""
        clips = preprocess.normalise(crops).unsqueeze(1)
        quality = clips.new_ones(clips.shape[:2])
        features: Tensor = self.network(clips, quality.bool(), quality)
        return features.float()


def build(loaded: Loaded, path: Path) -> Graph:
    """Return the graph of a network whose features are means over frames.

    Args:
        loaded: The network, on the CPU. It is not changed.
        path: Its file.
    """
    network = copy.deepcopy(loaded.network).float().requires_grad_(False)
    recipe = loaded.recipe
    checksum = checksums.of_file(path, "sha256")
    return Graph(
        FromCrops(network).eval(),
        path.stem,
        {"weights": checksum},
        blotches((CROPS, recipe.height_px, recipe.width_px)),
        ranges=quantize.read(path, checksum),
    )


def difference(found: Array, expected: Array, precision: str = "float32") -> str:
    """Say why two answers (n, width) differ too much; "" if they do not.

    Args:
        found: Features from a runtime.
        expected: Features from torch in float32.
        precision: In which the runtime computes.
    """
    if reason := wrong_form(found, expected):
        return reason
    apart = float(np.linalg.norm(_unit(found) - _unit(expected), axis=1).max())
    allowed = MAX_APART_INT8 if precision == "int8" else MAX_APART
    if apart > allowed:
        return f"its features are {apart:.3f} from torch's, in unit length; {allowed} is allowed"
    return ""


def frame_weights(network: nn.Module, quality: Array) -> Array:
    """Weights of the frames of a clip in its feature, by their quality (k,)."""
    by_quality = isinstance(getattr(network, "head", None), QualityPooling)
    return np.maximum(quality, MIN_QUALITY) if by_quality else np.ones_like(quality)


def _unit(features: Array) -> Array:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(lengths, 1e-12))
