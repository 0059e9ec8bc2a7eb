from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import LinkingConfig, TravelConfig
from pipeline.linking.clustering import candidates
from pipeline.linking.clustering.constraints import Constraints
from pipeline.linking.evidence import position
from pipeline.linking.evidence.appearance import Appearance, Curve, bilinear_partner
from pipeline.linking.index import TrackletIndex
from tests.pipeline.linking.test_linker import ON_FLOOR, a_site

TRAVEL = [TravelConfig(cameras=("a", "b"), min_s=1, max_s=30)]


def site(seed: int, n: int = 24) -> tuple[TrackletIndex, Constraints, Appearance]:
    index = TrackletIndex(a_site(seed, n), ON_FLOOR)
    appearance = Appearance.of(index.embedded, index.camera, Curve(np.full(3, 0.4), 0.1))
    return index, Constraints(index, LinkingConfig(travel=TRAVEL, max_gap_s=20)), appearance


def pairs(n: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(n) for j in range(i + 1, n)]


@given(st.integers(0, 10_000))
@settings(max_examples=25)
def test_near_are_all_whose_places_say_something(seed: int) -> None:
    index, constraints, _ = site(seed)
    found = set(map(tuple, candidates.spatial_candidates(index, constraints).tolist()))
    for i, j in pairs(len(index)):
        gap = index.start_s[j] - index.end_s[i]
        forbidden = gap < constraints.least_s[index.camera[i], index.camera[j]]
        if (i, j) in found:
            assert gap < position.MAX_GAP_S and not forbidden
        elif np.isfinite(constraints.compared(i, j).odds) and not forbidden:
            assert constraints.compared(i, j).metres >= candidates.NEAR_M


@pytest.mark.parametrize(("n_alike", "block"), [(2, 256), (2, 5), (16, 7)])
def test_alike_are_the_most_alike_before_and_after_each_whatever_the_blocks(
    n_alike: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "N_ALIKE", n_alike)
    monkeypatch.setattr(candidates, "BLOCK", block)
    for seed in range(5):
        index, constraints, appearance = site(seed)
        odds = {
            (i, j): float(appearance.rows[i].astype(float) @ bilinear_partner(appearance.rows[j]))
            for i, j in pairs(len(index))
        }
        allowed = {
            pair: o
            for pair, o in odds.items()
            if o >= -3
            and constraints.least_s[*index.camera[list(pair)]]
            <= _gap(index, *pair)
            <= constraints.most_s.max()
            and (_gap(index, *pair) > 0 or len(set(index.camera[list(pair)])) == 2)
        }
        expected = set()
        for i in range(len(index)):
            for mine in ([p for p in allowed if p[0] == i], [p for p in allowed if p[1] == i]):
                expected |= set(sorted(mine, key=lambda p: -allowed[p])[:n_alike])
        assert (
            set(
                map(
                    tuple,
                    candidates.appearance_candidates(index, appearance, constraints, -3).tolist(),
                )
            )
            == expected
        )


def _gap(index: TrackletIndex, i: int, j: int) -> float:
    return float(index.start_s[j] - index.end_s[i])


def test_what_was_never_seen_is_alike_to_nobody() -> None:
    blind = [replace(e, embedding=np.zeros(8, np.float32)) for e in a_site(0)]
    index = TrackletIndex(blind, ON_FLOOR)
    appearance = Appearance.of(index.embedded, index.camera, Curve(np.full(3, 0.4), 0.1))
    assert (
        len(
            candidates.appearance_candidates(
                index, appearance, Constraints(index, LinkingConfig()), -100
            )
        )
        == 0
    )
