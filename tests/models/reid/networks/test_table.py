"""The table of networks."""

import pytest
import torch

from models.errors import InputError
from models.reid.networks import table
from models.reid.networks.frames import FrameWise
from tests.conftest import ROOT


def test_the_page_is_what_the_table_prints() -> None:
    assert (ROOT / "models" / "reid" / "NETWORKS.md").read_text(
        encoding="utf-8"
    ) == table.markdown() + "\n"


@pytest.mark.parametrize("name", table.TABLE)
def test_every_row_says_the_width_and_whether_it_pools_over_time(name: str) -> None:
    row = table.architecture(name)
    with torch.device("meta"):
        network = table.build(name, {"n_classes": 3})
    assert network.width == row.width
    assert isinstance(network, FrameWise) == (not row.video and not name.endswith("_bnneck"))


def test_an_unknown_architecture_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(InputError, match="architecture vgg: expected one of resnet50_bnneck, "):
        table.build("vgg")


def test_options_of_the_user_go_over_those_of_the_row() -> None:
    with torch.device("meta"):
        assert table.build("resnet50_bnneck", {"head": "rnn"}).width == 512
