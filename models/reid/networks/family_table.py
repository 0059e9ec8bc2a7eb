"""The published ReID programs whose checkpoints are read: what marks their files, which of our
networks they are, and how their names become ours.

A plain table; a further program is one entry of `FAMILIES`, and a network where we have none.
All of them normalise RGB in 0..1 by ImageNet's mean and deviation, as our networks do, and the
input is that of the network's row in `table.TABLE`.
"""

from dataclasses import dataclass, field
from typing import Any

Shape = tuple[int | None, ...]
Rules = tuple[tuple[str, str], ...]
"""A regular expression for the beginning of a key, and what takes its place; the first that matches
counts.
"""


@dataclass(frozen=True, kw_only=True)
class Family:
    """The files of one network of one program."""

    name: str
    marks: dict[str, Shape | None]
    """Keys, with their shapes (None: any), that all its files have, and no others but those of
    families before it.
    """
    architecture: str
    rules: Rules
    unused: str = ""
    """Regular expression for keys that no feature depends on; "" none."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the architecture that differ from its row in `table.TABLE`."""
    assumed: str = ""
    """What the keys do not tell, in words."""


def _resnet(theirs: str, ours: str) -> Rules:
    """The rule for torchvision's ResNet under another prefix."""
    return ((rf"{theirs}(conv1|bn1|layer[1-4])\.", rf"{ours}\1."),)


def _senet(theirs: str, ours: str) -> Rules:
    """Rules for a ResNet with squeeze and excitation, as Cadene's SENet names it."""
    return (
        (rf"{theirs}layer0\.(conv1|bn1)\.", rf"{ours}\1."),
        (rf"{theirs}(layer\d\.\d+)\.se_module\.", rf"{ours}\1.bn3."),
        *_resnet(theirs, ours),
    )


def _numbered_resnet(theirs: str, ours: str) -> Rules:
    """Rules for torchvision's ResNet as a Sequential of its children."""
    names = {0: "conv1", 1: "bn1", 4: "layer1", 5: "layer2", 6: "layer3", 7: "layer4"}
    return tuple((rf"{theirs}{i}\.", f"{ours}{name}.") for i, name in names.items())


def _densenet(theirs: str, ours: str) -> Rules:
    """Rules for torchvision's DenseNet under another prefix. Its published files have a dot before
    the number of a layer.
    """
    return (
        (rf"{theirs}features\.(.*(?:norm|conv))\.([12])\.", rf"{ours}features.\1\2."),
        (rf"{theirs}features\.", f"{ours}features."),
    )


def _mobilenet() -> Rules:
    """Rules for torchreid's MobileNetV2, which numbers blocks by stage; ours are torchvision's."""
    features = "image.backbone.features."
    rules = [
        (r"conv1\.conv\.", f"{features}0.0."),
        (r"conv1\.bn\.", f"{features}0.1."),
        (r"conv2\.0\.conv1\.conv\.", f"{features}0.expansion.0."),
        (r"conv2\.0\.conv1\.bn\.", f"{features}0.expansion.1."),
        (r"conv2\.0\.dwconv2\.conv\.", f"{features}1.conv.0.0."),
        (r"conv2\.0\.dwconv2\.bn\.", f"{features}1.conv.0.1."),
        (r"conv2\.0\.conv3\.0\.", f"{features}1.conv.1."),
        (r"conv2\.0\.conv3\.1\.", f"{features}1.conv.2."),
        (r"conv9\.conv\.", f"{features}18.0."),
        (r"conv9\.bn\.", f"{features}18.1."),
        (r"classifier\.", "image.classifier."),
    ]
    number = 2
    for stage, n_blocks in ((3, 2), (4, 3), (5, 4), (6, 3), (7, 3), (8, 1)):
        for i in range(n_blocks):
            theirs = rf"conv{stage}\.{i}\."
            ours = f"{features}{number}.conv."
            rules += [
                (rf"{theirs}conv1\.conv\.", f"{ours}0.0."),
                (rf"{theirs}conv1\.bn\.", f"{ours}0.1."),
                (rf"{theirs}dwconv2\.conv\.", f"{ours}1.0."),
                (rf"{theirs}dwconv2\.bn\.", f"{ours}1.1."),
                (rf"{theirs}conv3\.0\.", f"{ours}2."),
                (rf"{theirs}conv3\.1\.", f"{ours}3."),
            ]
            number += 1
    return tuple(rules)


