"""Every ReID network by name: what builds it, what goes in and what comes out. NETWORKS.md is
printed from this table.

    python -m models.reid.networks.table > models/reid/NETWORKS.md

A plain dict and functions that import late; adding a network is one entry here and one class beside
it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from torch import nn

from models.errors import InputError


@dataclass(frozen=True)
class Architecture:
    """One row. `build(n_classes=0, **options)` gives a network as `frames` describes; `options` are
    its settings here.
    """

    build: Callable[..., nn.Module]
    options: dict[str, Any]
    width: int
    train_feature: str
    test_feature: str
    source: str
    height_px: int = 256
    width_px: int = 128
    video: bool = False
    """Whether its own training pools over time; image networks take clips too, frame by frame."""
    fixed_size: bool = False
    """Whether other input sizes are impossible."""
    imagenet: str = "resnet50"
    """torchvision's network whose ImageNet weights fit its body; "" where none do."""
    sized: bool = False
    """Whether the input size is built into the network, as options height_px and width_px."""


def _from(module: str, name: str = "build") -> Callable[..., nn.Module]:
    """The builder in a module beside this one, imported when a network is built: torchvision takes
    seconds.
    """

    def build(**options: Any) -> nn.Module:
        made = getattr(import_module(f"models.reid.networks.{module}"), name)(**options)
        assert isinstance(made, nn.Module)
        return made

    return build


_temporal, _resnet, _classblock = (
    _from("temporal", "TemporalNetwork"),
    _from("resnet"),
    _from("classblock"),
)
_parts, _mobilenet = _from("parts"), _from("mobilenet")
_osnet, _hacnn = _from("osnet", "osnet"), _from("hacnn", "hacnn")
_osnet_lct = _from("osnet_lct")
_resnet3d, _psta = _from("resnet3d", "ResNet3d"), _from("psta", "PSTA")

_PLAIN = {"last_stride": 2, "neck": "none"}
_TA = {**_PLAIN, "map_size": (7, 4)}
_BT = {"head": "map_attention", "loss_feature": "after", "map_size": (14, 7)}
_WANGGCONG = {"leaky_relu": True, "test_feature": "backbone"}
_GAO, _ST, _ZHOU = "Gao & Nevatia, arXiv 1805.02104", "ST-ReID, arXiv 1812.03282", "torchreid"


def _omni(source: str, **options: Any) -> Architecture:
    return Architecture(
        _osnet, options, 512, "after the last linear layer", "the same", source, imagenet=""
    )


