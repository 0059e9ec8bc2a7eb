"""Which questions are asked, and in what order."""

import random
from typing import Any

import pytest

from pipeline.linking.reasons import CORRECTED, SAME_TIME
from pipeline.report import questions
from pipeline.report.questions import Seen

Json = dict[str, Any]


def link(
    first: str,
    second: str,
    probability: float,
    people: tuple[int, int] = (1, 1),
    rule: str = "",
    gap_s: float = -3.0,
) -> Json:
    return {
        "people": list(people),
        "first": {"name": first},
        "second": {"name": second},
        "probability": probability,
        "rule": rule,
        "gap_s": gap_s,
    }


def why(links: list[Json], missed: list[Json]) -> Json:
    return {"links": links, "near_misses": missed}


def seen(*rows: tuple[str, int]) -> list[Seen]:
    return [Seen(name, n_rows, True) for name, n_rows in rows]


def test_a_weak_link_of_many_rows_is_asked_before_a_weaker_one_of_few() -> None:
    people = {1: seen(("a", 100), ("b", 90), ("c", 4))}
    links = [link("b", "c", 0.5), link("a", "b", 0.8)]
    first, second = questions.ranked(why(links, []), people)
    assert (first.first, first.second, first.probability) == ("a", "b", 0.8)
    assert first.worth == pytest.approx(0.2 * 94)
    assert second.worth == pytest.approx(0.5 * 4)


def test_what_was_nearly_linked_is_worth_the_rows_of_the_smaller_person() -> None:
    people = {1: seen(("a", 100), ("b", 50)), 2: seen(("c", 60))}
    missed = [link("b", "c", 0.4, (1, 2))]
    (found,) = questions.ranked(why([link("a", "b", 0.999)], missed), people)
    assert (found.first, found.second, found.people) == ("a", "c", (1, 2))
    assert found.worth == pytest.approx(0.4 * 60)


def test_people_whom_a_rule_keeps_apart_are_asked_about_late() -> None:
    people = {1: seen(("a", 1000)), 2: seen(("b", 1000)), 3: seen(("c", 1000))}
    missed = [link("a", "b", 0.99, (1, 2), SAME_TIME), link("a", "c", 0.1, (1, 3))]
    found = questions.ranked(why([], missed), people)
    assert [each.second for each in found] == ["c", "b"]
    assert found[1].worth == pytest.approx(1000 * questions.MAX_FORBIDDEN)
    assert found[1].probability == 0.99


def test_people_who_are_together_for_a_moment_are_asked_about_before_those_of_longer() -> None:
    people = {number: seen((name, 100)) for number, name in enumerate("abcd", 1)}
    missed = [
        link("a", "b", 0.99, (1, 2), SAME_TIME, -0.6),
        link("a", "c", 0.99, (1, 3), SAME_TIME, -0.5),
        link("a", "d", 0.05, (1, 4), SAME_TIME, -0.1),
    ]
    found = questions.ranked(why([], missed), people)
    assert [each.second for each in found] == ["c", "d", "b"]
    most = questions.MAX_SHORT_OVERLAP
    worth = [100 * most, 100 * 0.05, 100 * questions.MAX_FORBIDDEN]
    assert [each.worth for each in found] == pytest.approx(worth)


def test_what_a_human_said_is_not_asked_again() -> None:
    people = {1: seen(("a", 900), ("b", 900)), 2: seen(("c", 900))}
    links = [link("a", "b", 1.0, rule=CORRECTED)]
    assert questions.ranked(why(links, [link("a", "c", 0.9, (1, 2), CORRECTED)]), people) == []


def test_a_question_that_would_move_less_than_a_row_is_not_asked() -> None:
    people = {1: seen(("a", 9), ("b", 9))}
    assert questions.ranked(why([link("a", "b", 0.95)], []), people) == []


def test_the_longest_tracklet_with_a_picture_stands_for_its_side() -> None:
    people = {
        1: [Seen("a", 50, True), Seen("b", 90, False), Seen("c", 70, True), Seen("d", 8, False)]
    }
    links = [link("a", "b", 0.99), link("b", "c", 0.99), link("c", "d", 0.5)]
    found = questions.ranked(why(links, []), people)[0]
    assert (found.first, found.second) == ("c", "d")


def test_the_same_questions_come_in_the_same_order_whatever_the_order_of_links() -> None:
    people = {1: seen(*((name, 100) for name in "abcdef"))}
    links = [link("a", name, 0.9) for name in "bcdef"]
    found = questions.ranked(why(links, []), people)
    assert len(found) == 5
    assert questions.ranked(why(links[::-1], []), people) == found


@pytest.mark.parametrize("seed", range(20))
def test_an_answer_moves_the_rows_of_the_smaller_side_of_any_tree(seed: int) -> None:
    chance = random.Random(seed)
    n = chance.randrange(2, 30)
    tracklets = seen(*((f"cam/{number}@0", chance.randrange(1, 200)) for number in range(n)))
    n_rows = {each.name: each.n_rows for each in tracklets}
    links = []
    for number in range(1, n):
        ends = [f"cam/{number}@0", f"cam/{chance.randrange(number)}@0"]
        chance.shuffle(ends)
        links.append(link(*ends, chance.random()))
    chance.shuffle(links)
    found = questions.ranked(why(links, []), {1: tracklets}, n)
    for question in found:
        cut = question.link
        reached = {cut["first"]["name"]}
        for _ in range(n):
            for other in links:
                ends = {other["first"]["name"], other["second"]["name"]}
                if other is not cut and ends & reached:
                    reached |= ends
        here = sum(n_rows[name] for name in reached)
        smaller = min(here, sum(n_rows.values()) - here)
        assert question.worth == pytest.approx(smaller * (1 - cut["probability"]))
        assert (question.first in reached) is True
        assert (question.second in reached) is False
    said = [smaller.worth for smaller in found]
    assert said == sorted(said, reverse=True)