def _keras_mobilenet() -> Rules:
    """Rules for Keras's MobileNetV2, whose blocks after the first are numbered from 1."""
    features = "image.backbone.features."
    rules = [
        (r"Conv1\.", f"{features}0.0."),
        (r"bn_Conv1\.", f"{features}0.1."),
        (r"expanded_conv_depthwise\.", f"{features}1.conv.0.0."),
        (r"expanded_conv_depthwise_BN\.", f"{features}1.conv.0.1."),
        (r"expanded_conv_project\.", f"{features}1.conv.1."),
        (r"expanded_conv_project_BN\.", f"{features}1.conv.2."),
        (r"Conv_1\.", f"{features}18.0."),
        (r"Conv_1_bn\.", f"{features}18.1."),
    ]
    for i in range(1, 17):
        ours = f"{features}{i + 1}.conv."
        rules += [
            (rf"block_{i}_expand\.", f"{ours}0.0."),
            (rf"block_{i}_expand_BN\.", f"{ours}0.1."),
            (rf"block_{i}_depthwise\.", f"{ours}1.0."),
            (rf"block_{i}_depthwise_BN\.", f"{ours}1.1."),
            (rf"block_{i}_project\.", f"{ours}2."),
            (rf"block_{i}_project_BN\.", f"{ours}3."),
        ]
    return tuple(rules)


def _timm_mobilenet() -> Rules:
    """Rules for timm's MobileNetV2, which numbers blocks by stage."""
    features = "image.backbone.features."
    rules = [
        (r"conv_stem\.", f"{features}0.0."),
        (r"bn1\.", f"{features}0.1."),
        (r"blocks\.0\.0\.conv_dw\.", f"{features}1.conv.0.0."),
        (r"blocks\.0\.0\.bn1\.", f"{features}1.conv.0.1."),
        (r"blocks\.0\.0\.conv_pw\.", f"{features}1.conv.1."),
        (r"blocks\.0\.0\.bn2\.", f"{features}1.conv.2."),
        (r"conv_head\.", f"{features}18.0."),
        (r"bn2\.", f"{features}18.1."),
    ]
    number = 2
    for stage, n_blocks in enumerate((2, 3, 4, 3, 3, 1), start=1):
        for i in range(n_blocks):
            theirs = rf"blocks\.{stage}\.{i}\."
            ours = f"{features}{number}.conv."
            rules += [
                (rf"{theirs}conv_pw\.", f"{ours}0.0."),
                (rf"{theirs}bn1\.", f"{ours}0.1."),
                (rf"{theirs}conv_dw\.", f"{ours}1.0."),
                (rf"{theirs}bn2\.", f"{ours}1.1."),
                (rf"{theirs}conv_pwl\.", f"{ours}2."),
                (rf"{theirs}bn3\.", f"{ours}3."),
            ]
            number += 1
    return tuple(rules)


