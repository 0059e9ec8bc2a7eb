"""Parameters and operations of networks, against the numbers of their authors."""

import pytest
import torch

from models.reid import complexity
from models.reid.networks import table


@pytest.mark.parametrize(
    ("name", "n_parameters", "n_macs"),
    [
        ("osnet_x1_0", 2.2e6, 978.9e6),  # torchreid's model zoo
        ("osnet_x0_25", 0.2e6, 82.3e6),
    ],
)
def test_the_counts_are_those_that_the_authors_give(
    name: str, n_parameters: float, n_macs: float
) -> None:
    found = complexity.measure(table.build(name, {"n_classes": 1000}), 256, 128)
    assert found.n_parameters == pytest.approx(n_parameters, rel=0.05)
    assert found.n_macs == pytest.approx(n_macs, rel=0.01)


def test_counting_leaves_the_network_as_it_was() -> None:
    network = table.build("osnet_x0_25", {"n_classes": 3}).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    complexity.measure(network, 64, 32)
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_the_command_prints_a_line_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert complexity.main(["osnet_x0_25", "osnet_x0_5"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("osnet_x0_25 ") and second.startswith("osnet_x0_5 ")
    assert first.endswith(" GFLOPs) a crop of 256x128")
    assert complexity.main(["osnet"]) == 2
    assert capsys.readouterr().err.startswith("error: architecture osnet: expected one of ")
