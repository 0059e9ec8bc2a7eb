"""What a student is asked to have in common with its teacher."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from models.errors import InputError
from models.reid.losses.criterion import Criterion
from models.reid.losses.teacher import embedding_loss, relation_loss
from models.reid.networks.frames import Outputs
from models.reid.settings import LossSettings

TEACHER = {"teacher": {"weights": "teacher.onnx", "embedding": 3.0, "relation": 2.0}}


def drawn(seed: int, n: int = 6, width: int = 4) -> torch.Tensor:
    return torch.randn(n, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_embedding_loss_is_one_minus_the_cosine() -> None:
    right, diagonal = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1.0]])
    assert_close(embedding_loss(right, diagonal), torch.tensor(1 - 0.5**0.5))
    assert_close(embedding_loss(right, -3 * right), torch.tensor(2.0))


def test_the_relation_loss_compares_the_similarities_within_the_batch() -> None:
    own, theirs = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[2.0, 0.0], [1.0, 0.0]])
    assert_close(relation_loss(own, theirs), torch.tensor(0.5))  # 2 of 4 similarities differ, by 1


@given(seed=st.integers(0, 1000), length=st.floats(0.1, 100))
def test_neither_loss_sees_how_long_features_are(seed: int, length: float) -> None:
    own, theirs = drawn(seed), drawn(seed + 1)
    for loss in (embedding_loss, relation_loss):
        assert_close(loss(length * own, theirs), loss(own, theirs))
    assert_close(
        embedding_loss(length * theirs, theirs),
        torch.zeros((), dtype=torch.float64),
        atol=1e-12,
        rtol=0,
    )


@given(seed=st.integers(0, 1000))
def test_the_relation_loss_lets_a_student_turn_its_whole_space(seed: int) -> None:
    own, theirs = drawn(seed), drawn(seed + 1)
    turned = own @ torch.linalg.qr(drawn(seed + 2, 4)).Q
    assert_close(relation_loss(turned, theirs), relation_loss(own, theirs))
    assert float(embedding_loss(turned, own)) > 1e-3


def test_both_count_with_their_weights_and_only_with_a_teacher() -> None:
    features, taught, targets = drawn(0), drawn(1), torch.tensor([0, 0, 1, 1, 2, 2])
    outputs = Outputs((drawn(2, 6, 3),), (features,), torch.arange(6), torch.zeros(6, 0))
    erased = torch.zeros(6, 1, dtype=torch.bool)

    def total(**settings: object) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        criterion = Criterion(LossSettings.model_validate(settings), 3, (4,))
        result: tuple[torch.Tensor, dict[str, torch.Tensor]] = criterion(
            outputs, targets, erased, None, taught
        )
        return result

    plain, without = total()
    taught_total, values = total(**TEACHER)
    assert list(without) == ["classification", "triplet"]
    assert list(values) == ["classification", "triplet", "embedding", "relation"]
    assert_close(
        taught_total,
        plain + 3 * embedding_loss(features, taught) + 2 * relation_loss(features, taught),
    )


@pytest.mark.parametrize("width", [0, 5])
def test_features_of_another_length_than_the_teachers_name_the_setting(width: int) -> None:
    outputs = Outputs((drawn(2, 6, 3),), (drawn(0),), torch.arange(6), torch.zeros(6, 0))
    criterion = Criterion(
        LossSettings.model_validate({**TEACHER, "triplet": {"weight": 0}}), 3, (4,)
    )
    with pytest.raises(
        InputError, match=f"have {width} values and the network's 4; set .*embed_width to {width}"
    ):
        criterion(
            outputs,
            torch.zeros(6, dtype=torch.long),
            torch.zeros(6, 1, dtype=torch.bool),
            None,
            drawn(1, 6, width),
        )