GAO: Rules = (
    *_numbered_resnet(r"base\.", "backbone."),
    (r"attention_conv\.", "head.reduce."),
    (r"attention_tconv\.", "head.score."),
    (r"lstm\.", "head.lstm."),
    (r"classifier\.bn\.", "neck."),
    (r"classifier\.classifier\.", "classifier."),
    (r"classifier\.", "classifier."),
)
BASELINE: Rules = (
    *_resnet(r"base\.", "backbone."),
    (r"bottleneck\.", "neck."),
    (r"classifier\.", "classifier."),
)
BASELINE_SENET: Rules = (*_senet(r"base\.", "backbone."), *BASELINE)
FAST_REID: Rules = (
    (r"backbone\.(layer\d\.\d+)\.se\.fc\.0\.", r"backbone.\1.bn3.fc1."),
    (r"backbone\.(layer\d\.\d+)\.se\.fc\.2\.", r"backbone.\1.bn3.fc2."),
    *_resnet(r"backbone\.", "backbone."),
    (r"backbone\.NL_([23])\.(\d+)\.", r"backbone.layer\1.nl\2."),
    (r"heads\.pool_layer\.p$", "pool.p"),
    (r"heads\.bnneck\.", "neck."),
    (r"heads\.bottleneck\.0\.", "neck."),
    (r"heads\.(classifier\.)?weight$", "classifier.weight"),
)
FAST_REID_REDUCED: Rules = (
    (r"heads\.bottleneck\.0\.", "embed."),
    (r"heads\.bottleneck\.1\.", "neck."),
    *FAST_REID,
)
BLOCK: Rules = (
    (r"classifier\.add_block\.0\.", "image.block.bottleneck.linear."),
    (r"classifier\.add_block\.1\.", "image.block.bottleneck.norm."),
    (r"classifier\.classifier\.0\.", "image.block.classifier."),
)
BLOCK_WITHOUT_LINEAR: Rules = (
    (r"classifier\.add_block\.0\.", "image.block.bottleneck.norm."),
    (r"classifier\.classifier\.0\.", "image.block.classifier."),
)
LAYUMI_BODY = _resnet(r"model\.", "image.backbone.")
LAYUMI_DENSE: Rules = (*_densenet(r"model\.", "image.backbone."), *BLOCK)
LAYUMI_PARTS: Rules = (
    *LAYUMI_BODY,
    (r"classifier(\d)\.add_block\.0\.", r"image.head.blocks.\1.bottleneck.linear."),
    (r"classifier(\d)\.add_block\.1\.", r"image.head.blocks.\1.bottleneck.norm."),
    (r"classifier(\d)\.classifier\.0\.", r"image.head.blocks.\1.classifier."),
)
DONTHI_PARTS: Rules = (
    *_numbered_resnet(r"model\.", "image.backbone."),
    (r"classifier(\d)\.block\.0\.", r"image.head.blocks.\1.bottleneck.linear."),
    (r"classifier(\d)\.block\.1\.", r"image.head.blocks.\1.bottleneck.norm."),
    (r"classifier(\d)\.classifier\.", r"image.head.blocks.\1.classifier."),
)
TORCHREID_RESNET: Rules = (
    *_resnet("", "image.backbone."),
    (r"fc_fusion\.", "image.fusion."),
    (r"fc\.([01])\.", r"image.fc.\1."),
    (r"conv5\.layers\.", "image.head.reduce."),
    (r"classifier\.(\d)\.", r"image.head.classifiers.\1."),
    (r"classifier\.", "image.classifier."),
)
TORCHREID_SENET: Rules = (*_senet("", "image.backbone."), *TORCHREID_RESNET)
TORCHREID_DENSENET: Rules = (
    *_densenet("", "image.backbone."),
    (r"fc\.([01])\.", r"image.fc.\1."),
    (r"classifier\.", "image.classifier."),
)
TORCHVISION_MOBILENET: Rules = ((r"features\.", "backbone."),)
OLD_MOBILENET: Rules = (
    (r"features\.1\.conv\.0\.", "backbone.1.conv.0.0."),
    (r"features\.1\.conv\.1\.", "backbone.1.conv.0.1."),
    (r"features\.1\.conv\.3\.", "backbone.1.conv.1."),
    (r"features\.1\.conv\.4\.", "backbone.1.conv.2."),
    (r"features\.(\d+)\.conv\.([01])\.", r"backbone.\1.conv.0.\2."),
    (r"features\.(\d+)\.conv\.3\.", r"backbone.\1.conv.1.0."),
    (r"features\.(\d+)\.conv\.4\.", r"backbone.\1.conv.1.1."),
    (r"features\.(\d+)\.conv\.6\.", r"backbone.\1.conv.2."),
    (r"features\.(\d+)\.conv\.7\.", r"backbone.\1.conv.3."),
    *TORCHVISION_MOBILENET,
)
"""torchvision's MobileNetV2 up to 0.4, whose blocks are flat."""
SAME_NAMES: Rules = (("", "image."),)
IMAGENET_CLASSIFIER = r"model\.(fc|classifier)\."
"""The classes of ImageNet, which layumi's networks carry along."""
FAST_REID_ASSUMED = (
    "last stride 1, mean pooling where the file has no exponent of GeM; SBS models take 384x128"
)
LAYUMI_ASSUMED = "last stride 2, layumi's feature (ST-ReID's: ft_resnet50_wanggcong)"

