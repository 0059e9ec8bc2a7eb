# mypy: ignore-errors
"""Networks of other ReID programs, written here with the names and the arithmetic that these
programs are known for: what their checkpoints hold, and which features belong to it.

Each gives its test feature in evaluation mode. Normalisations have statistics that a trained
network might have, so that none of them can be left out unnoticed.
"""

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

import models.torchvision_ops  # noqa: F401 - before torchvision

N_PEOPLE = 5
N_SHARED = 1_000_003
"""Random numbers that the large tensors of all networks share: drawing one each takes longer than
all that is tested with them.
"""


def made(build: Callable[[], nn.Module]) -> nn.Module:
    """The network that a function builds, in evaluation mode, with numbers as if it had been
    trained, the same each time.
    """
    with torch.device("meta"):
        network = build()
    network.to_empty(device="cpu")
    shared = torch.randn(N_SHARED, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("pool_layer.p"):
                parameter.fill_(2.6)
                continue
            gain = 0.02 if ".NL_" in name else 2  # products of products grow fast
            n_inputs = parameter[0].numel() if parameter.ndim > 1 else 100
            n_copies = -(-parameter.numel() // N_SHARED)
            numbers = shared.repeat(n_copies)[: parameter.numel()].view_as(parameter)
            torch.mul(numbers, (gain / n_inputs) ** 0.5, out=parameter)
            shared = shared.roll(len(name))
    for name, buffer in network.named_buffers():
        if name.endswith("num_batches_tracked"):
            buffer.zero_()
    return settled(network)


def settled(network: nn.Module) -> nn.Module:
    """The network in evaluation mode, whose normalisations are as if it had been trained."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
        weight = getattr(module, "weight", None)
        if isinstance(weight, nn.Parameter) and weight.ndim == 1:
            with torch.no_grad():
                weight.uniform_(0.3, 0.7, generator=generator)
                module.bias.normal_(0, 0.1, generator=generator)
    return network.eval()


def resnet(last_stride: int = 2, deep: bool = False) -> nn.Module:
    """torchvision's ResNet-50 or 101."""
    from torchvision.models import resnet50, resnet101

    network = (resnet101 if deep else resnet50)(weights=None)
    block = network.layer4[0]
    block.conv2.stride = block.downsample[0].stride = (last_stride, last_stride)
    return network


def ibn(network: nn.Module) -> nn.Module:
    """IBN-Net-a made of a ResNet."""
    for layer in (network.layer1, network.layer2, network.layer3):
        for block in layer:
            block.bn1 = Ibn(block.conv1.out_channels)
    return network


class Ibn(nn.Module):
    """Half of the channels normalised by instance, half by batch."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.IN = nn.InstanceNorm2d(channels // 2, affine=True)
        self.BN = nn.BatchNorm2d(channels // 2)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> the same shape."""
        by_instance, by_batch = maps.chunk(2, 1)
        return torch.cat([self.IN(by_instance), self.BN(by_batch)], 1)


def maps_of(network: nn.Module, images: Tensor, stem_relu: bool = True) -> Tensor:
    """Images (N, 3, H, W) -> the map of layer4."""
    maps = network.bn1(network.conv1(images))
    maps = network.maxpool(maps.relu() if stem_relu else maps)
    for name in ("layer1", "layer2", "layer3", "layer4"):
        maps = network.get_submodule(name)(maps)
    return maps


class Video(nn.Module):
    """Gao and Nevatia's networks, and ppriyank's: clips (B, T, 3, H, W) -> (B, D)."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        body = resnet(last_stride=1 if kind == "bag of tricks" else 2)
        self.base = nn.Sequential(*list(body.children())[:-2])
        kernels = {"attention": (7, 4), "bag of tricks": (14, 7)}
        if kind in kernels:
            self.attention_conv = nn.Conv2d(2048, 256, kernels[kind])
            self.attention_tconv = nn.Conv1d(256, 1, 3, padding=1)
        if kind == "recurrent":
            self.lstm = nn.LSTM(2048, 512, batch_first=True)
        self.classifier: nn.Module = nn.Linear(512 if kind == "recurrent" else 2048, N_PEOPLE)
        if kind == "bag of tricks":
            neck = nn.BatchNorm1d(2048)
            to_people = nn.Linear(2048, N_PEOPLE, bias=False)
            self.classifier = nn.Sequential(OrderedDict(bn=neck, classifier=to_people))

    def forward(self, clips: Tensor) -> Tensor:
        """See the class."""
        n_clips, n_frames = clips.shape[:2]
        maps = self.base(clips.flatten(0, 1))
        vectors = maps.mean((2, 3)).view(n_clips, n_frames, -1)
        if self.kind == "pooling":
            return vectors.mean(1)
        if self.kind == "recurrent":
            return self.lstm(vectors)[0].mean(1)
        hidden = self.attention_conv(maps).relu().view(n_clips, n_frames, -1)
        scores = self.attention_tconv(hidden.transpose(1, 2)).relu().squeeze(1)
        feature = (vectors * scores.softmax(1).unsqueeze(2)).sum(1)
        if self.kind == "bag of tricks":
            feature = self.classifier.bn(feature)
        return feature


class StrongBaseline(nn.Module):
    """The bag-of-tricks baseline: images -> (N, 2048) after the neck."""

    def __init__(self, with_ibn: bool = False) -> None:
        super().__init__()
        body = resnet(last_stride=1)
        del body.fc
        self.base = ibn(body) if with_ibn else body
        self.stem_relu = with_ibn
        self.bottleneck = nn.BatchNorm1d(2048)
        self.classifier = nn.Linear(2048, N_PEOPLE, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        return self.bottleneck(maps_of(self.base, images, self.stem_relu).mean((2, 3)))


class NonLocal(nn.Module):
    """fast-reid's non-local block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.g = nn.Conv2d(channels, channels // 2, 1)
        self.W = nn.Sequential(nn.Conv2d(channels // 2, channels, 1), nn.BatchNorm2d(channels))
        self.theta = nn.Conv2d(channels, channels // 2, 1)
        self.phi = nn.Conv2d(channels, channels // 2, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> the same shape."""
        n_pixels = maps.shape[2] * maps.shape[3]
        asks, answers, values = (layer(maps).flatten(2) for layer in (self.theta, self.phi, self.g))
        alike = torch.einsum("ncp,ncq->npq", asks, answers) / n_pixels
        found = torch.einsum("npq,ncq->ncp", alike, values).view(len(maps), -1, *maps.shape[2:])
        return self.W(found) + maps


class FastReid(nn.Module):
    """fast-reid's baseline: images -> (N, D) after the neck."""

    def __init__(self, kind: str = "plain") -> None:
        super().__init__()
        body = resnet(last_stride=1)
        del body.fc
        body.maxpool = nn.MaxPool2d(3, 2, ceil_mode=True)
        if kind == "squeezed":
            body = squeezed(body, is_senet=False)
        self.is_strong = kind == "strong"
        if self.is_strong:
            body = ibn(body)
            body.NL_2 = nn.ModuleList([NonLocal(512), NonLocal(512)])
            body.NL_3 = nn.ModuleList([NonLocal(1024) for _ in range(3)])
        self.backbone = body
        width = 256 if kind == "reduced" else 2048
        neck: list[nn.Module] = [nn.BatchNorm2d(width)]
        if kind == "reduced":
            neck.insert(0, nn.Conv2d(2048, width, 1, bias=False))
        self.heads = nn.Module()
        self.heads.bottleneck = nn.Sequential(*neck)
        self.heads.weight = nn.Parameter(torch.randn(N_PEOPLE, width))
        if self.is_strong:
            self.heads.pool_layer = nn.Module()
            self.heads.pool_layer.p = nn.Parameter(torch.tensor([2.6]))

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        if not self.is_strong:
            maps = maps_of(self.backbone, images).mean((2, 3), keepdim=True)
            return self.heads.bottleneck(maps)[..., 0, 0]
        body = self.backbone
        maps = body.maxpool(body.bn1(body.conv1(images)).relu())
        for name, extra in (("layer1", ()), ("layer2", body.NL_2), ("layer3", body.NL_3)):
            blocks = list(body.get_submodule(name))
            for i, block in enumerate(blocks, start=len(extra) - len(blocks)):
                maps = block(maps)
                maps = extra[i](maps) if i >= 0 else maps
        maps = body.layer4(maps)
        p = self.heads.pool_layer.p
        pooled = functional.adaptive_avg_pool2d(maps.clamp(min=1e-6) ** p, 1) ** (1 / p)
        return self.heads.bottleneck(pooled)[..., 0, 0]


class Block(nn.Module):
    """layumi's ClassBlock; `names` of its parts are those of layumi or of Donthi."""

    def __init__(self, in_width: int, width: int, names: tuple[str, str], leaky: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Linear(in_width, width)] if width else []
        layers.append(nn.BatchNorm1d(width or in_width))
        if leaky:
            layers.append(nn.LeakyReLU(0.1))
        self.add_module(names[0], nn.Sequential(*layers, nn.Dropout(0.5)))
        to_people = nn.Linear(width or in_width, N_PEOPLE)
        is_layumi = names[0] == "add_block"
        self.add_module(names[1], nn.Sequential(to_people) if is_layumi else to_people)


LAYUMI = ("add_block", "classifier")
DONTHI = ("block", "classifier")


class SqueezedBlock(nn.Module):
    """A bottleneck with squeeze and excitation as Cadene's SENet has it, or fast-reid."""

    def __init__(self, block: nn.Module, is_senet: bool) -> None:
        super().__init__()
        for name, layer in block.named_children():
            self.add_module(name, layer)
        self.is_senet = is_senet
        channels: int = block.bn3.num_features
        inner = channels // 16
        if is_senet:
            self.conv1.stride = self.conv2.stride
            self.conv2.stride = (1, 1)
            self.se_module = nn.Module()
            self.se_module.fc1 = nn.Conv2d(channels, inner, 1)
            self.se_module.fc2 = nn.Conv2d(inner, channels, 1)
            return
        squeeze = nn.Linear(channels, inner, bias=False)
        self.se = nn.Module()
        self.se.fc = nn.Sequential(squeeze, nn.ReLU(), nn.Linear(inner, channels, bias=False))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, D, h', w')."""
        layers = dict(self.named_children())
        branch = layers["bn1"](layers["conv1"](maps)).relu()
        branch = layers["bn2"](layers["conv2"](branch)).relu()
        branch = layers["bn3"](layers["conv3"](branch))
        means = branch.mean((2, 3), keepdim=True)
        if self.is_senet:
            scales = self.se_module.fc2(self.se_module.fc1(means).relu())
        else:
            scales = self.se.fc(means.flatten(1))[..., None, None]
        base = layers["downsample"](maps) if "downsample" in layers else maps
        return (branch * scales.sigmoid() + base).relu()


def squeezed(network: nn.Module, is_senet: bool) -> nn.Module:
    """A ResNet with squeeze and excitation."""
    for name in ("layer1", "layer2", "layer3", "layer4"):
        layer: nn.Sequential = network.get_submodule(name)
        setattr(network, name, nn.Sequential(*(SqueezedBlock(b, is_senet) for b in layer)))
    return network


class SeNet(nn.Module):
    """Cadene's SE-ResNet-50 without what comes behind its map, and with stride 2 or 1 at the end:
    images -> the map.
    """

    def __init__(self, last_stride: int = 2) -> None:
        super().__init__()
        body = squeezed(resnet(last_stride), is_senet=True)
        self.layer0 = nn.Sequential(OrderedDict(conv1=body.conv1, bn1=body.bn1))
        for name in ("layer1", "layer2", "layer3", "layer4"):
            self.add_module(name, body.get_submodule(name))

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        maps = functional.max_pool2d(self.layer0(images).relu(), 3, 2, ceil_mode=True)
        for name in ("layer1", "layer2", "layer3", "layer4"):
            maps = self.get_submodule(name)(maps)
        return maps


class StrongBaselineSeNet(nn.Module):
    """The bag-of-tricks baseline on an SE-ResNet-50: images -> (N, 2048) after the neck."""

    def __init__(self) -> None:
        super().__init__()
        self.base = SeNet(last_stride=1)
        self.bottleneck = nn.BatchNorm1d(2048)
        self.classifier = nn.Linear(2048, N_PEOPLE, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        return self.bottleneck(self.base(images).mean((2, 3)))


class TorchreidSeNet(SeNet):
    """torchreid's se_resnet50: images -> (N, 2048)."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Linear(2048, N_PEOPLE)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        return super().forward(images).mean((2, 3))


class NormalisedBlock(nn.Module):
    """A bottleneck of IBN-b."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        for name, layer in block.named_children():
            self.add_module(name, layer)
        self.IN = nn.InstanceNorm2d(256 if self.conv1.out_channels == 64 else 512, affine=True)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> the same shape."""
        layers = dict(self.named_children())
        branch = layers["bn1"](layers["conv1"](maps)).relu()
        branch = layers["bn2"](layers["conv2"](branch)).relu()
        return self.IN(layers["bn3"](layers["conv3"](branch)) + maps).relu()


class TorchreidDenseNet(nn.Module):
    """torchreid's densenet121: images -> (N, 1024)."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import densenet121

        self.features = densenet121(weights=None).features
        self.classifier = nn.Linear(1024, N_PEOPLE)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        return self.features(images).relu().mean((2, 3))


class MobileNet(nn.Module):
    """torchvision's MobileNetV2 without its classifier, in its layers of today, or flat as in its
    first versions: images -> (N, 1280).
    """

    def __init__(self, is_flat: bool) -> None:
        super().__init__()
        from torchvision.models import mobilenet_v2

        self.features = mobilenet_v2(weights=None).features
        if is_flat:
            for block in self.features[1:18]:
                layers: list[nn.Module] = []
                for layer in block.conv:
                    layers += list(layer) if isinstance(layer, nn.Sequential) else [layer]
                block.conv = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        return self.features(images).mean((2, 3))


class FtNet(nn.Module):
    """layumi's ft_net: images -> (N, 512 or 2048) before the classifier."""

    def __init__(self, width: int = 512) -> None:
        super().__init__()
        self.model = resnet()
        self.classifier = Block(2048, width, LAYUMI, leaky=False)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        return self.classifier.add_block(maps_of(self.model, images).mean((2, 3)))


class FtNetMiddle(nn.Module):
    """ST-ReID's ft_net_middle: images -> (N, 3072), the means of layer3 and layer4."""

    def __init__(self) -> None:
        super().__init__()
        self.model = resnet()
        self.classifier = Block(3072, 512, LAYUMI, leaky=True)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        found = []
        layers = (self.model.layer3, self.model.layer4)
        hooks = [
            layer.register_forward_hook(lambda *call: found.append(call[2].mean((2, 3))))
            for layer in layers
        ]
        maps_of(self.model, images)
        for hook in hooks:
            hook.remove()
        return torch.cat(found, 1)


class FtNetDense(nn.Module):
    """layumi's ft_net_dense: images -> (N, 512) before the classifier."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import densenet121

        self.model = densenet121(weights=None)
        self.classifier = Block(1024, 512, LAYUMI, leaky=False)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        return self.classifier.add_block(self.model.features(images).mean((2, 3)))


class Parts(nn.Module):
    """PCB of layumi (also ST-ReID's), Donthi and torchreid: images -> (N, 2048 * P), each part of
    unit length.
    """

    def __init__(self, kind: str, n_parts: int = 6) -> None:
        super().__init__()
        self.kind, self.n_parts = kind, n_parts
        body = resnet(last_stride=1)
        if kind == "layumi":
            self.model = body
        elif kind == "donthi":
            del body.fc
            self.model = nn.Sequential(*body.children())
        else:
            for name, layer in list(body.named_children())[:-2]:
                self.add_module(name, layer)
            reduce = nn.Sequential(nn.Conv2d(2048, 256, 1, bias=False), nn.BatchNorm2d(256))
            self.conv5 = nn.Sequential(OrderedDict(layers=reduce))
            self.classifier = nn.ModuleList(nn.Linear(256, N_PEOPLE) for _ in range(n_parts))
            return
        for i in range(n_parts):
            names = LAYUMI if kind == "layumi" else DONTHI
            self.add_module(f"classifier{i}", Block(2048, 256, names, leaky=kind == "donthi"))

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        if self.kind == "donthi":
            maps = self.model[:-1](images)
        else:
            maps = maps_of(self.model if self.kind == "layumi" else self, images)
        parts = functional.adaptive_avg_pool2d(maps, (self.n_parts, 1)).squeeze(3)
        return functional.normalize(parts, dim=1).flatten(1)


class TorchreidResNet(nn.Module):
    """torchreid's ResNets, and with kind "imagenet" torchvision's: images -> the feature."""

    def __init__(self, kind: str = "plain") -> None:
        super().__init__()
        self.kind = kind
        body = resnet(last_stride=1 if kind == "fc512" else 2, deep=kind == "deep")
        if kind == "ibn":
            body = ibn(body)
        if kind == "ibn-b":
            body.bn1 = nn.InstanceNorm2d(64, affine=True)
            body.layer1[2] = NormalisedBlock(body.layer1[2])
            body.layer2[3] = NormalisedBlock(body.layer2[3])
        if kind == "small":
            from torchvision.models import resnet18

            body = resnet18(weights=None)
        for name, layer in list(body.named_children())[:-2]:
            self.add_module(name, layer)
        width = {"fc512": 512, "middle": 3072, "small": 512}.get(kind, 2048)
        if kind == "imagenet":
            self.fc = body.fc
            return
        if kind == "fc512":
            self.fc = nn.Sequential(nn.Linear(2048, 512), nn.BatchNorm1d(512), nn.ReLU())
        if kind == "middle":
            fused = (nn.Linear(4096, 1024), nn.BatchNorm1d(1024), nn.ReLU())
            self.fc_fusion = nn.Sequential(*fused)
        self.classifier = nn.Linear(width, N_PEOPLE)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        if self.kind != "middle":
            feature = maps_of(self, images).mean((2, 3))
            return self.fc(feature) if self.kind == "fc512" else feature
        maps = self.maxpool(self.bn1(self.conv1(images)).relu())
        maps = self.layer3(self.layer2(self.layer1(maps)))
        first = self.layer4[0](maps)
        second = self.layer4[1](first)
        third = self.layer4[2](second)
        fused = self.fc_fusion(torch.cat([first.mean((2, 3)), second.mean((2, 3))], 1))
        return torch.cat([fused, third.mean((2, 3))], 1)


VIDEO: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "Gao, pooling": (lambda: Video("pooling"), "resnet50tp"),
    "Gao, attention": (lambda: Video("attention"), "resnet50ta"),
    "Gao, recurrent": (lambda: Video("recurrent"), "resnet50rnn"),
    "ppriyank": (lambda: Video("bag of tricks"), "resnet50ta_bt"),
}
"""Networks for clips of 224x112 px, and the architecture that they are."""
IMAGES: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "strong baseline": (StrongBaseline, "resnet50_bnneck"),
    "strong baseline, IBN": (lambda: StrongBaseline(with_ibn=True), "resnet50_bnneck"),
    "fast-reid": (FastReid, "resnet50_bnneck"),
    "fast-reid, strong": (lambda: FastReid("strong"), "resnet50_bnneck"),
    "fast-reid, reduced": (lambda: FastReid("reduced"), "resnet50_bnneck"),
    "fast-reid, SE": (lambda: FastReid("squeezed"), "resnet50_bnneck"),
    "strong baseline, SE": (StrongBaselineSeNet, "resnet50_bnneck"),
    "layumi": (FtNet, "ft_resnet50"),
    "layumi, no linear": (lambda: FtNet(width=0), "ft_resnet50"),
    "layumi, dense": (FtNetDense, "ft_densenet121"),
    "layumi, PCB": (lambda: Parts("layumi"), "ft_pcb"),
    "ST-ReID, middle": (FtNetMiddle, "ft_resnet50_middle"),
    "Donthi, PCB": (lambda: Parts("donthi"), "ft_pcb_leaky"),
    "torchreid": (TorchreidResNet, "resnet50"),
    "torchreid, 101": (lambda: TorchreidResNet("deep"), "resnet101"),
    "torchreid, IBN": (lambda: TorchreidResNet("ibn"), "resnet50"),
    "torchreid, 18": (lambda: TorchreidResNet("small"), "resnet18"),
    "torchreid, IBN-b": (lambda: TorchreidResNet("ibn-b"), "resnet50"),
    "torchreid, SE": (TorchreidSeNet, "se_resnet50"),
    "torchreid, DenseNet": (TorchreidDenseNet, "densenet121"),
    "torchreid, fc512": (lambda: TorchreidResNet("fc512"), "resnet50_fc512"),
    "torchreid, middle": (lambda: TorchreidResNet("middle"), "resnet50mid"),
    "torchreid, PCB of 4": (lambda: Parts("torchreid", 4), "pcb_p4"),
    "torchreid, PCB of 6": (lambda: Parts("torchreid", 6), "pcb_p6"),
    "torchvision": (lambda: TorchreidResNet("imagenet"), "resnet50"),
    "torchvision, MobileNet": (lambda: MobileNet(is_flat=False), "mobilenetv2_bnneck"),
    "torchvision, old MobileNet": (lambda: MobileNet(is_flat=True), "mobilenetv2_bnneck"),
}
"""Networks for images, and the architecture that they are."""
