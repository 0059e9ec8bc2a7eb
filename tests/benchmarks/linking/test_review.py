"""What answers bring, measured on scenes whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.linking import review
from benchmarks.linking.synthetic_scenes import EmbeddedScene


def swapped(scene: EmbeddedScene) -> EmbeddedScene:
    """Everybody looks like the other person in camera b, but for a little."""
    a0, a1, b0, b1 = scene.embedded
    between = 0.7 * b1.embedding + 0.3 * b0.embedding
    other = 0.7 * b0.embedding + 0.3 * b1.embedding
    looks = [between / np.linalg.norm(between), other / np.linalg.norm(other)]
    b_swapped = [
        replace(b0, embedding=looks[0].astype(np.float32)),
        replace(b1, embedding=looks[1].astype(np.float32)),
    ]
    return replace(scene, name="mall", embedded=[a0, a1, *b_swapped])


@pytest.mark.parametrize("order", review.ORDERS)
def test_answers_mend_people_who_look_like_each_other(
    scene: EmbeddedScene, order: review.Order
) -> None:
    curve = review.measure(swapped(scene), order, 2)
    assert len(curve.idf1) == 3
    assert curve.oracle == 1
    assert curve.idf1[0] < 0.6
    assert curve.idf1[-1] == 1
    assert 0 < curve.n_asked <= 2 * review.ROUND


def test_a_scene_without_doubt_asks_nothing(scene: EmbeddedScene) -> None:
    curve = review.measure(replace(scene, name="mall"), "by worth", 3)
    assert curve.idf1 == [1, 1, 1, 1]
    assert curve.n_asked == 0


def test_halves_and_single_scenes_are_shown_apart(
    scene: EmbeddedScene, capsys: pytest.CaptureFixture[str]
) -> None:
    mall = replace(scene, name="mall")
    found = review.run([mall, replace(scene, name="2d_v2-22 alike"), swapped(scene)])
    assert list(found) == [
        "half A",
        "half A, not alike",
        "half B",
        "half B, alike",
        "mall",
    ] or set(found) == {"half A", "half A, not alike", "half B", "half B, alike", "mall"}
    assert found["half A"]["by worth"]["scenes"] == 2
    assert found["half B"]["by worth"]["share"] == [1.0] * (review.N_ROUNDS + 1)
    assert "mall (2), at random" in capsys.readouterr().out
