"""Optimisers and their groups."""

import pytest
from torch import nn

from models.reid.settings import OptimizerSettings
from models.reid.training import optimizers


class Small(nn.Module):
    """A backbone with a frozen part, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(2, 3)
        self.head = nn.Linear(3, 1)
        self.backbone.bias.requires_grad_(False)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_the_backbone_has_a_learning_rate_of_its_own_and_frozen_weights_none(name: str) -> None:
    network = Small()
    settings = OptimizerSettings.model_validate({"name": name, "lr": 0.1, "backbone_factor": 0.1})
    optimizer = optimizers.build(network, settings)
    optimizers.set_factor(optimizer, 0.5)
    body, rest = optimizer.param_groups
    assert [id(p) for p in body["params"]] == [id(network.backbone.weight)] and body[
        "lr"
    ] == pytest.approx(0.005)
    assert [id(p) for p in rest["params"]] == [id(p) for p in network.head.parameters()] and rest[
        "lr"
    ] == pytest.approx(0.05)
    assert rest["weight_decay"] == 5e-4