_GAO_FAMILIES = (
    Family(
        name="Gao and Nevatia, recurrent",
        marks={"base.0.weight": None, "lstm.weight_ih_l0": None},
        architecture="resnet50rnn",
        rules=GAO,
    ),
    Family(
        name="ppriyank, attention with bag of tricks",
        marks={
            "base.0.weight": None,
            "attention_conv.weight": None,
            "classifier.bn.weight": None,
        },
        architecture="resnet50ta_bt",
        rules=GAO,
    ),
    Family(
        name="Gao and Nevatia (or ppriyank), temporal attention",
        marks={"base.0.weight": None, "attention_conv.weight": None},
        architecture="resnet50ta",
        rules=GAO,
        assumed="attention by softmax (by sigmoid: resnet50ta_sigmoid)",
    ),
    Family(
        name="Gao and Nevatia (or ppriyank), temporal pooling",
        marks={"base.0.weight": None},
        architecture="resnet50tp",
        rules=GAO,
    ),
    Family(
        name="Gao and Nevatia, 3D-ResNet",
        marks={"conv1.weight": (64, 3, 7, 7, 7), "layer4.2.conv3.weight": None},
        architecture="resnet503d",
        rules=((r"fc\.", "classifier."), ("", "")),
    ),
)

_BASELINE_FAMILIES = (
    Family(
        name="strong baseline with IBN",
        marks={"base.conv1.weight": None, "base.layer1.0.bn1.IN.weight": None},
        architecture="resnet50_bnneck",
        rules=BASELINE,
        unused=r"base\.fc\.",
        assumed="last stride 1, test feature after the neck",
    ),
    Family(
        name="strong baseline with squeeze and excitation",
        marks={"base.layer0.conv1.weight": (64, 3, 7, 7), "base.layer1.0.se_module.fc1.bias": None},
        architecture="resnet50_bnneck",
        rules=BASELINE_SENET,
        unused=r"base\.last_linear\.",
        options={"stem_pool": "ceil"},
        assumed="last stride 1, test feature after the neck",
    ),
    Family(
        name="strong baseline",
        marks={"base.conv1.weight": None},
        architecture="resnet50_bnneck",
        rules=BASELINE,
        options={"stem_relu": False},
        assumed="no ReLU in the stem, last stride 1, test feature after the neck",
    ),
)

_FAST_REID_FAMILIES = (
    Family(
        name="fast-reid with reduced width",
        marks={
            "backbone.conv1.weight": None,
            "heads.bottleneck.0.weight": (None, None, 1, 1),
        },
        architecture="resnet50_bnneck",
        rules=FAST_REID_REDUCED,
        unused=r"pixel_(mean|std)$",
        options={"stem_pool": "ceil"},
        assumed=FAST_REID_ASSUMED,
    ),
    *(
        Family(
            name="fast-reid",
            marks={"backbone.conv1.weight": None, head: None},
            architecture="resnet50_bnneck",
            rules=FAST_REID,
            unused=r"pixel_(mean|std)$",
            options={"stem_pool": "ceil"},
            assumed=FAST_REID_ASSUMED,
        )
        for head in ("heads.bottleneck.0.weight", "heads.bnneck.weight", "heads.weight")
    ),
)

_LAYUMI_FAMILIES = (
    Family(
        name="layumi or ST-ReID, PCB",
        marks={"model.conv1.weight": None, "classifier5.add_block.0.weight": None},
        architecture="ft_pcb",
        rules=LAYUMI_PARTS,
        unused=IMAGENET_CLASSIFIER,
    ),
    Family(
        name="SurajDonthi, PCB",
        marks={"model.0.weight": None, "classifier5.block.0.weight": None},
        architecture="ft_pcb_leaky",
        rules=DONTHI_PARTS,
    ),
    Family(
        name="layumi or ST-ReID, ft_net_middle",
        marks={"model.conv1.weight": None, "classifier.add_block.0.weight": (None, 3072)},
        architecture="ft_resnet50_middle",
        rules=(*LAYUMI_BODY, *BLOCK),
        unused=IMAGENET_CLASSIFIER,
        assumed="test feature before the linear layer, as in ST-ReID",
    ),
    Family(
        name="layumi, ft_net",
        marks={"model.conv1.weight": None, "classifier.add_block.0.weight": (None, 2048)},
        architecture="ft_resnet50",
        rules=(*LAYUMI_BODY, *BLOCK),
        unused=IMAGENET_CLASSIFIER,
        assumed=LAYUMI_ASSUMED,
    ),
    Family(
        name="layumi, ft_net without linear layer",
        marks={"model.conv1.weight": None, "classifier.add_block.0.weight": (2048,)},
        architecture="ft_resnet50",
        rules=(*LAYUMI_BODY, *BLOCK_WITHOUT_LINEAR),
        unused=IMAGENET_CLASSIFIER,
        options={"linear_width": 0},
        assumed=LAYUMI_ASSUMED,
    ),
    Family(
        name="layumi, ft_net_dense",
        marks={
            "model.features.conv0.weight": None,
            "classifier.add_block.0.weight": (None, 1024),
        },
        architecture="ft_densenet121",
        rules=LAYUMI_DENSE,
        unused=IMAGENET_CLASSIFIER,
        assumed="layumi's feature (ST-ReID's: ft_densenet121_wanggcong)",
    ),
)

