"""The benchmark of ReID evaluation compares like with like."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from benchmarks.reid import __main__ as evaluation
from benchmarks.reid import data, peers
from benchmarks.reid.data import Inputs
from models.errors import InputError
from models.reid.evaluation import spatial_temporal
from models.reid.evaluation.spatial_temporal import TransitionModel


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    """A fiftieth of the made-up data, with short histograms."""
    whole, origin = data.make(None, None, 16)
    assert "made up" in origin
    assert (len(whole.query), len(whole.gallery)) == (3368, 15913)
    raw = whole.raw_table[..., :200]
    return replace(
        whole.part(0.02), raw_table=raw, table=spatial_temporal.smooth(TransitionModel(raw)).table
    )


@pytest.mark.parametrize("step", list(evaluation.STEPS))
def test_ours_and_the_peer_agree(step: str, inputs: Inputs) -> None:
    if peers.missing(step):
        pytest.skip(peers.missing(step))
    assert_allclose(evaluation.STEPS[step](inputs), peers.PEERS[step][1](inputs), rtol=0, atol=1e-5)


def test_made_up_people_can_be_told_apart_and_time_helps(inputs: Inputs) -> None:
    looks = (
        evaluation.ranking.rank(-inputs.query @ inputs.gallery.T, *inputs.labels).scores().mean_ap
    )
    with_time = evaluation.ranking.rank(-evaluation.joint(inputs), *inputs.labels).scores().mean_ap
    assert 0.2 < looks < with_time


def test_labels_are_those_of_market(shared_data: Path) -> None:
    market, origin = data.make(shared_data / "reid", None, 4)
    assert origin.startswith("Market-1501")
    assert (len(market.query), len(market.gallery)) == (3368, 15913)
    assert market.raw_table.shape == (6, 6, 5000)


def test_features_of_another_data_set_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "few.npz", query=np.zeros((2, 4)), gallery=np.zeros((3, 4)))
    with pytest.raises(InputError, match="2 and 3 features for 3368, 15913 items"):
        data.make(None, tmp_path / "few.npz", 4)


@pytest.mark.slow
def test_a_step_is_measured_in_a_process_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "lines.jsonl"
    words = [
        "--width",
        "8",
        "--samples",
        "200",
        "--steps",
        "joint score",
        "--threads",
        "1",
    ]
    evaluation.main([*words, "--jsonl", str(lines)])
    assert "times as fast" in capsys.readouterr().out
    line = json.loads(lines.read_text())
    result = line["results"]["joint score"]
    assert result["difference"] < 1e-5
    assert result["ours"]["seconds"] > 0
    assert result["ours"]["peak_mib"] > 50
    assert result["ours"]["mAP"] == pytest.approx(result["peer"]["mAP"], abs=1e-3)
