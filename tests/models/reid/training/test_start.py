"""Weights that a training starts from."""

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmarks.reid import originals
from models.errors import InputError
from models.reid.networks import osnet_lct, table
from models.reid.training.start import start_from


class Network(nn.Module):
    """A body with a wrapper's name before it, a neck and a classifier."""

    def __init__(self, n_classes: int = 3) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 8))
        self.classifier = nn.Linear(8, n_classes)


def given(prefix: str) -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {
        prefix + k: torch.randn_like(v.float()).to(v.dtype)
        for k, v in Network().backbone.state_dict().items()
    }


def write(path: Path, tensors: dict[str, Tensor], wrapper: str = "") -> str:
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save({wrapper: tensors, "epoch": 3} if wrapper else tensors, path)
    return str(path)


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "module.backbone."])
@pytest.mark.parametrize(
    ("name", "wrapper"), [("w.safetensors", ""), ("w.pth", ""), ("w.tar", "state_dict")]
)
def test_weights_are_taken_whatever_wrapper_they_were_saved_in(
    tmp_path: Path, prefix: str, name: str, wrapper: str
) -> None:
    network, tensors = Network(), given(prefix)
    before = network.classifier.weight.clone()
    told = start_from(network, write(tmp_path / name, tensors, wrapper), "")
    assert all(
        torch.equal(v, tensors[prefix + k]) for k, v in network.backbone.state_dict().items()
    )
    assert torch.equal(network.classifier.weight, before)
    assert told.endswith("9 of 9 tensors, 100.0% of the weights")


def test_a_body_under_other_names_is_known_by_its_shapes_in_their_order(tmp_path: Path) -> None:
    """An old MobileNetV2, for one: features.1.conv.3 for what is 1.conv.1 today."""
    network, other = Network(), Network()
    body = {f"old.{i}": tensor for i, tensor in enumerate(other.backbone.state_dict().values())}
    torch.save(body, tmp_path / "old.pth")
    assert start_from(network, str(tmp_path / "old.pth"), "").startswith(
        f"{tmp_path / 'old.pth'}: {len(body)} of "
    )
    assert all(
        torch.equal(a, b)
        for a, b in zip(network.backbone.state_dict().values(), body.values(), strict=True)
    )
    torch.save(dict(list(body.items())[:-1]), tmp_path / "short.pth")
    with pytest.raises(InputError, match="it is of another architecture"):
        start_from(network, str(tmp_path / "short.pth"), "")


def test_a_classifier_of_other_people_starts_anew(tmp_path: Path) -> None:
    network = Network(3)
    before = network.classifier.weight.clone()
    start_from(network, write(tmp_path / "w.safetensors", Network(3).state_dict()), "")
    assert torch.equal(network.classifier.weight, before)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("missing.pth", None, "no such file"),
        ("text.pth", b"just text", "not a plain state dict|cannot be read"),
        ("text.safetensors", b"just text", "cannot be read"),
        ("other.pth", {"a.weight": torch.zeros(5)}, "another architecture"),
        ("empty.pth", {"epoch": 3}, "holds no tensors"),
    ],
)
def test_weights_that_do_not_fit_are_an_error_of_one_line(
    tmp_path: Path, name: str, content: object, reason: str
) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(InputError, match=rf"^{path}: .*({reason}).*$"):
        start_from(Network(), str(path), "")


@pytest.mark.parametrize(
    ("build", "architecture"),
    [
        (lambda: originals.Video("attention"), "resnet50ta"),
        (originals.StrongBaseline, "resnet50_bnneck"),
        (lambda: originals.TorchreidResNet("middle"), "resnet50mid"),
        (lambda: originals.Parts("torchreid", 4), "pcb_p4"),
        (lambda: originals.Parts("layumi"), "ft_pcb"),
    ],
    ids=["Gao", "strong baseline", "torchreid middle", "torchreid PCB", "layumi PCB"],
)
def test_a_published_file_starts_all_of_its_network(
    build: Callable[[], nn.Module], architecture: str, tmp_path: Path
) -> None:
    torch.save({"state_dict": build().state_dict()}, tmp_path / "model.pth.tar")
    network = table.build(architecture, {"n_classes": 3})
    told = start_from(network, str(tmp_path / "model.pth.tar"), "")
    assert "100.0% of the weights" in told and "start anew" not in told


def test_what_is_on_top_of_the_body_starts_anew_and_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "resnet50.pth"
    torch.save(originals.resnet().state_dict(), path)
    network = table.build("resnet50_bnneck", {"n_classes": 3})
    told = start_from(network, str(path), "resnet50")
    assert told.startswith(f"{path}: 318 of 323 tensors, 100.0% of the weights; start anew: neck.")
    assert told.endswith("left over: fc.weight, fc.bias")


