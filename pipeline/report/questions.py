"""Questions to a human, "are these two the same person?", whose answers would change most first.

A link may be wrong, and people who were nearly linked may be one. An answer that contradicts what
stands moves the rows of the smaller side to somebody else. Their number, times the probability that
what stands is wrong, is what a question is worth.

The question shows one tracklet of each side, since a correction names tracklets. It is the longest
one with a crop. On half of the real and rendered scenes that gains more than the two tracklets with
the most evidence: an answer about them leaves more of both sides undecided.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any, NamedTuple

from pipeline.linking.reasons import CORRECTED, SAME_TIME

Json = dict[str, Any]

MAX_QUESTIONS = 300
"""Questions in a report; later ones change little."""
MIN_WORTH = 1.0
"""A question that is expected to move fewer rows is not asked."""
MAX_FORBIDDEN = 0.015
"""Probability of two people whom a rule keeps apart, at most. Of 75 pairs that only a rule kept
apart 3 were one person, with 1.5 % of the rows (half of the real and rendered scenes).
"""
SHORT_OVERLAP_S = 0.5
MAX_SHORT_OVERLAP = 0.15
"""Probability of two people whom one camera shows together for at most `SHORT_OVERLAP_S`, at most:
they may be pieces of one. On half of the real and rendered scenes 3 of 21 such pairs of tracklets
were one person, and none of 51 that overlapped for longer; of the longest tracklets of both people,
which the question shows, 4 of 21 and 5 of 51. In the 9 scenes with such pairs, 20 answers gain 7.0
points of IDF1 instead of 6.4; with 0.5 they gain 8.0, but 10 answers only 4.4 instead of 6.3.
"""


class Seen(NamedTuple):
    """A tracklet: its name, how many rows it has, and whether there is a picture of it."""

    name: str
    n_rows: int
    has_crop: bool


@dataclass(frozen=True, slots=True)
class Question:
    """Two tracklets that may be one person.

    Attributes:
        people: ids of their people; the same for a link.
        first: name of one tracklet.
        second: name of the other.
        probability: how likely the run said that they are one person, 0..1.
        worth: rows that the answer is expected to move to another person.
        link: the entry of links.json that is in doubt.
    """

    people: tuple[int, int]
    first: str
    second: str
    probability: float
    worth: float
    link: Json


def ranked(
    why: Json, people: Mapping[int, Sequence[Seen]], most: int = MAX_QUESTIONS
) -> list[Question]:
    """Return the questions of a run, those that are worth most first.

    Args:
        why: the document of links.json.
        people: tracklets of each person, by id.
        most: how many questions are wanted at most.
    """
    doubts = [*_of_links(why["links"], people), *_of_near_misses(why["near_misses"], people)]
    worth_asking = [doubt for doubt in doubts if doubt.worth >= MIN_WORTH]
    best = nsmallest(most, worth_asking, key=_order)
    trees = _Trees(why["links"], people)
    return [trees.question(doubt) for doubt in best]


class _Doubt(NamedTuple):
    """A link or a near miss, and what an answer is worth."""

    link: Json
    worth: float


def _order(doubt: _Doubt) -> tuple[float, str, str]:
    return -doubt.worth, doubt.link["first"]["name"], doubt.link["second"]["name"]


def _of_links(links: Iterable[Json], people: Mapping[int, Sequence[Seen]]) -> list[_Doubt]:
    """Doubts about links that evidence made."""
    of_person: dict[int, list[Json]] = defaultdict(list)
    for link in links:
        of_person[link["people"][0]].append(link)
    found = []
    for person_id, tree in of_person.items():
        sides = _smaller_sides(tree, people[person_id])
        for link, n_rows in zip(tree, sides, strict=True):
            if not link["rule"]:
                found.append(_Doubt(link, n_rows * (1 - link["probability"])))
    return found


def _of_near_misses(missed: Iterable[Json], people: Mapping[int, Sequence[Seen]]) -> list[_Doubt]:
    """Doubts about people who are kept apart, but not by a human."""
    n_rows = {person_id: sum(each.n_rows for each in seen) for person_id, seen in people.items()}
    found = []
    for link in missed:
        if link["rule"] == CORRECTED:
            continue
        probability = link["probability"]
        if link["rule"]:
            is_short = link["rule"] == SAME_TIME and -link["gap_s"] <= SHORT_OVERLAP_S
            probability = min(probability, MAX_SHORT_OVERLAP if is_short else MAX_FORBIDDEN)
        first, second = link["people"]
        found.append(_Doubt(link, min(n_rows[first], n_rows[second]) * probability))
    return found


def _smaller_sides(tree: Sequence[Json], seen: Sequence[Seen]) -> list[int]:
    """Rows of the smaller side of each link of a person, whose links form a tree."""
    neighbours = _neighbours(tree)
    root = tree[0]["first"]["name"]
    parent = {root: ""}
    order = [root]
    for name in order:
        for other in neighbours[name]:
            if other not in parent:
                parent[other] = name
                order.append(other)
    below = {each.name: each.n_rows for each in seen}
    for name in reversed(order[1:]):
        below[parent[name]] += below[name]
    sides = []
    for link in tree:
        first, second = link["first"]["name"], link["second"]["name"]
        child = first if parent[first] == second else second
        sides.append(min(below[child], below[root] - below[child]))
    return sides


def _neighbours(tree: Iterable[Json]) -> dict[str, list[str]]:
    neighbours: dict[str, list[str]] = defaultdict(list)
    for link in tree:
        first, second = link["first"]["name"], link["second"]["name"]
        neighbours[first].append(second)
        neighbours[second].append(first)
    return neighbours


class _Trees:
    """Finds the tracklets on either side of a doubt."""

    def __init__(self, links: Sequence[Json], people: Mapping[int, Sequence[Seen]]) -> None:
        self._neighbours = _neighbours(links)
        self._people = people

    def question(self, doubt: _Doubt) -> Question:
        """Return the question of a doubt."""
        first_id, second_id = doubt.link["people"]
        first = self._people[first_id]
        second = self._people[second_id]
        if first_id == second_id:
            side = self._side(doubt.link["first"]["name"], doubt.link["second"]["name"])
            first = [each for each in first if each.name in side]
            second = [each for each in second if each.name not in side]
        return Question(
            people=(first_id, second_id),
            first=_shown(first),
            second=_shown(second),
            probability=doubt.link["probability"],
            worth=doubt.worth,
            link=doubt.link,
        )

    def _side(self, name: str, cut: str) -> set[str]:
        """Tracklets that are linked with one, but for its link with another."""
        reached = {name, cut}
        waiting = [name]
        while waiting:
            for other in self._neighbours[waiting.pop()]:
                if other not in reached:
                    reached.add(other)
                    waiting.append(other)
        return reached - {cut}


def _shown(side: Sequence[Seen]) -> str:
    """The tracklet that stands for a side."""
    return max(side, key=lambda each: (each.has_crop, each.n_rows)).name
