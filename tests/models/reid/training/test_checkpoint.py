"""Checkpoints."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim import SGD, Adam, Optimizer

from models.errors import InputError
from models.reid.training import checkpoint
from models.reid.training.checkpoint import Progress


def trained(kind: str) -> tuple[nn.Module, Optimizer]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    optimizer: Optimizer = (
        Adam(network.parameters()) if kind == "adam" else SGD(network.parameters(), 0.1, 0.9)
    )
    for _ in range(2):
        network(torch.randn(4, 2)).square().sum().backward()
        optimizer.step()
    return network, optimizer


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_states_come_back_equal(kind: str, tmp_path: Path) -> None:
    network, optimizer = trained(kind)
    progress = Progress(
        epoch=3, batch=2, step=17, seconds=1.5, best=0.25, best_epoch=2, sums={"loss": 4.5}
    )
    parts = {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
    checkpoint.write(tmp_path / "c.safetensors", parts, progress, "seed: 1")
    states, back, settings = checkpoint.read(tmp_path / "c.safetensors")
    assert (back, settings) == (progress, "seed: 1")
    assert states["optimizer"]["param_groups"] == [
        {k: list(v) if isinstance(v, tuple) else v for k, v in g.items()}
        for g in optimizer.state_dict()["param_groups"]
    ]
    for number, state in optimizer.state_dict()["state"].items():
        assert all(
            torch.equal(
                torch.as_tensor(v), torch.as_tensor(states["optimizer"]["state"][number][k])
            )
            for k, v in state.items()
        )
    assert all(torch.equal(v, states["network"][k]) for k, v in network.state_dict().items())
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]


def test_tensors_that_share_memory_are_written_apart(tmp_path: Path) -> None:
    shared = torch.arange(4.0)
    checkpoint.write(
        tmp_path / "c.safetensors", {"a": {"x": shared}, "b": {"y": shared[:2]}}, Progress(), ""
    )
    states = checkpoint.read(tmp_path / "c.safetensors")[0]
    assert states["a"]["x"].tolist() == [0, 1, 2, 3] and states["b"]["y"].tolist() == [0, 1]


@pytest.mark.parametrize("content", [None, b"", b"text", "model"])
def test_a_file_that_is_no_checkpoint_is_an_error_of_one_line(
    content: bytes | str | None, tmp_path: Path
) -> None:
    path = tmp_path / "c.safetensors"
    if content == "model":
        save_file({"x": torch.zeros(1)}, path, {"schema": "reid/1"})
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"^{path}: .*checkpoint.*$"):
        checkpoint.read(path)