def test_what_is_left_over_is_listed_also_where_all_keys_begin_with_a_wrappers_name(
    tmp_path: Path,
) -> None:
    state = originals.StrongBaseline().state_dict() | {"extra.weight": torch.ones(1)}
    torch.save({f"model.{key}": tensor for key, tensor in state.items()}, tmp_path / "a.pth")
    network = table.build("resnet50_bnneck", {"n_classes": 3})
    told = start_from(network, str(tmp_path / "a.pth"), "")
    assert told.endswith("100.0% of the weights; left over: extra.weight")


def test_a_file_that_leaves_the_body_random_needs_leave(tmp_path: Path) -> None:
    state = originals.resnet().state_dict()
    part = {key: tensor for key, tensor in state.items() if not key.startswith("layer2.3")}
    path = tmp_path / "part.pth"
    torch.save(part, path)
    network = table.build("resnet50_bnneck", {"n_classes": 3})
    before = network.state_dict()["backbone.layer2.3.conv1.weight"].clone()
    expected = (
        r"leaves 15 tensors .*body random .*backbone\.layer2\.3\.conv1\.weight.*partial: true"
    )
    with pytest.raises(InputError, match=expected):
        start_from(network, str(path), "")
    told = start_from(network, str(path), "", partial=True)
    assert "start anew: backbone.layer2.3.conv1.weight" in told
    found = network.state_dict()
    assert torch.equal(found["backbone.layer4.2.conv3.weight"], state["layer4.2.conv3.weight"])
    assert torch.equal(found["backbone.layer2.3.conv1.weight"], before)


class Evil:
    """Runs code where it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('ran')",))


def test_no_code_of_a_file_is_run(tmp_path: Path) -> None:
    torch.save({"a": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match=r"evil\.pth"):
        start_from(Network(), str(tmp_path / "evil.pth"), "")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A real web server on loopback in the place of PyTorch's, and an empty cache; yields the
    folder it serves.
    """
    from torchvision.models import resnet50
    from torchvision.models.resnet import ResNet50_Weights

    served = tmp_path / "hub"
    served.mkdir()
    torch.manual_seed(0)
    torch.save(resnet50(weights=None).state_dict(), served / "resnet50.pth")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(served))  # type: ignore[arg-type]

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    default = ResNet50_Weights.DEFAULT.value
    monkeypatch.setattr(
        ResNet50_Weights.DEFAULT,
        "_value_",
        type(default)(
            url=f"http://127.0.0.1:{server.server_port}/resnet50.pth",
            transforms=default.transforms,
            meta=default.meta,
        ),
    )
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def test_imagenet_weights_come_from_where_torchvision_says(hub: Path) -> None:
    network = table.build("resnet50_bnneck", {"n_classes": 2})
    told = start_from(network, "imagenet", "resnet50")
    expected = torch.load(hub / "resnet50.pth", weights_only=True)
    assert torch.equal(
        network.state_dict()["backbone.layer4.2.conv3.weight"], expected["layer4.2.conv3.weight"]
    )
    assert torch.equal(network.state_dict()["backbone.bn1.weight"], expected["bn1.weight"])
    assert told.startswith("imagenet: 318 of ")


def test_imagenet_without_a_network_says_what_to_do(hub: Path) -> None:
    (hub / "resnet50.pth").unlink()
    with pytest.raises(
        InputError, match=r"imagenet: torchvision's weights cannot be fetched .*give its path"
    ):
        start_from(table.build("resnet50_bnneck"), "imagenet", "resnet50")


def test_imagenet_for_a_network_that_has_none_is_an_error() -> None:
    with pytest.raises(InputError, match="has no weights that fit"):
        start_from(Network(), "imagenet", "")


def test_openvino_weights_start_a_network_of_another_input_size(shared_data: Path) -> None:
    pytest.importorskip("openvino")
    file = shared_data / "baselines" / "person-reidentification-retail-0277.xml"
    network = osnet_lct.build(height_px=64, width_px=32)
    said = start_from(network, str(file), "")
    assert said.endswith("100.0% of the weights")
    assert network.image.pool.weight.shape == (512, 1, 4, 2)  # type: ignore[union-attr]


def test_weights_of_one_input_size_start_another(tmp_path: Path) -> None:
    torch.manual_seed(0)
    large = osnet_lct.build(height_px=64, width_px=32)
    state = {key: tensor.contiguous() for key, tensor in large.state_dict().items()}
    save_file(state, tmp_path / "large.safetensors")
    small = osnet_lct.build(height_px=32, width_px=32)
    said = start_from(small, str(tmp_path / "large.safetensors"), "")
    assert said.endswith("100.0% of the weights")


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (nn.Linear(2, 2), "OpenVINO weights start osnet_lct_x1_0 only"),
        (osnet_lct.build(), "no such file"),
    ],
    ids=["another architecture", "no file"],
)
def test_openvino_weights_that_cannot_be_used_are_an_error_of_one_line(
    network: nn.Module, expected: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=expected):
        start_from(network, str(tmp_path / "absent.xml"), "")
