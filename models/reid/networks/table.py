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
from models.reid.networks import family_table

INTRODUCTION = """\
# ReID networks

`network.architecture` in a training's settings. `python -m models.reid.networks.table` prints this.
Sizes are height x width in pixels, as published; other sizes work unless a row says `only`. Image
networks take tracklets too, frame by frame. Features come raw: evaluation and pipeline bring them
to unit length.

`python -m models.reid.activations WEIGHTS PICTURES` draws where a network looks.
`models.reid.evaluate --scales` takes networks of any input size: not those with `only`, nor
osnet_lct_x1_0, which is built for one.
"""
CHECKPOINTS = """\
## Checkpoints of other programs

`reid.weights`, `network.init`, `models.reid.evaluate`, `search` and `export` read these files as
they are, whatever they are called (.pth, .pth.tar, .pt, .bin, .safetensors; for Keras's .h5, `pip
install h5py`). `python -m models.reid.convert FILE --output MODEL.safetensors` converts them. No
code in a file is run: a file with Python objects beside its tensors is refused.

The keys tell the network. Shapes tell the number of people, widths, the depth of a ResNet, ResNeXt,
IBN-a, squeeze and excitation, non-local blocks and GeM. A file must fill its network, and nothing
may be left over but the classifier of ImageNet. All of them take RGB in 0..1, normalised by
ImageNet's mean and deviation.
What the keys do not tell is assumed to be as published. `convert --set KEY=VALUE` changes it
(height_px, width_px, last_stride, stem_relu, stem_pool, pooling, test_feature), and
`--architecture NAME` chooses another row of the table above. CHECKPOINTS.md has what was measured
of each: features against the program's own code, and a run of the pipeline."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One row of the table."""

    build: Callable[..., nn.Module]
    """`build(n_classes=0, **options)` returns a network as `frames` describes."""
    options: dict[str, Any]
    """Its options in this row."""
    width: int
    """Numbers of its test feature."""
    train_feature: str
    """What the losses of the metric see, in words."""
    test_feature: str
    """What evaluation compares, in words."""
    source: str
    """Whose definition it follows."""
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


_temporal = _from("temporal", "TemporalNetwork")
_resnet = _from("resnet")
_classblock = _from("classblock")
_parts = _from("parts")
_mobilenet = _from("mobilenet")
_osnet = _from("osnet", "osnet")
_osnet_lct = _from("osnet_lct")
_hacnn = _from("hacnn", "hacnn")
_resnet3d = _from("resnet3d", "ResNet3d")
_psta = _from("psta", "PSTA")

_PLAIN = {"last_stride": 2, "neck": "none"}
_TA = {**_PLAIN, "map_size": (7, 4)}
_BT = {"head": "map_attention", "loss_feature": "after", "map_size": (14, 7)}
_WANGGCONG = {"leaky_relu": True, "test_feature": "backbone"}
_GAO = "Gao & Nevatia, arXiv 1805.02104"
_ST = "ST-ReID, arXiv 1812.03282"
_ZHOU = "torchreid"


def _omni(source: str, **options: Any) -> Architecture:
    return Architecture(
        build=_osnet,
        options=options,
        width=512,
        train_feature="after the last linear layer",
        test_feature="the same",
        source=source,
        imagenet="",
    )


def _pooled(name: str, width: int = 2048, imagenet: str | None = None) -> Architecture:
    """The row of torchreid's network of a name, whose feature is the mean of the map; `imagenet` is
    torchvision's name of it unless it is given.
    """
    return Architecture(
        build=_resnet,
        options={"name": name},
        width=width,
        train_feature="mean of the map",
        test_feature="the same",
        source=_ZHOU,
        imagenet=name if imagenet is None else imagenet,
    )