# name: builder, options, width, training feature, test feature, source, height, width, then whether
# it pools over time and whether its input size is fixed
TABLE: dict[str, Architecture] = {
    # ours, and the strong baseline: one network, whose clip of one frame is an image
    "resnet50_bnneck": Architecture(
        _temporal,
        {},
        2048,
        "temporal mean before the neck",
        "after the neck",
        "Luo et al., arXiv 1903.07071",
    ),
    "resnet50_attention": Architecture(
        _temporal,
        {"head": "attention"},
        2048,
        "attention mean before the neck",
        "after the neck",
        f"ours; {_GAO}",
        video=True,
    ),
    "resnet50_quality": Architecture(
        _temporal,
        {"head": "quality"},
        2048,
        "mean by crop quality before the neck",
        "after the neck",
        "ours",
        video=True,
    ),
    "mobilenetv2_bnneck": Architecture(
        _temporal,
        {"backbone": "mobilenet_v2"},
        1280,
        "temporal mean before the neck",
        "after the neck",
        "ours; arXiv 1801.04381",
        imagenet="mobilenet_v2",
    ),
    # networks that pool over time
    "resnet50tp": Architecture(
        _temporal, _PLAIN, 2048, "temporal mean", "the same", _GAO, 224, 112, True
    ),
    "resnet50ta": Architecture(
        _temporal,
        {**_TA, "head": "map_attention"},
        2048,
        "attention mean",
        "the same",
        _GAO,
        224,
        112,
        True,
        True,
    ),
    "resnet50ta_sigmoid": Architecture(
        _temporal,
        {**_TA, "head": "map_attention_sigmoid"},
        2048,
        "attention mean",
        "the same",
        _GAO,
        224,
        112,
        True,
        True,
    ),
    "resnet50rnn": Architecture(
        _temporal,
        {**_PLAIN, "head": "rnn"},
        512,
        "mean of the LSTM's outputs",
        "the same",
        _GAO,
        224,
        112,
        True,
    ),
    "resnet50ta_bt": Architecture(
        _temporal,
        _BT,
        2048,
        "attention mean after the neck",
        "the same",
        "arXiv 1912.05295",
        224,
        112,
        True,
        True,
    ),
    "resnet503d": Architecture(
        _resnet3d, {}, 2048, "mean over the last map", "the same", _GAO, 224, 112, True
    ),
    "psta": Architecture(
        _psta,
        {},
        1024,
        "three levels, after their necks",
        "the third of them",
        "Wang et al., ICCV 2021",
        256,
        128,
        True,
        True,
    ),
    # image networks
    "resnet50": Architecture(
        _resnet, {"name": "resnet50"}, 2048, "mean of the map", "the same", _ZHOU
    ),
    "resnet101": Architecture(
        _resnet,
        {"name": "resnet101"},
        2048,
        "mean of the map",
        "the same",
        _ZHOU,
        imagenet="resnet101",
    ),
    "resnet50_fc512": Architecture(
        _resnet, {"name": "resnet50_fc512"}, 512, "after Linear, BN, ReLU", "the same", _ZHOU
    ),
    "resnet50mid": Architecture(
        _resnet,
        {"name": "resnet50mid"},
        3072,
        "[fc(4a, 4b); 4c]",
        "the same",
        f"{_ZHOU}; arXiv 1711.08106",
    ),
    "pcb_p4": Architecture(
        _parts,
        {"name": "pcb_p4"},
        8192,
        "4 parts of unit length, before dropout",
        "the same",
        f"{_ZHOU}; arXiv 1711.09349",
    ),
    "pcb_p6": Architecture(
        _parts,
        {"name": "pcb_p6"},
        12288,
        "6 parts of unit length, before dropout",
        "the same",
        f"{_ZHOU}; arXiv 1711.09349",
    ),
    "ft_pcb": Architecture(
        _parts,
        {"name": "ft_pcb"},
        12288,
        "6 parts of unit length, before dropout",
        "the same",
        f"layumi; {_ST}",
        384,
        192,
    ),
    "ft_pcb_leaky": Architecture(
        _parts,
        {"name": "ft_pcb", "leaky_relu": True},
        12288,
        "6 parts of unit length, before dropout",
        "the same",
        "SurajDonthi",
        384,
        192,
    ),
    "ft_resnet50": Architecture(
        _classblock,
        {"name": "ft_resnet50"},
        512,
        "bottleneck before dropout",
        "bottleneck",
        "layumi",
    ),
    "ft_resnet50_wanggcong": Architecture(
        _classblock, {"name": "ft_resnet50", **_WANGGCONG}, 2048, "mean of the map", "the same", _ST
    ),
    "ft_densenet121": Architecture(
        _classblock,
        {"name": "ft_densenet121"},
        512,
        "bottleneck before dropout",
        "bottleneck",
        "layumi",
        imagenet="densenet121",
    ),
    "ft_densenet121_wanggcong": Architecture(
        _classblock,
        {"name": "ft_densenet121", **_WANGGCONG},
        1024,
        "mean of the features",
        "the same",
        _ST,
        imagenet="densenet121",
    ),
    "ft_resnet50_middle": Architecture(
        _classblock,
        {"name": "ft_resnet50_middle", **_WANGGCONG},
        3072,
        "means of layer3 and layer4",
        "the same",
        _ST,
    ),
    "osnet_x1_0": _omni("arXiv 1905.00953"),
    "osnet_x0_75": _omni("arXiv 1905.00953", scale=0.75),
    "osnet_x0_5": _omni("arXiv 1905.00953", scale=0.5),
    "osnet_x0_25": _omni("arXiv 1905.00953", scale=0.25),
    "osnet_ibn_x1_0": _omni("arXiv 1910.06827", variant="ibn"),
    "osnet_ain_x1_0": _omni("arXiv 1910.06827", variant="ain"),
    "osnet_lct_x1_0": Architecture(
        _osnet_lct,
        {},
        256,
        "after the last linear layer",
        "the same",
        "person-reidentification-retail-0277; arXiv 1905.00953, 1909.03834",
        imagenet="",
        sized=True,
    ),
    "hacnn": Architecture(
        _hacnn,
        {},
        1024,
        "global and local, 512 each",
        "both, each of unit length",
        "arXiv 1802.08122",
        160,
        64,
        False,
        True,
        "",
    ),
    "hacnn_open": Architecture(
        _hacnn,
        {"open_gate": True},
        1024,
        "global and local, 512 each",
        "both, each of unit length",
        "arXiv 1802.08122, gate repaired",
        160,
        64,
        False,
        True,
        "",
    ),
    "mobilenetv2_x1_0": Architecture(
        _mobilenet,
        {"name": "mobilenetv2_x1_0"},
        1280,
        "mean of the map",
        "the same",
        f"{_ZHOU}; arXiv 1801.04381",
        imagenet="mobilenet_v2",
    ),
    "mobilenetv2_x1_4": Architecture(
        _mobilenet,
        {"name": "mobilenetv2_x1_4"},
        1792,
        "mean of the map",
        "the same",
        f"{_ZHOU}; arXiv 1801.04381",
        imagenet="",
    ),
    "mobilenetv2_keras": Architecture(
        _mobilenet,
        {"name": "mobilenetv2_keras"},
        1280,
        "maximum of the map",
        "the same",
        "Keras, alpha 0.5",
        128,
        64,
        imagenet="",
    ),
}


def architecture(name: str) -> Architecture:
    """Row by name; raises InputError that lists the names."""
    if name not in TABLE:
        raise InputError(f"architecture {name}: expected one of {', '.join(TABLE)}")
    return TABLE[name]


def build(name: str, options: dict[str, Any] | None = None) -> nn.Module:
    """Build a network; `options` (n_classes and what the row's builder takes) go over the row's
    own.
    """
    row = architecture(name)
    return row.build(**{**row.options, **(options or {})})


def markdown() -> str:
    """Return the table as a page."""
    rows = [
        f"| `{name}` | {row.height_px}x{row.width_px}{' only' if row.fixed_size else ''} |"
        f" {'video' if row.video else 'image'} | {row.width} | {row.train_feature} |"
        f" {row.test_feature} | {row.source} |"
        for name, row in TABLE.items()
    ]
    return "\n".join(
        [
            "# ReID networks",
            "",
            (
                "`network.architecture` in a training's settings. `python -m"
                " models.reid.networks.table` prints this."
            ),
            (
                "Sizes are height x width in pixels, as published; others work where it does not"
                " say only. Image networks take"
            ),
            (
                "tracklets too, frame by frame. Features come raw: evaluation and pipeline bring"
                " them to unit length."
            ),
            "",
            "| name | input | pools | width | training feature | test feature | source |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *rows,
        ]
    )


if __name__ == "__main__":
    print(markdown())
