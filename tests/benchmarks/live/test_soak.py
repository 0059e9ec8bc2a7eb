"""A short soak: the program follows a drawn day, and what it showed is compared with the truth."""

import pytest

pytest.importorskip("fastapi", reason="the page needs fastapi")
pytest.importorskip("uvicorn", reason="the page needs uvicorn")

from benchmarks.live import soak
from benchmarks.live.day import NAMES, SITTER, Day

pytestmark = pytest.mark.timeout(1200)
BEGINS = 11.94
HOURS = 0.15
EVERY_SECOND = {"linking": {"max_delay_s": 2.0}}


@pytest.fixture(scope="module")
def done() -> soak.Soak:
    """Nine minutes before and at noon, in which each camera fails once."""
    return soak.soak(HOURS, BEGINS, EVERY_SECOND)


@pytest.mark.slow
def test_who_stays_all_day_keeps_one_id_through_occlusions_and_an_outage(done: soak.Soak) -> None:
    assert list(done.ids.sitter_s) == [1]
    assert done.ids.sitter_s[1] > 0.8 * HOURS * 3600


@pytest.mark.slow
def test_each_visit_of_visitors_has_one_id(done: soak.Soak) -> None:
    assert done.ids.n_seen > 5
    assert done.ids.n_ids == done.ids.n_seen
    assert done.ids.n_split == 0
    assert done.ids.n_merged == 0


@pytest.mark.slow
def test_files_and_threads_do_not_become_more(done: soak.Soak) -> None:
    half = len(done.samples) // 2
    early = done.samples[half // 2 : half]
    late = done.samples[half:]
    assert max(s.n_threads for s in late) <= max(s.n_threads for s in early) + 2  # of the page
    assert max(s.n_files for s in late) <= max(s.n_files for s in early) + 4  # connections


@pytest.mark.slow
def test_the_page_answers_all_the_time(done: soak.Soak) -> None:
    assert done.n_asked > 0
    assert done.n_failed == 0


def test_the_day_is_the_same_each_time_and_has_a_crowd_at_noon() -> None:
    day = Day(24.0, 600.0)
    again = Day(24.0, 600.0)
    assert day.stays == again.stays
    n_visitors = {
        hour: sum(int(stay.start_s // 3600) == hour for stay in day.stays[NAMES[0]])
        for hour in (3, 10, 12)
    }
    assert n_visitors[3] < n_visitors[10] < n_visitors[12]
    assert SITTER in {stay.person for stay in day.in_view(NAMES[0], 23 * 3600.0)}
