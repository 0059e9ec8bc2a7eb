from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import LinkingConfig
from pipeline.errors import ConfigError
from pipeline.linking import linker
from pipeline.linking import site as sites
from pipeline.linking.index import TrackletIndex
from pipeline.linking.learning import similarity
from pipeline.linking.learning.clocks import Offset
from pipeline.linking.learning.homographies import Homography
from pipeline.linking.learning.similarity import NOTHING_KNOWN, Calibration, SimilarityStats
from pipeline.linking.learning.travel_times import Transitions, TravelTimes
from pipeline.linking.site import Site
from tests.pipeline.linking.test_linker import BLUE, CAMERAS, RED, seen
from tests.pipeline.linking.test_similarity import site

LOOKS = SimilarityStats(0.9, 0.6, 0.05, 40, 300)
TRAVEL = TravelTimes({("a", "b"): Transitions((3.5, 4.25), 1), ("b", "a"): Transitions((), 7)})
CLOCKS = Offset(("a", "b"), 0.0, 0.2, 0.2, 9)
VIEW = Homography(
    ("a", "b"), np.array([[1.0, 0, 9], [0, 1, 0], [0, 0, 1]]), 0.2, 80, 9, 0.9, CLOCKS
)
KNOWN = Site(LOOKS, TRAVEL, (VIEW,))


@pytest.fixture
def saved(tmp_path: Path) -> str:
    path = tmp_path / "priors.json"
    path.write_text(sites.to_json(KNOWN, "abc"))
    return str(path)


def calibrate(index: TrackletIndex, *arguments: Any) -> Calibration:
    """Fit the curve to an index."""
    return similarity.calibrate(similarity.sample(index).samples, index.names, *arguments)


def test_what_is_saved_is_loaded(saved: str) -> None:
    loaded = sites.load(saved, "abc")
    assert (loaded.similarity, loaded.travel) == (LOOKS, TRAVEL)
    (view,) = loaded.homographies
    assert (view.cameras, view.matrix.tolist(), view.error_m) == (
        VIEW.cameras,
        VIEW.matrix.tolist(),
        VIEW.error_m,
    )


def test_looks_of_another_network_are_not_taken_over(saved: str) -> None:
    loaded = sites.load(saved, "another")
    assert (loaded.similarity, loaded.travel) == (NOTHING_KNOWN, TRAVEL)


def test_nothing_is_known_without_a_file() -> None:
    assert sites.load("", "abc") is sites.NONE


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot be read"),
        ("{", "is not a priors.json"),
        ("[]", "is not a priors.json"),
        ('{"schema": "run/1"}', "run/1"),
        ('{"schema": "priors/1"}', "is not a priors.json"),
    ],
)
def test_a_file_that_is_none_is_one_line_that_says_so(
    tmp_path: Path, text: str | None, says: str
) -> None:
    path = tmp_path / "priors.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=says) as error:
        sites.load(str(path), "abc")
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("value", "broken", "says"),
    [
        ("3.5", "-3.5", "must be numbers above 0"),
        ("3.5", "NaN", "NaN is no number"),
        ('"n_overlaps": 7', '"n_overlaps": -7', "n_overlaps must be a number from 0"),
        ('"spread": 0.05', '"spread": "wide"', "spread must be a number"),
        ('"n_same": 40', '"n_same": -40', "n_same must be a number from 0"),
        ("9.0", "[9.0]", "is not a priors.json"),
    ],
)
def test_values_that_cannot_be_are_refused(saved: str, value: str, broken: str, says: str) -> None:
    text = Path(saved).read_text()
    assert value in text
    Path(saved).write_text(text.replace(value, broken, 1))
    with pytest.raises(ConfigError, match=says):
        sites.load(saved, "abc")


def test_a_site_that_was_seen_before_is_judged_by_what_was_learned_there() -> None:
    config = LinkingConfig()
    new, again = (calibrate(site(1, 0.3, 0.0), config, before) for before in (NOTHING_KNOWN, LOOKS))
    assert new.curve.even.mean() < 0.6 < again.curve.even.mean()
    assert (again.n_same, again.n_different) == (new.n_same + 40, new.n_different + 300)


def test_what_is_seen_now_counts_more_than_what_was_seen_long_ago() -> None:
    old = SimilarityStats(0.9, 0.6, 0.05, 10**6, 10**6)
    now = calibrate(site(60, 0.3, 0.0), LinkingConfig(), old)
    assert now.curve.even.mean() < 0.5


def test_a_view_that_this_run_cannot_measure_stays_as_it_was_known_and_a_measured_one_is_new() -> (
    None
):
    other = Homography(("b", "c"), np.eye(3), 0.3, 50, 8, 0.8, CLOCKS)
    fresh = Homography(("b", "a"), np.eye(3), 0.1, 90, 12, 0.9, CLOCKS)
    assert sites.overlaps([VIEW, other], [fresh]) == [fresh, other]


def test_a_run_hands_on_what_it_was_given() -> None:
    linked = linker.link(
        [seen("a", 1, 0, 5, RED), seen("b", 1, 8, 12, BLUE)], CAMERAS, LinkingConfig(), before=KNOWN
    )
    assert linked.site.travel == TRAVEL
    assert [h.cameras for h in linked.site.homographies] == [VIEW.cameras]
    assert (linked.site.similarity.n_same, linked.site.similarity.n_different) == (40, 300)
