"""How close answers of a human bring identities to those of links by truth.

A person who knows the truth answers the questions of the report, "are these two the same person?"
(`pipeline.report.questions`): the first `ROUND` ones, then everybody is linked again with all
corrections so far, as by `people-tracker apply`, and so on. The baseline asks the same questions in
random order. A question counts as asked when truth does not know a tracklet, and as answered by
whom each of the two tracklets shows most. Scenes are those of `real_scenes`, without homographies.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from benchmarks.linking import real_scenes, synthetic_scenes
from benchmarks.linking.real_scenes import NOT_KNOWN, Shown
from benchmarks.linking.synthetic_scenes import EmbeddedScene
from pipeline.config import LinkingConfig
from pipeline.evaluate import losses, scores
from pipeline.evaluate.boxes import Scene
from pipeline.linking import linker
from pipeline.linking.clustering.corrections import Corrections
from pipeline.linking.linker import Linked
from pipeline.outputs import links
from pipeline.report import questions
from pipeline.report.questions import Question, Seen

Order = Literal["by worth", "at random"]
ORDERS: tuple[Order, ...] = ("by worth", "at random")
ROUND = 5
N_ROUNDS = 8
SINGLE = ("mall", "plaza")
"""Scenes that have rows of their own."""
MOST = 1_000_000

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Curve:
    """What answers bring.

    Attributes:
        idf1: Global IDF1, 0..1, before the first round and after each.
        oracle: That of links by truth.
        n_asked: Questions asked in all; fewer than rounds allow where no more are worth asking.
    """

    idf1: list[float]
    oracle: float
    n_asked: int


def measure(scene: EmbeddedScene, order: Order, n_rounds: int = N_ROUNDS) -> Curve:
    """Answer the questions of a scene, round by round.

    Args:
        scene: The scene; homographies of its cameras are not used.
        order: In which order questions are asked.
        n_rounds: How many rounds there are.
    """
    person = _Knowing(order)
    linked, matched = _linked(scene, person)
    tracklets = scores.tracklet_numbers(matched)
    oracle_ids = scores.oracle_ids(tracklets, scores.followed_people(matched, tracklets))
    oracle = losses.attribute(matched, oracle_ids).shares()["IDF1"]
    curve = [losses.attribute(matched).shares()["IDF1"]]
    for _ in range(n_rounds):
        if person.answer(linked):
            linked, matched = _linked(scene, person)
            curve.append(losses.attribute(matched).shares()["IDF1"])
        else:
            curve.append(curve[-1])
    return Curve(curve, oracle, len(person.asked))


class _Knowing:
    """Somebody who knows the truth, and what they were asked and said."""

    def __init__(self, order: Order) -> None:
        self.asked: set[tuple[str, str]] = set()
        self.said = Corrections()
        self.shown: Mapping[str, Shown] = {}
        self._order = order
        self._chance = random.Random(0)

    def answer(self, linked: Linked) -> bool:
        """Answer the next round of questions; False when nothing new was said."""
        batch = self._questions(linked)[:ROUND]
        same = list(self.said.same)
        different = list(self.said.different)
        for question in batch:
            pair = [question.first, question.second]
            self.asked.add((question.first, question.second))
            whom = {self.shown.get(name, NOT_KNOWN).person for name in pair}
            if min(whom) >= 0:
                (same if len(whom) == 1 else different).append(pair)
        n_before = len(self.said.same) + len(self.said.different)
        self.said = Corrections(same=same, different=different)
        return len(same) + len(different) > n_before

    def _questions(self, linked: Linked) -> list[Question]:
        why = links.document(linked, LinkingConfig())
        seen = {}
        for person in linked.people:
            seen[person.person_id] = [
                Seen(tracklet.name, len(tracklet.frames), True) for tracklet in person.tracklets
            ]
        found = [
            question
            for question in questions.ranked(why, seen, MOST)
            if (question.first, question.second) not in self.asked
        ]
        if self._order == "at random":
            self._chance.shuffle(found)
        return found


def _linked(scene: EmbeddedScene, person: _Knowing) -> tuple[Linked, list[Scene]]:
    """Link with what a person said, and let them see the result; that, matched with truth."""
    cameras = real_scenes.without_homographies(scene)
    linked = linker.link(scene.embedded, cameras, LinkingConfig(), person.said)
    matched = synthetic_scenes.matched(scene, synthetic_scenes.filled(linked))
    person.shown = real_scenes.whom_tracklets_show(matched)
    return linked, matched


def run(scenes: Iterable[EmbeddedScene]) -> Row:
    """Measure all scenes and print the curves.

    Args:
        scenes: The scenes.

    Returns:
        Curves by group of scenes and order: `idf1`, `oracle`, and their ratio `share`, each a mean
        over scenes, and `asked`, questions that were asked of a scene.
    """
    curves: dict[str, dict[str, list[Curve]]] = defaultdict(lambda: defaultdict(list))
    for scene in scenes:
        for order in ORDERS:
            curve = measure(scene, order)
            for group in _groups(scene.name):
                curves[group][order].append(curve)
    print("\nglobal IDF1 after so many questions, and its share of that of links by truth")
    print(f"{'':<36}" + "".join(f"{ROUND * at:>7}" for at in range(N_ROUNDS + 1)) + f"{'asked':>8}")
    found: Row = {}
    for group, by_order in sorted(curves.items()):
        found[group] = {order: _mean(of_order) for order, of_order in by_order.items()}
        for order, row in found[group].items():
            title = f"{group} ({row['scenes']}), {order}"
            print(f"{title:<36}{_cells(row['idf1'])}{row['asked']:>8.0f}")
            print(f"{'':<36}{_cells(row['share'])}", flush=True)
    return found


def _groups(scene: str) -> list[str]:
    """The groups that a scene counts in."""
    half = f"half {real_scenes.half_of(scene)}"
    own = [scene] if scene in SINGLE else []
    return [half, f"{half}, {real_scenes.how_alike(scene)}", *own]


def _mean(curves: Sequence[Curve]) -> Row:
    idf1 = np.mean([curve.idf1 for curve in curves], axis=0)
    oracle = float(np.mean([curve.oracle for curve in curves]))
    return {
        "scenes": len(curves),
        "idf1": idf1.tolist(),
        "oracle": oracle,
        "share": (idf1 / oracle).tolist(),
        "asked": float(np.mean([curve.n_asked for curve in curves])),
    }


def _cells(shares: Sequence[float]) -> str:
    return "".join(f"{100 * share:>7.1f}" for share in shares)