_RESNETS: dict[str, tuple[int, dict[str, Shape | None]]] = {
    "resnet152": (2048, {"layer3.35.conv3.weight": None}),
    "resnext101_32x8d": (
        2048,
        {"layer3.22.conv3.weight": None, "layer1.0.conv2.weight": (256, 8, 3, 3)},
    ),
    "resnet101": (2048, {"layer3.22.conv3.weight": None}),
    "resnext50_32x4d": (
        2048,
        {"layer4.2.conv3.weight": None, "layer1.0.conv2.weight": (128, 4, 3, 3)},
    ),
    "resnet50": (2048, {"layer4.2.conv3.weight": None}),
    "resnet34": (512, {"layer3.5.conv2.weight": None}),
    "resnet18": (512, {"layer4.1.conv2.weight": None}),
}
"""ResNets by their width and by tensors that those below lack."""
_SE_RESNETS: dict[str, dict[str, Shape | None]] = {
    "se_resnext101_32x4d": {
        "layer3.22.conv3.weight": None,
        "layer1.0.conv2.weight": (128, 4, 3, 3),
    },
    "se_resnet101": {"layer3.22.conv3.weight": None},
    "se_resnext50_32x4d": {"layer1.0.conv2.weight": (128, 4, 3, 3)},
    "se_resnet50": {"layer4.2.conv3.weight": None},
}
_DENSENETS = {1024: "densenet121", 1664: "densenet169", 1920: "densenet201", 2208: "densenet161"}
"""DenseNets by the channels of the last normalisation."""
_OSNET_WIDTHS = {64: "osnet_x1_0", 48: "osnet_x0_75", 32: "osnet_x0_5", 16: "osnet_x0_25"}
"""OSNets by the channels of the first convolution."""
_TORCHREID_FAMILIES = (
    *(
        Family(
            name="torchreid OSNet-AIN",
            marks={
                "conv1.conv.weight": (stem, 3, 7, 7),
                "conv2.0.conv2.0.layers.0.conv1.weight": None,
            },
            architecture="osnet_ain_x1_0",
            rules=SAME_NAMES,
            options={"scale": stem / 64},
        )
        for stem in _OSNET_WIDTHS
    ),
    Family(
        name="torchreid OSNet-IBN",
        marks={"conv1.conv.weight": (64, 3, 7, 7), "conv2.0.IN.weight": None},
        architecture="osnet_ibn_x1_0",
        rules=SAME_NAMES,
    ),
    *(
        Family(
            name="torchreid OSNet",
            marks={
                "conv1.conv.weight": (stem, 3, 7, 7),
                "conv2.0.conv2a.conv1.weight": None,
            },
            architecture=name,
            rules=SAME_NAMES,
        )
        for stem, name in _OSNET_WIDTHS.items()
    ),
    Family(
        name="torchreid HA-CNN",
        marks={"ha1.soft_attn.conv.conv.weight": None},
        architecture="hacnn",
        rules=SAME_NAMES,
    ),
    *(
        Family(
            name="torchreid MobileNetV2",
            marks={
                "conv1.conv.weight": (stem, 3, 3, 3),
                "conv2.0.dwconv2.conv.weight": None,
            },
            architecture=name,
            rules=_mobilenet(),
        )
        for stem, name in ((32, "mobilenetv2_x1_0"), (44, "mobilenetv2_x1_4"))
    ),
    *(
        Family(
            name=f"torchreid PCB of {n_parts} parts",
            marks={"conv5.layers.0.weight": None, f"classifier.{n_parts - 1}.weight": None},
            architecture=f"pcb_p{n_parts}",
            rules=TORCHREID_RESNET,
        )
        for n_parts in (6, 4)
    ),
    Family(
        name="torchreid ResNet50mid",
        marks={"conv1.weight": (64, 3, 7, 7), "fc_fusion.0.weight": None},
        architecture="resnet50mid",
        rules=TORCHREID_RESNET,
    ),
    Family(
        name="torchreid ResNet-50 of width 512",
        marks={"conv1.weight": (64, 3, 7, 7), "fc.0.weight": (512, 2048)},
        architecture="resnet50_fc512",
        rules=TORCHREID_RESNET,
    ),
    *(
        Family(
            name="torchreid SE-ResNet",
            marks={
                "layer0.conv1.weight": (64, 3, 7, 7),
                "layer1.0.se_module.fc1.bias": None,
                **layers,
                **fc,
            },
            architecture=name,
            rules=TORCHREID_SENET,
            unused=r"last_linear\.",
            options={"last_stride": last_stride},
            assumed=f"last stride {last_stride}",
        )
        for name, layers in _SE_RESNETS.items()
        for fc, last_stride in (({"fc.0.weight": None}, 1), ({}, 2))
    ),
    *(
        Family(
            name="torchreid DenseNet (on ImageNet: torchvision, timm)",
            marks={"features.conv0.weight": None, "features.norm5.weight": (channels,)},
            architecture=name,
            rules=TORCHREID_DENSENET,
        )
        for channels, name in _DENSENETS.items()
    ),
    Family(
        name="torchreid ResNet with IBN-b",
        marks={
            "conv1.weight": (64, 3, 7, 7),
            "layer1.2.IN.weight": None,
            "layer4.2.conv3.weight": None,
        },
        architecture="resnet50",
        rules=TORCHREID_RESNET,
        options={"ibn_b": True},
        assumed="last stride 2",
    ),
    *(
        Family(
            name="ResNet of torchvision or timm, trained on ImageNet and not on people",
            marks={"conv1.weight": (64, 3, 7, 7), "fc.weight": (None, width), **layers},
            architecture=name,
            rules=TORCHREID_RESNET,
            unused=r"fc\.",
        )
        for name, (width, layers) in _RESNETS.items()
    ),
    *(
        Family(
            name="torchreid ResNet",
            marks={"conv1.weight": (64, 3, 7, 7), **layers},
            architecture=name,
            rules=TORCHREID_RESNET,
            assumed="last stride 2",
        )
        for name, (_, layers) in _RESNETS.items()
    ),
    *(
        Family(
            name="MobileNetV2 of torchvision, trained on ImageNet and not on people",
            marks={"features.0.0.weight": (32, 3, 3, 3), block: None},
            architecture="mobilenetv2_bnneck",
            rules=rules,
            unused=r"classifier\.",
            options={"neck": "none", "last_stride": 2},
            assumed="last stride 2",
        )
        for block, rules in (
            ("features.1.conv.0.0.weight", TORCHVISION_MOBILENET),
            ("features.1.conv.3.weight", OLD_MOBILENET),
        )
    ),
)

_MOBILENET_FAMILIES = (
    Family(
        name="Keras, MobileNetV2 with alpha 0.5",
        marks={"bn_Conv1.weight": (16,), "block_16_project_BN.weight": (160,)},
        architecture="mobilenetv2_keras",
        rules=_keras_mobilenet(),
        unused=r"(dense\w*|Logits|predictions)\.",
        assumed="pooling='max'",
    ),
    Family(
        name="timm, MobileNetV2 of width 0.5, trained on ImageNet and not on people",
        marks={"conv_stem.weight": (16, 3, 3, 3), "blocks.6.0.bn3.weight": (160,)},
        architecture="mobilenetv2_keras",
        rules=_timm_mobilenet(),
        unused=r"classifier\.",
        assumed="a start for training: Keras's padding and epsilon in the place of timm's",
    ),
)

FAMILIES: tuple[Family, ...] = (
    *_GAO_FAMILIES,
    *_BASELINE_FAMILIES,
    *_FAST_REID_FAMILIES,
    *_LAYUMI_FAMILIES,
    *_TORCHREID_FAMILIES,
    *_MOBILENET_FAMILIES,
)
"""In the order in which they are tried."""
