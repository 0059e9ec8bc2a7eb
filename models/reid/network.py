"""The tracklet network: ResNet50 per frame, a temporal head, BNNeck; and its file format.

Backbone and neck are those of the strong baseline (Luo et al. 2019) with the stem's ReLU in place: torchvision's ResNet50 with
last stride 1, global average pooling, BatchNorm1d without bias, and a linear classifier without bias for training.
A file is safetensors whose metadata say what to build, so loading runs nobody's code.
"""

import json
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

import models.torchvision_ops  # noqa: F401 - before torchvision
from models.reid import heads

SCHEMA = "reid/1"
BACKBONES = ("resnet50",)


class TrackletNetwork(nn.Module):
    """Clips -> embeddings. `width` is the length of an embedding (2048)."""

    def __init__(self, backbone: str = "resnet50", head: str = "mean", n_classes: int = 0) -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise ValueError(f"backbone {backbone}: expected one of {', '.join(BACKBONES)}")
        self.settings = {"backbone": backbone, "head": head, "n_classes": n_classes}
        self.backbone, self.width = _resnet50()
        self.head = heads.build(head, self.width)
        self.neck = nn.BatchNorm1d(self.width)
        self.neck.bias.requires_grad_(False)
        self.classifier = nn.Linear(self.width, n_classes, bias=False) if n_classes else None
        if self.classifier is not None:
            nn.init.normal_(self.classifier.weight, std=0.001)

    def forward(self, clips: Tensor, mask: Tensor, quality: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Clips (B, T, 3, H, W) with mask (B, T) bool and quality (B, T): see `heads`.

        In evaluation mode: embeddings (B, width), after the neck, of unit length. In training mode: (logits (B, n_classes),
        features (B, width) before the neck, for the metric losses).
        """
        shape = mask.shape
        frames = self.backbone(clips[mask].contiguous(memory_format=torch.channels_last))
        spread = frames.new_zeros(*shape, self.width)
        spread[mask] = frames
        feature = self.head(spread, mask, quality)
        normal = self.neck(feature)
        if not self.training:
            return nn.functional.normalize(normal.float(), dim=1)
        if self.classifier is None:
            raise ValueError("training needs n_classes > 0")
        return self.classifier(normal), feature


def _resnet50() -> tuple[nn.Module, int]:
    from torchvision.models import resnet50

    network = resnet50(weights=None)
    block = network.layer4[0]
    block.conv2.stride = block.downsample[0].stride = (1, 1)
    network.fc = nn.Identity()
    return cast(nn.Module, network.to(memory_format=torch.channels_last)), 2048


def save(network: TrackletNetwork, path: Path, about: dict[str, Any] | None = None) -> None:
    """Write weights and settings; `about` is free provenance (JSON). Classifier rows are kept, for training on."""
    metadata = {"schema": SCHEMA, "settings": json.dumps(network.settings), "about": json.dumps(about or {})}
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, str(path), metadata)


def load(path: Path) -> TrackletNetwork:
    """Read a network for evaluation; raises ValueError that says what is wrong with the file."""
    try:
        with safe_open(str(path), "pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path}: is not a readable safetensors file ({str(error).splitlines()[0]})") from None
    if metadata.get("schema") != SCHEMA:
        raise ValueError(f"{path}: is not a ReID network of this program (its metadata lack schema {SCHEMA})")
    try:
        network = TrackletNetwork(**json.loads(metadata["settings"]))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path}: its settings describe no network of this program ({error})") from None
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(
            f"{path}: weights do not fit {metadata['settings']} ({str(error).splitlines()[1].strip():.100})"
        ) from None
    return network.eval()
