"""The one-class network: towers kept, boxes unchanged, written and read back."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.testing import assert_close

from models import device as devices
from models.detector import average, network
from models.errors import InputError


@pytest.fixture(scope="module")
def coco() -> Any:
    """80 classes, random weights that differ from class to class."""
    torch.manual_seed(0)
    built = network.build("yolo11n.yaml", 80)
    for tower in built.model[-1].cv3:
        torch.nn.init.normal_(tower[-1].weight, std=0.5)
        torch.nn.init.normal_(tower[-1].bias)
    built.names = {i: "person" if i == 3 else f"thing{i}" for i in range(80)}
    return built.half().float().eval()


def answers(net: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = net(
            torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
        )[0]
    return found


def test_cutting_down_to_the_person_keeps_boxes_and_scores_through_the_file(
    coco: Any, tmp_path: Path
) -> None:
    whole = answers(coco)
    network.save(tmp_path / "coco.safetensors", coco, "yolo11n.yaml")
    cut = network.person_only(network.load(tmp_path / "coco.safetensors"))
    assert_close(answers(cut), whole[:, [0, 1, 2, 3, 7]])
    network.save(tmp_path / "person.safetensors", cut, "yolo11n.yaml", {"start": "coco"})
    again = network.load(tmp_path / "person.safetensors")
    assert again.names == {0: "person"}
    assert again.model[-1].cv3[0][-1].weight.shape == (
        1,
        80,
        1,
        1,
    )  # ultralytics' own one-class towers have 64 channels
    assert_close(answers(again), answers(cut))
    assert (tmp_path / "person.safetensors").stat().st_size < 8e6


def test_a_one_class_network_of_ultralytics_width_is_read_too(tmp_path: Path) -> None:
    narrow = network.build("yolo11n.yaml", 1)
    network.save(tmp_path / "narrow.safetensors", narrow, "yolo11n.yaml")
    assert network.load(tmp_path / "narrow.safetensors").model[-1].cv3[0][-1].weight.shape == (
        1,
        64,
        1,
        1,
    )


def test_a_network_without_people_cannot_be_cut(coco: Any) -> None:
    class Names:
        names = {0: "dog", 1: "cat"}  # noqa: RUF012

    with pytest.raises(InputError, match="none of the 2 classes"):
        network.person_only(Names())


@pytest.mark.parametrize(
    ("state", "metadata", "reason"),
    [
        (
            {"weight": torch.zeros(3)},
            {"architecture": "yolo11n.yaml"},
            "not the state dict of a YOLO",
        ),
        ({"weight": torch.zeros(3)}, {}, "name its architecture"),
        ({"weight": torch.zeros(3)}, {"architecture": "yolo11x.pt"}, "name its architecture"),
        (
            {"weight": torch.zeros(3)},
            {"architecture": "https://example.com/yolo11n.yaml"},
            "name its architecture",
        ),
        (
            {"model.23.cv3.0.2.weight": torch.zeros(1, 64, 1, 1)},
            {"architecture": "yolo11n.yaml"},
            "does not fit yolo11n.yaml",
        ),
        (None, {}, "cannot be read as safetensors"),
    ],
)
def test_files_that_are_no_detector_are_an_error_of_one_line(
    tmp_path: Path, state: dict[str, torch.Tensor] | None, metadata: dict[str, str], reason: str
) -> None:
    path = tmp_path / "a.safetensors"
    if state is None:
        path.write_text("text", encoding="utf-8")
    else:
        save_file(state, path, metadata)
    with pytest.raises(InputError, match=f"^{path}: .*{reason}.*$"):
        network.load(path)


@pytest.mark.parametrize("names", ["[person", '"person"', "3", "[1]", '{"0": "person"}'])
def test_class_names_that_are_no_list_are_an_error_of_one_line(tmp_path: Path, names: str) -> None:
    path = tmp_path / "a.safetensors"
    metadata = {"architecture": "yolo11n.yaml", "names": names}
    save_file({"model.23.cv3.0.2.weight": torch.zeros(1, 64, 1, 1)}, path, metadata)
    with pytest.raises(InputError, match=f"^{path}: its metadata `names` is no JSON list"):
        network.load(path)


@pytest.mark.parametrize("alpha", [0, 0.25, 1])
def test_the_line_between_start_and_fine_tune_begins_and_ends_at_them(alpha: float) -> None:
    start, tuned, mixed = (torch.nn.BatchNorm1d(4) for _ in range(3))
    for seed, net in enumerate((start, tuned)):
        net.weight.data = torch.rand(4, generator=torch.Generator().manual_seed(seed))
        net.running_mean = torch.full((4,), float(seed))
    mixed.load_state_dict(tuned.state_dict())
    average.average(start, mixed, alpha)
    assert_close(mixed.weight, (1 - alpha) * start.weight + alpha * tuned.weight)
    assert_close(mixed.running_mean, torch.full((4,), float(alpha)))


def test_the_command_writes_a_file_that_says_how_much_of_the_fine_tune_is_in_it(
    coco: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network.save(tmp_path / "coco.safetensors", coco, "yolo11n.yaml")
    files = [
        "--start",
        str(tmp_path / "coco.safetensors"),
        "--tuned",
        str(tmp_path / "coco.safetensors"),
    ]
    assert (
        average.main([*files, "--alpha", "0.5", "--output", str(tmp_path / "mixed.safetensors")])
        == 0
    )
    with safe_open(tmp_path / "mixed.safetensors", "pt") as file:
        assert file.metadata() == {
            "architecture": "yolo11n.yaml",
            "names": '["person"]',
            "start": "coco.safetensors",
            "alpha": "0.5",
        }
    assert (
        average.main([*files, "--alpha", "1.5", "--output", str(tmp_path / "mixed.safetensors")])
        == 2
    )
    assert (
        capsys.readouterr().err
        == "error: --alpha 1.5: expected 0 (the start) to 1 (the fine-tune)\n"
    )


def test_networks_of_different_shape_are_not_averaged(coco: Any) -> None:
    with pytest.raises(InputError, match="different layers"):
        average.average(coco, torch.nn.Linear(3, 4), 0.5)


@pytest.mark.skipif(
    devices.fast_dtype(torch.device("cpu")) == torch.float32,
    reason="needs a CPU that computes in bfloat16",
)
def test_an_optimized_network_computes_in_bfloat16_but_decodes_its_boxes_precisely() -> None:
    """In a wide picture, at whose right edge bfloat16 would round a box to 4 px."""
    slow = network.build("yolo11n.yaml", 1).eval()
    fast = copy.deepcopy(slow)
    context = network.optimize_for_inference(fast, torch.device("cpu"))
    pictures = torch.rand(1, 3, 64, 960, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode(), context:
        decoded, answers = fast(pictures)
        assert answers["boxes"].dtype == torch.bfloat16 and decoded.dtype == torch.float32
        assert_close(fast(pictures)[0], decoded, rtol=0, atol=0)
        answers["boxes"] = (
            torch.randn(
                answers["boxes"].shape, generator=torch.Generator().manual_seed(1)
            ).bfloat16()
            * 3
        )
        found = fast.model[-1]._inference(answers)
        rounded = slow.model[-1]._inference(answers)
    exact = {key: answers[key].float() for key in ("boxes", "scores")}
    expected = slow.model[-1]._inference(
        {**exact, "feats": [level.float() for level in answers["feats"]]}
    )
    assert expected[:, 0].max() > 900
    assert_close(found, expected, rtol=1e-4, atol=1e-3)
    assert (rounded[:, :4].float() - expected[:, :4]).abs().max() > 0.5
