"""Single steps of a training."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.testing import assert_close

from models.reid.data.samples import Dataset
from models.reid.losses.criterion import Criterion
from models.reid.networks.frames import Outputs
from models.reid.settings import Settings
from models.reid.training import loop, run
from models.reid.training.loop import Trainer
from tests.models.reid.training.runs import STEPS, StopAfter, quick

pytestmark = pytest.mark.usefixtures("small_network")


def made(people: Path, architecture: str = "small", **changed: Any) -> tuple[Trainer, Dataset]:
    """A trainer before its first step, and its data."""
    settings = quick(people, network__architecture=architecture, **changed)
    data = run.load_data(settings)
    network, _, _ = run._network(settings, data)
    fabric = run._fabric(settings)
    fabric.launch()
    return loop.build(fabric, settings, network, run._criterion(settings, data, network, 0)), data


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in network.state_dict().items()}


def first_step(trainer: Trainer, data: Dataset) -> dict[str, float]:
    """Losses of the first batch, after which training stops."""
    assert loop.train_epoch(trainer, data, StopAfter(1)) is None
    assert trainer.progress.sums is not None
    return trainer.progress.sums


def test_the_average_moves_by_one_minus_its_decay_and_is_what_is_evaluated(people: Path) -> None:
    trainer, data = made(people, train__ema_decay=0.75)
    first_step(trainer, data)
    before = weights(trainer.evaluated)
    for key, value in weights(
        trainer.network
    ).items():  # starts as the network after the first step
        assert_close(before[key], value)
    assert loop.train_epoch(trainer, data, lambda: False) is not None
    now, network = weights(trainer.evaluated), weights(trainer.network)
    moving = [key for key, value in now.items() if value.is_floating_point()]
    assert any(not torch.equal(now[key], network[key]) for key in moving)
    assert any("running_mean" in key for key in moving)
    for key in moving:
        assert_close(now[key], 0.75 * before[key] + 0.25 * network[key])


def test_without_an_average_the_network_itself_is_evaluated(people: Path) -> None:
    trainer, _ = made(people)
    assert trainer.evaluated is trainer.network


@pytest.mark.parametrize(("architecture", "share"), [("osnet_x0_25", 0.15), ("small", 0.02)])
def test_bfloat16_gives_the_losses_of_float32_within_a_few_percent(
    architecture: str, share: float, people: Path
) -> None:
    """The triplet loss is a difference of distances, so that rounding shows more in it than in the
    cross entropy.
    """
    changed = {"batches__n_people": 4, "losses__triplet__margin": 1.0}
    found = [
        first_step(*made(people, architecture, train__precision=p, **changed))
        for p in ("32", "bf16")
    ]
    assert found[0] != found[1]
    assert found[1]["classification"] == pytest.approx(found[0]["classification"], rel=0.03)
    assert found[1]["triplet"] == pytest.approx(found[0]["triplet"], rel=share)


def test_weights_stay_float32_and_move_in_bfloat16(people: Path) -> None:
    trainer, data = made(people, train__precision="bf16")
    before = weights(trainer.network)
    first_step(trainer, data)
    after = weights(trainer.network)
    assert all(value.dtype == torch.float32 for value in trainer.network.parameters())
    assert all(
        not torch.equal(before[key], after[key]) for key, _ in trainer.network.named_parameters()
    )


def test_the_mean_of_an_epoch_is_over_its_batches(people: Path) -> None:
    whole, data = made(people)
    means = loop.train_epoch(whole, data, lambda: False)
    parts, _ = made(people)
    first = dict(first_step(parts, data))
    assert loop.train_epoch(parts, data, StopAfter(1)) is None and parts.progress.sums is not None
    both = parts.progress.sums
    assert means == {"lr": 0.002, **{name: pytest.approx(both[name] / STEPS) for name in both}}
    assert (
        first.keys() == {"classification", "triplet", "loss", "accuracy"}
        and both["loss"] > first["loss"]
    )
    assert (whole.progress.epoch, whole.progress.batch, whole.progress.step) == (1, 0, STEPS)
    assert (parts.progress.epoch, parts.progress.batch, parts.progress.step) == (0, STEPS, STEPS)


def test_the_learning_rate_is_the_schedules_and_the_backbones_its_share(people: Path) -> None:
    changed = {
        "schedule__name": "step",
        "schedule__step_epochs": 1,
        "schedule__gamma": 0.5,
        "optimizer__backbone_factor": 0.1,
    }
    trainer, data = made(people, **changed)
    for lr in (0.002, 0.001):
        row = loop.train_epoch(trainer, data, lambda: False)
        assert row is not None and row["lr"] == pytest.approx(lr)
        assert [group["lr"] for group in trainer.optimizer.param_groups] == pytest.approx(
            [0.1 * lr, lr]
        )


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_longer_gradients_are_shortened(precision: str, people: Path) -> None:
    sgd = {
        "optimizer__name": "sgd",
        "optimizer__momentum": 0.0,
        "optimizer__weight_decay": 0.0,
        "optimizer__lr": 1.0,
    }
    moved = []
    for max_norm in (0.0, 1e-3):
        trainer, data = made(
            people, train__precision=precision, optimizer__max_norm=max_norm, **sgd
        )
        before = {key: value.detach().clone() for key, value in trainer.network.named_parameters()}
        first_step(trainer, data)
        steps = [value.detach() - before[key] for key, value in trainer.network.named_parameters()]
        moved.append(float(torch.cat([step.flatten() for step in steps]).norm()))
    assert moved[0] > 0.01 and moved[1] == pytest.approx(1e-3, rel=1e-2)


def test_centres_move_at_their_own_rate_whatever_their_loss_weighs(people: Path) -> None:
    """Luo et al. step the centres with the gradient of the unweighted loss."""
    moved = []
    for weight in (0.0005, 0.5):
        trainer, data = made(people, losses__center__weight=weight, losses__center__lr=0.5)
        (before,) = (centers.detach().clone() for centers in trainer.criterion.center_parameters())
        first_step(trainer, data)
        (after,) = trainer.criterion.center_parameters()
        moved.append(after.detach() - before)
    assert moved[0].abs().max() > 0.01
    assert_close(moved[0], moved[1], rtol=1e-3, atol=1e-5)


def test_soft_mining_takes_its_class_vectors_from_the_classifier(people: Path) -> None:
    trainer, data = made(people, "osnet_x0_25", losses__osm__weight=0.5)
    vectors = loop.class_vectors(trainer.network)
    assert vectors is not None and vectors.shape == (data.n_train_people, 512)
    assert {"classification", "triplet", "osm", "loss", "accuracy"} == set(
        first_step(trainer, data)
    )


def test_optimiser_states_come_back_in_the_layout_they_had(people: Path, tmp_path: Path) -> None:
    trainer, data = made(people)
    first_step(trainer, data)
    loop.save(trainer, tmp_path / "c.safetensors")
    fresh, _ = made(people)
    loop.restore(fresh, tmp_path / "c.safetensors")
    layouts = []
    for one in (trainer, fresh):
        states = one.optimizer.state_dict()["state"]
        layouts.append(
            [
                (i, name, v.stride())
                for i, state in states.items()
                for name, v in state.items()
                if v.ndim
            ]
        )
    assert layouts[0] == layouts[1]
    assert any(stride[1] == 1 for _, _, stride in layouts[0] if len(stride) == 4)


def test_the_scale_of_the_loss_in_float16_is_part_of_a_checkpoint(
    people: Path, tmp_path: Path
) -> None:
    """Fabric has float16 on GPUs only; its scaler of losses works anywhere."""
    from lightning_fabric.plugins.precision.amp import MixedPrecision

    settings: Settings = quick(people, network__architecture="small")
    data = run.load_data(settings)
    scales = []
    for step in ("save", "load"):
        precision = MixedPrecision("16-mixed", "cpu")
        fabric = Fabric(accelerator="cpu", devices=1, plugins=precision)
        network, _, _ = run._network(settings, data)
        trainer = loop.build(
            fabric, settings, network, Criterion(settings.losses, data.n_train_people, [])
        )
        assert precision.scaler is not None
        if step == "save":
            first_step(trainer, data)
            precision.scaler.update(128.0)
            loop.save(trainer, tmp_path / "c.safetensors")
        else:
            loop.restore(trainer, tmp_path / "c.safetensors")
        scales.append(precision.state_dict())
    assert scales[0] == scales[1] and scales[1]["scale"] == 128.0


@pytest.mark.parametrize("architecture", ["small", "osnet_x0_25"])
def test_a_frozen_body_stays_as_it_is_while_the_rest_learns(
    people: Path, architecture: str
) -> None:
    trainer, data = made(people, architecture, optimizer__frozen_epochs=1)
    before = weights(trainer.network)
    assert loop.train_epoch(trainer, data, lambda: False) is not None
    frozen = weights(trainer.network)
    assert any("running_mean" in key for key in before)
    for key, value in before.items():
        is_body = "backbone." in key if architecture == "small" else "classifier" not in key
        assert torch.equal(value, frozen[key]) == is_body, key
    assert loop.train_epoch(trainer, data, lambda: False) is not None
    moved = weights(trainer.network)
    assert not any(torch.equal(frozen[key], moved[key]) for key in moved if "conv" in key)
    assert not any(torch.equal(frozen[key], moved[key]) for key in moved if "running" in key)


def test_accuracy_is_the_share_of_samples_whose_person_has_the_largest_sum_of_logits() -> None:
    first = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    second = torch.tensor([[0.0, 1.0], [3.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    owners = torch.tensor([0, 0, 1, 1])
    outputs = Outputs((first, second), (), owners, torch.zeros(2, 0))
    assert loop.accuracy(outputs, torch.tensor([0, 1])) == 0.75


def test_a_network_of_3d_convolutions_can_be_trained(people: Path) -> None:
    settings = quick(people)
    network = nn.Sequential(nn.Conv3d(3, 4, 3), nn.Flatten(), nn.LazyLinear(2))
    network(torch.zeros(1, 3, 3, 8, 4))
    criterion = Criterion(settings.losses, 2, [])
    trainer = loop.build(run._fabric(settings), settings, network, criterion)
    assert trainer.network is network
