"""What answers bring, measured on scenes whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.linking import review
from benchmarks.linking.synthetic_scenes import EmbeddedScene
from tests.benchmarks.linking.test_linking import LOOKS


def changed_looks(scene: EmbeddedScene) -> EmbeddedScene:
    """Everybody looks only a little like themselves in camera b."""
    a0, a1, *others = scene.embedded
    changed = []
    for person, embedded in enumerate(others):
        looks = 0.35 * LOOKS[person] + 0.65 * LOOKS[5 + person]
        changed.append(replace(embedded, embedding=looks / np.linalg.norm(looks)))
    return replace(scene, name="mall", embedded=[a0, a1, *changed])


@pytest.mark.parametrize("order", review.ORDERS)
def test_answers_join_people_who_were_nearly_linked(
    scene: EmbeddedScene, order: review.Order
) -> None:
    curve = review.measure(changed_looks(scene), order, 2)
    assert curve.idf1 == [0.5, 1, 1]
    assert curve.oracle == 1
    assert curve.n_asked == 2


def test_answers_that_confirm_change_nothing(scene: EmbeddedScene) -> None:
    curve = review.measure(replace(scene, name="mall"), "by worth", 3)
    assert curve.idf1 == [1, 1, 1, 1]
    assert curve.n_asked == 2


def test_halves_and_single_scenes_are_shown_apart(
    scene: EmbeddedScene, capsys: pytest.CaptureFixture[str]
) -> None:
    mall = replace(scene, name="mall")
    found = review.run([mall, replace(scene, name="2d_v2-22 alike"), changed_looks(scene)])
    groups = {"half A", "half A, not alike", "half B", "half B, alike", "mall"}
    assert found.keys() == groups
    assert found["half A"]["by worth"]["scenes"] == 2
    assert found["half A"]["by worth"]["idf1"][:2] == [0.75, 1.0]
    assert found["half B"]["by worth"]["share"] == [1.0] * (review.N_ROUNDS + 1)
    assert "mall (2), at random" in capsys.readouterr().out
