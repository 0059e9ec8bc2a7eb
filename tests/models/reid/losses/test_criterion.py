"""The weighted sum of the losses."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from models.errors import InputError
from models.reid.losses.attention import attention
from models.reid.losses.center import restore_gradients
from models.reid.losses.classification import cross_entropy
from models.reid.losses.criterion import Criterion
from models.reid.losses.osm import osm
from models.reid.losses.triplet import batch_hard
from models.reid.networks.frames import FrameWise, Outputs
from models.reid.settings import LossSettings
from tests.models.reid.golden import F
from tests.models.reid.losses.formulas import CENTERS, X, Y, tensor

TARGETS = tensor(Y)
LOGITS = (tensor(F(8, 5)), tensor(F(8, 5, 1.0, 2.0)))
FEATURES = (tensor(X), tensor(F(8, 6, 3.0, 4.0)))
SCORES = tensor(F(8, 3)).abs()
ERASED = tensor(F(8, 3, 5.0, 6.0)) > 0.5
VECTORS = tensor(CENTERS)
ALL = {
    "classification": {"weight": 0.7},
    "triplet": {"weight": 0.9},
    "center": {"weight": 0.0005},
    "osm": {"weight": 0.25},
    "attention": 0.6,
}


def outputs(branches: int = 1) -> Outputs:
    return Outputs(LOGITS[:branches], FEATURES[:branches], torch.arange(8), SCORES)


def criterion(settings: dict[str, Any], widths: tuple[int, ...] = (6,)) -> Criterion:
    return Criterion(
        LossSettings.model_validate(settings), 5, widths, torch.Generator().manual_seed(0)
    ).double()


def test_the_defaults_are_the_strong_baselines() -> None:
    total, values = criterion({})(outputs(), TARGETS, ERASED)
    assert list(values) == ["classification", "triplet"]
    assert_close(
        total,
        cross_entropy(LOGITS[:1], TARGETS, 0.1)
        + batch_hard(FEATURES[0], TARGETS, "euclidean", 0.3),
    )


def test_the_total_is_the_weighted_sum_and_osm_takes_its_share_from_the_triplet() -> None:
    both = criterion(ALL)
    total, values = both(outputs(), TARGETS, ERASED, VECTORS)
    expected = {
        "classification": cross_entropy(LOGITS[:1], TARGETS, 0.1),
        "triplet": batch_hard(FEATURES[0], TARGETS),
        "center": (FEATURES[0] - both.center_parameters()[0][TARGETS]).square().sum(1).mean(),
        "osm": osm(FEATURES[0], TARGETS, VECTORS),
        "attention": attention(SCORES, ERASED),
    }
    assert len(set(expected.values())) == 5
    assert_close(values, {name: value.detach() for name, value in expected.items()})
    weights = {
        "classification": 0.7,
        "triplet": 0.75 * 0.9,
        "center": 0.0005,
        "osm": 0.25,
        "attention": 0.6,
    }
    assert_close(
        total, torch.stack([weights[name] * value for name, value in expected.items()]).sum()
    )
    assert total.requires_grad and not any(value.requires_grad for value in values.values())


def test_settings_reach_their_losses() -> None:
    settings = {
        "classification": {"smoothing": 0.3},
        "triplet": {"metric": "cosine", "margin": 0.7},
        "osm": {"weight": 0.5, "alpha": 2.0, "l": 0.3, "sigma": 0.6},
    }
    _, values = criterion(settings)(outputs(), TARGETS, ERASED, VECTORS)
    assert_close(values["classification"], cross_entropy(LOGITS[:1], TARGETS, 0.3))
    assert_close(values["triplet"], batch_hard(FEATURES[0], TARGETS, "cosine", 0.7))
    assert_close(values["osm"], osm(FEATURES[0], TARGETS, VECTORS, 2.0, 0.3, 0.6))
    _, values = criterion({"triplet": {"soft": True}})(outputs(), TARGETS, ERASED)
    assert_close(values["triplet"], batch_hard(FEATURES[0], TARGETS, soft=True))


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"classification": {"weight": 0.0}}, ["triplet"]),
        ({"triplet": {"weight": 0.0}}, ["classification"]),
        ({"osm": {"weight": 1.0}}, ["classification", "osm"]),
        ({"triplet": {"weight": 0.0}, "attention": 0.1}, ["classification", "attention"]),
    ],
)
def test_losses_that_do_not_count_are_not_computed(
    settings: dict[str, Any], names: list[str]
) -> None:
    made = criterion(settings)
    assert list(made(outputs(), TARGETS, ERASED, VECTORS)[1]) == names
    assert made.center_parameters() == []
    if names == ["classification"]:
        broken = outputs()._replace(
            features=(torch.full((8, 6), torch.nan),), attention=torch.zeros(8, 0)
        )
        assert made(broken, TARGETS, ERASED)[0].isfinite()


@pytest.mark.parametrize(("branches", "factor"), [("mean", 0.5), ("sum", 1.0)])
def test_branches_of_part_networks_count_together(branches: str, factor: float) -> None:
    settings = {**ALL, "classification": {"branches": branches}}
    made = criterion(settings, (6, 6))
    _, values = made(outputs(2), TARGETS, ERASED, VECTORS)
    assert_close(
        values["classification"],
        factor * sum(cross_entropy([logits], TARGETS) for logits in LOGITS),
    )
    assert_close(
        values["triplet"], (batch_hard(FEATURES[0], TARGETS) + batch_hard(FEATURES[1], TARGETS)) / 2
    )
    assert_close(
        values["osm"], (osm(FEATURES[0], TARGETS, VECTORS) + osm(FEATURES[1], TARGETS, VECTORS)) / 2
    )
    own = [
        (x - c.detach()[TARGETS]).square().sum(1).mean()
        for x, c in zip(FEATURES, made.center_parameters(), strict=True)
    ]
    assert_close(values["center"], (own[0] + own[1]) / 2)


def test_every_feature_has_centres_of_its_own_length() -> None:
    first, again = (criterion(ALL, (6, 4)).center_parameters() for _ in range(2))
    assert [tuple(centers.shape) for centers in first] == [(5, 6), (5, 4)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_frames_scored_one_by_one_are_samples_of_their_clips_person() -> None:
    class Image(torch.nn.Module):
        def forward(self, images: Tensor) -> tuple[tuple[Tensor], tuple[Tensor]]:
            return (images.flatten(1)[:, :5],), (images.flatten(1),)

    network = FrameWise(Image(), 6).train()
    mask = torch.tensor(
        [[True, True, False], [True, False, False], [True, True, True], [True, True, False]]
    )
    clips = torch.zeros(4, 3, 3, 1, 2)
    clips[mask] = tensor(X).float().view(8, 3, 1, 2)
    targets = torch.tensor([4, 2, 4, 0])
    _, values = criterion({})(network(clips, mask, torch.ones(4, 3)), targets, torch.zeros(4, 3))
    people = torch.tensor([4, 4, 2, 4, 4, 4, 0, 0])
    assert_close(values["triplet"], batch_hard(tensor(X).float(), people))
    assert_close(values["classification"], cross_entropy([tensor(X).float()[:, :5]], people))


def test_mixed_precision_changes_inputs_only() -> None:
    settings = {**ALL, "osm": {"weight": 0.5, "vectors": "classifier"}}
    made = criterion(settings).float()
    half = Outputs(
        (LOGITS[0].bfloat16(),), (FEATURES[0].bfloat16(),), torch.arange(8), SCORES.bfloat16()
    )
    single = Outputs(
        (half.logits[0].float(),),
        (half.features[0].float(),),
        torch.arange(8),
        half.attention.float(),
    )
    with torch.autocast("cpu", torch.bfloat16):
        total, values = made(half, TARGETS, ERASED, VECTORS.float())
    assert total.dtype == torch.float32
    expected = made(single, TARGETS, ERASED, VECTORS.float())
    assert torch.equal(total, expected[0]) and values == expected[1]


def test_osm_teaches_the_classifier_whose_vectors_it_takes() -> None:
    vectors = VECTORS.clone().requires_grad_()
    total, _ = criterion({"osm": {"weight": 1.0}})(outputs(), TARGETS, ERASED, vectors)
    (gradient,) = torch.autograd.grad(total, vectors)
    assert gradient.abs().sum() > 0


def test_centres_learn_at_their_own_rate_and_osm_at_its_weight() -> None:
    made = criterion({"center": {"weight": 0.0005}, "osm": {"weight": 0.4, "vectors": "centers"}})
    (centers,) = made.center_parameters()
    total, values = made(outputs(), TARGETS, ERASED)
    total.backward()
    restore_gradients(made.center_parameters(), 0.0005)
    alone = osm(FEATURES[0], TARGETS, centers)
    assert_close(values["osm"], alone.detach())
    to_own = (FEATURES[0] - centers[TARGETS]).square().sum(1).mean()
    (expected,) = torch.autograd.grad(to_own + 0.4 * alone, centers)
    assert_close(centers.grad, expected)


@pytest.mark.parametrize("n", [1, 2, 8])
@pytest.mark.parametrize("vectors", ["classifier", "centers"])
@pytest.mark.parametrize("equal", [True, False])
def test_poor_batches_give_finite_losses_and_gradients(n: int, vectors: str, equal: bool) -> None:
    """One sample, one person twice, everything the same."""
    made = criterion({**ALL, "osm": {"weight": 0.5, "vectors": vectors}})
    logits, features = torch.zeros(n, 5, requires_grad=True), torch.zeros(n, 6, requires_grad=True)
    shift = 0 if equal else tensor(X)[:n]
    total, values = made(
        Outputs((logits + 0,), (features + shift,), torch.arange(n), SCORES[:n]),
        TARGETS[:n],
        ERASED[:n],
        VECTORS,
    )
    total.backward()
    assert all(value.isfinite() for value in values.values())
    for gradient in (logits.grad, features.grad, made.center_parameters()[0].grad):
        assert gradient is not None and gradient.isfinite().all()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"classification": {"weight": 0.0}, "triplet": {"weight": 0.0}}, "every weight is 0"),
        ({"osm": {"weight": 0.5, "vectors": "centers"}}, "needs losses.center.weight above 0"),
    ],
)
def test_settings_that_cannot_work_together_are_errors(
    settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        criterion(settings)


@pytest.mark.parametrize("vectors", [None, torch.zeros(5, 7)], ids=["none", "other width"])
def test_osm_without_a_classifier_of_the_features_width_is_an_error(vectors: Tensor | None) -> None:
    with pytest.raises(InputError, match=r"^losses.osm.vectors: classifier needs .*$"):
        criterion({"osm": {"weight": 0.5}})(outputs(), TARGETS, ERASED, vectors)


def test_attention_loss_needs_a_network_with_attention() -> None:
    made = criterion({"attention": 1.0})
    with pytest.raises(InputError, match=r"^losses.attention needs .*$"):
        made(outputs()._replace(attention=torch.zeros(8, 0)), TARGETS, ERASED)
    with pytest.raises(ValueError, match="differ in shape"):
        made(outputs(), TARGETS, ERASED[:, :1])


def test_another_number_of_features_than_announced_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        criterion(ALL, (6,))(outputs(2), TARGETS, ERASED, VECTORS)