TABLE: dict[str, Architecture] = {
    # ours, and the strong baseline: one network, whose clip of one frame is an image
    "resnet50_bnneck": Architecture(
        build=_temporal,
        options={},
        width=2048,
        train_feature="temporal mean before the neck",
        test_feature="after the neck",
        source="Luo et al., arXiv 1903.07071",
    ),
    "resnet50_attention": Architecture(
        build=_temporal,
        options={"head": "attention"},
        width=2048,
        train_feature="attention mean before the neck",
        test_feature="after the neck",
        source=f"ours; {_GAO}",
        video=True,
    ),
    "resnet50_quality": Architecture(
        build=_temporal,
        options={"head": "quality"},
        width=2048,
        train_feature="mean by crop quality before the neck",
        test_feature="after the neck",
        source="ours",
        video=True,
    ),
    "mobilenetv2_bnneck": Architecture(
        build=_temporal,
        options={"backbone": "mobilenet_v2"},
        width=1280,
        train_feature="temporal mean before the neck",
        test_feature="after the neck",
        source="ours; arXiv 1801.04381",
        imagenet="mobilenet_v2",
    ),
    # networks that pool over time
    "resnet50tp": Architecture(
        build=_temporal,
        options=_PLAIN,
        width=2048,
        train_feature="temporal mean",
        test_feature="the same",
        source=_GAO,
        height_px=224,
        width_px=112,
        video=True,
    ),
    "resnet50ta": Architecture(
        build=_temporal,
        options={**_TA, "head": "map_attention"},
        width=2048,
        train_feature="attention mean",
        test_feature="the same",
        source=_GAO,
        height_px=224,
        width_px=112,
        video=True,
        fixed_size=True,
    ),
    "resnet50ta_sigmoid": Architecture(
        build=_temporal,
        options={**_TA, "head": "map_attention_sigmoid"},
        width=2048,
        train_feature="attention mean",
        test_feature="the same",
        source=_GAO,
        height_px=224,
        width_px=112,
        video=True,
        fixed_size=True,
    ),
    "resnet50rnn": Architecture(
        build=_temporal,
        options={**_PLAIN, "head": "rnn"},
        width=512,
        train_feature="mean of the LSTM's outputs",
        test_feature="the same",
        source=_GAO,
        height_px=224,
        width_px=112,
        video=True,
    ),
    "resnet50ta_bt": Architecture(
        build=_temporal,
        options=_BT,
        width=2048,
        train_feature="attention mean after the neck",
        test_feature="the same",
        source="arXiv 1912.05295",
        height_px=224,
        width_px=112,
        video=True,
        fixed_size=True,
    ),
    "resnet503d": Architecture(
        build=_resnet3d,
        options={},
        width=2048,
        train_feature="mean over the last map",
        test_feature="the same",
        source=_GAO,
        height_px=224,
        width_px=112,
        video=True,
    ),
    "psta": Architecture(
        build=_psta,
        options={},
        width=1024,
        train_feature="three levels, after their necks",
        test_feature="the third of them",
        source="Wang et al., ICCV 2021",
        height_px=256,
        width_px=128,
        video=True,
        fixed_size=True,
    ),
    # image networks
    "resnet18": _pooled("resnet18", width=512),
    "resnet34": _pooled("resnet34", width=512),
    "resnet50": _pooled("resnet50"),
    "resnet101": _pooled("resnet101"),
    "resnet152": _pooled("resnet152"),
    "resnext50_32x4d": _pooled("resnext50_32x4d"),
    "resnext101_32x8d": _pooled("resnext101_32x8d"),
    "se_resnet50": _pooled("se_resnet50", imagenet=""),
    "se_resnet101": _pooled("se_resnet101", imagenet=""),
    "se_resnext50_32x4d": _pooled("se_resnext50_32x4d", imagenet=""),
    "se_resnext101_32x4d": _pooled("se_resnext101_32x4d", imagenet=""),
    "densenet121": _pooled("densenet121", width=1024),
    "densenet169": _pooled("densenet169", width=1664),
    "densenet201": _pooled("densenet201", width=1920),
    "densenet161": _pooled("densenet161", width=2208),
    "resnet50_fc512": Architecture(
        build=_resnet,
        options={"name": "resnet50_fc512"},
        width=512,
        train_feature="after Linear, BN, ReLU",
        test_feature="the same",
        source=_ZHOU,
    ),
    "resnet50mid": Architecture(
        build=_resnet,
        options={"name": "resnet50mid"},
        width=3072,
        train_feature="[fc(4a, 4b); 4c]",
        test_feature="the same",
        source=f"{_ZHOU}; arXiv 1711.08106",
    ),
    "pcb_p4": Architecture(
        build=_parts,
        options={"name": "pcb_p4"},
        width=8192,
        train_feature="4 parts of unit length, before dropout",
        test_feature="the same",
        source=f"{_ZHOU}; arXiv 1711.09349",
    ),
    "pcb_p6": Architecture(
        build=_parts,
        options={"name": "pcb_p6"},
        width=12288,
        train_feature="6 parts of unit length, before dropout",
        test_feature="the same",
        source=f"{_ZHOU}; arXiv 1711.09349",
    ),
    "ft_pcb": Architecture(
        build=_parts,
        options={"name": "ft_pcb"},
        width=12288,
        train_feature="6 parts of unit length, before dropout",
        test_feature="the same",
        source=f"layumi; {_ST}",
        height_px=384,
        width_px=192,
    ),
    "ft_pcb_leaky": Architecture(
        build=_parts,
        options={"name": "ft_pcb", "leaky_relu": True},
        width=12288,
        train_feature="6 parts of unit length, before dropout",
        test_feature="the same",
        source="SurajDonthi",
        height_px=384,
        width_px=192,
    ),
    "ft_resnet50": Architecture(
        build=_classblock,
        options={"name": "ft_resnet50"},
        width=512,
        train_feature="bottleneck before dropout",
        test_feature="bottleneck",
        source="layumi",
    ),
    "ft_resnet50_wanggcong": Architecture(
        build=_classblock,
        options={"name": "ft_resnet50", **_WANGGCONG},
        width=2048,
        train_feature="mean of the map",
        test_feature="the same",
        source=_ST,
    ),
    "ft_densenet121": Architecture(
        build=_classblock,
        options={"name": "ft_densenet121"},
        width=512,
        train_feature="bottleneck before dropout",
        test_feature="bottleneck",
        source="layumi",
        imagenet="densenet121",
    ),
    "ft_densenet121_wanggcong": Architecture(
        build=_classblock,
        options={"name": "ft_densenet121", **_WANGGCONG},
        width=1024,
        train_feature="mean of the features",
        test_feature="the same",
        source=_ST,
        imagenet="densenet121",
    ),
    "ft_resnet50_middle": Architecture(
        build=_classblock,
        options={"name": "ft_resnet50_middle", **_WANGGCONG},
        width=3072,
        train_feature="means of layer3 and layer4",
        test_feature="the same",
        source=_ST,
    ),
    "osnet_x1_0": _omni("arXiv 1905.00953"),
    "osnet_x0_75": _omni("arXiv 1905.00953", scale=0.75),
    "osnet_x0_5": _omni("arXiv 1905.00953", scale=0.5),
    "osnet_x0_25": _omni("arXiv 1905.00953", scale=0.25),
    "osnet_ibn_x1_0": _omni("arXiv 1910.06827", variant="ibn"),
    "osnet_ain_x1_0": _omni("arXiv 1910.06827", variant="ain"),
    "osnet_lct_x1_0": Architecture(
        build=_osnet_lct,
        options={},
        width=256,
        train_feature="after the last linear layer",
        test_feature="the same",
        source="person-reidentification-retail-0277; arXiv 1905.00953, 1909.03834",
        imagenet="",
        sized=True,
    ),
    "hacnn": Architecture(
        build=_hacnn,
        options={},
        width=1024,
        train_feature="global and local, 512 each",
        test_feature="both, each of unit length",
        source="arXiv 1802.08122",
        height_px=160,
        width_px=64,
        video=False,
        fixed_size=True,
        imagenet="",
    ),
    "hacnn_open": Architecture(
        build=_hacnn,
        options={"open_gate": True},
        width=1024,
        train_feature="global and local, 512 each",
        test_feature="both, each of unit length",
        source="arXiv 1802.08122, gate repaired",
        height_px=160,
        width_px=64,
        video=False,
        fixed_size=True,
        imagenet="",
    ),
    "mobilenetv2_x1_0": Architecture(
        build=_mobilenet,
        options={"name": "mobilenetv2_x1_0"},
        width=1280,
        train_feature="mean of the map",
        test_feature="the same",
        source=f"{_ZHOU}; arXiv 1801.04381",
        imagenet="mobilenet_v2",
    ),
    "mobilenetv2_x1_4": Architecture(
        build=_mobilenet,
        options={"name": "mobilenetv2_x1_4"},
        width=1792,
        train_feature="mean of the map",
        test_feature="the same",
        source=f"{_ZHOU}; arXiv 1801.04381",
        imagenet="",
    ),
    "mobilenetv2_keras": Architecture(
        build=_mobilenet,
        options={"name": "mobilenetv2_keras"},
        width=1280,
        train_feature="maximum of the map",
        test_feature="the same",
        source="Keras, alpha 0.5",
        height_px=128,
        width_px=64,
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


def _families() -> list[str]:
    """One line for each program and network whose checkpoints are read."""
    lines = []
    for family in family_table.FAMILIES:
        row = TABLE[family.architecture]
        size = f"{row.height_px}x{row.width_px}"
        lines.append(f"| {family.name} | `{family.architecture}` | {size} | {family.assumed} |")
    return list(dict.fromkeys(lines))


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
            INTRODUCTION,
            "| name | input | pools | width | training feature | test feature | source |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *rows,
            "",
            CHECKPOINTS,
            "",
            "| program | network | input | assumed |",
            "| --- | --- | --- | --- |",
            *_families(),
        ]
    )


if __name__ == "__main__":
    print(markdown())
