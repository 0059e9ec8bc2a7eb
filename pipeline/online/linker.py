"""Link while people are still in view: the same engine as offline, for a window of time.

Each step links the window anew. The groups that it finds take the ids of the people with whom they
share rows (`identities`). Changes are reported as events (`events`), and a wrong decision is
revised as soon as the engine knows better. A tracklet has settled `SETTLED_S` after it closed:
settled tracklets of one person stay together, though people may still merge. So old decisions do
not alternate, and settled tracklets can leave the window.

The window is bounded. It holds all tracklets that have not settled, and of people seen in the last
`forget_after_s` the `N_KEPT` clearest settled tracklets and the `N_NEWEST` last ones, from which
travel times count. Of the other tracklets the times are remembered, which keep a person from being
in one camera twice at a time, and what they taught of the site (`lessons`). So somebody who comes
back after `forget_after_s` is a new person, and a step costs the same after a day as after an hour.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.config import LinkingConfig
from pipeline.linking import linker
from pipeline.linking import site as sites
from pipeline.linking.clustering import corrections
from pipeline.linking.clustering.corrections import Corrections
from pipeline.linking.learning import lessons
from pipeline.linking.learning.lessons import Lessons, Taught
from pipeline.linking.linker import Linked
from pipeline.linking.reasons import CORRECTED, DECIDED, SAME_TIME
from pipeline.linking.site import Site
from pipeline.online.events import Event, Reasons
from pipeline.online.history import History
from pipeline.online.identities import Identified, Identities, Known
from pipeline.records import Camera, Embedded, Key, Link, Tracklet

Names = list[str]
Engine = Callable[[Sequence[Embedded], Sequence[Names], Sequence[Names], Lessons], Linked]
"""`linker.link` of a site: tracklets, groups of names that are certainly one person, groups of
names that are all different people, and what settled tracklets taught -> people.

Every row that it is given is in one tracklet of one person, but it may cut tracklets.
"""

SETTLED_S = 20.0
"""Seconds after closing when a tracklet has settled."""
N_KEPT = 32
N_NEWEST = 8
"""Settled tracklets of a person in the window: the clearest, and besides them the last."""


def engine_of(
    cameras: Mapping[str, Camera],
    config: LinkingConfig,
    corrected: Corrections = corrections.NONE,
    before: Site = sites.NONE,
) -> Engine:
    """Return `linker.link` of a site, to be called for each window.

    Args:
        cameras: Cameras by name.
        config: Settings of linking.
        corrected: What a human knows of the tracklets.
        before: What earlier runs learned of the site.
    """
    everybody = config.model_copy(update={"min_person_s": 0.0})

    def engine(
        embedded: Sequence[Embedded],
        sure: Sequence[Names],
        apart: Sequence[Names],
        settled: Lessons,
    ) -> Linked:
        constraints = {
            "same": [*corrected.same, *sure],
            "different": [*corrected.different, *apart],
        }
        told = corrected.model_copy(update=constraints)
        return linker.link(embedded, cameras, everybody, told, before, settled)

    return engine


@dataclass(frozen=True, slots=True)
class LinkerState:
    """All that the next steps of an `OnlineLinker` depend on; see there."""

    window: dict[Key, Embedded]
    open: set[Key]
    closing: set[Key]
    settled: set[Key]
    people: dict[int, Known]
    last_id: int
    lessons: Lessons
    taught: Taught
    even: dict[str, float]


class OnlineLinker:
    """Takes tracklets as they come, and assigns them to people, who are remembered for
    `forget_after_s`.

    The same input gives the same events, and the order in which tracklets are added between two
    steps changes nothing.

    Args:
        engine: what links the window.
        forget_after_s: how long people are remembered, seconds.
        keep_history: whether `linked` has everybody, for which memory grows during the run, or only
            the people who are remembered.
    """

    def __init__(self, engine: Engine, forget_after_s: float, keep_history: bool = True) -> None:
        self._engine, self._forget_after_s = engine, forget_after_s
        self._settled_s = min(SETTLED_S, forget_after_s)
        self._window: dict[Key, Embedded] = {}
        self._open: set[Key] = set()
        self._closing: set[Key] = set()
        self._settled: set[Key] = set()
        self._identities = Identities()
        self._history = History(keep_history)
        self._lessons = lessons.NOTHING
        self._linked = engine([], [], [], self._lessons)
        self._even: dict[str, float] = {}

    def add(self, embedded: Embedded, provisional: bool) -> None:
        """Take a tracklet that has closed or, `provisional`, what there is so far of one that is
        open.

        A later version replaces it. What is open is remembered until it closes.
        """
        key = embedded.tracklet.key
        self._window[key] = embedded
        self._open.add(key)
        if not provisional:
            self._closing.add(key)

    def step(self, now_s: float) -> list[Event]:
        """Link the window anew, and revise earlier decisions.

        Args:
            now_s: time of the latest frame, seconds.

        Returns:
            What has changed.
        """
        said = self._forget(now_s)
        people = self._identities.people
        settled = [
            [t.name for key, t in known.window.items() if key in self._settled]
            for known in people.values()
        ]
        sure = [names for names in settled if len(names) > 1]
        self._linked = linked = self._link(sure, self._apart())
        found = self._identities.identify(linked.people)
        for gone, into, _ in found.merged:
            self._history.merge(gone, into)
        said += _tell(now_s, linked, found, people)
        for person_id in self._identities.commit(found.ids, linked.people):
            del people[person_id]
            said.append(
                Event(
                    now_s,
                    "forgotten",
                    person_id,
                    -1,
                    "",
                    "what was lately seen of it is somebody else",
                )
            )
        self._close()
        return said

    def linked(self) -> Linked:
        """Return everybody as of the last step, numbered as in the events; who merged into another
        is not there.
        """
        calibration = self._linked.calibration
        linked = self._history.with_present(self._identities.people, self._linked)
        cameras = {t.camera for person in linked.people for t in person.tracklets}
        even = np.array([self._even[camera] for camera in sorted(cameras)])
        return replace(
            linked, calibration=replace(calibration, curve=replace(calibration.curve, even=even))
        )

    @property
    def people(self) -> Mapping[int, Known]:
        """The people who are remembered, by number."""
        return self._identities.people

    @property
    def latest(self) -> Linked:
        """The last step of linking, in which people are numbered anew."""
        return self._linked

    def state(self) -> LinkerState:
        """Return what the next steps depend on. It is shared with this linker: write it down before
        the next call.
        """
        return LinkerState(
            window=self._window,
            open=self._open,
            closing=self._closing,
            settled=self._settled,
            people=self._identities.people,
            last_id=self._identities.last_id,
            lessons=self._lessons,
            taught=self._linked.taught,
            even=self._even,
        )

    def restore(self, state: LinkerState) -> None:
        """Go on from the state of another linker, which is taken over.

        The next steps say what those of the other linker would have said.
        """
        self._window = state.window
        self._open = state.open
        self._closing = state.closing
        self._settled = state.settled
        self._identities.people = state.people
        self._identities.last_id = state.last_id
        self._lessons = state.lessons
        self._linked = replace(self._linked, taught=state.taught)
        self._even = state.even

    def _apart(self) -> list[Names]:
        """Pairs of tracklets that are two people, which the window alone does not show: somebody
        is in a camera while a person was there whose tracklets of that time have left the window.

        Without them a group could hold both, and whoever has been in view for hours could not be
        the person of that group (`Identities`), but would be somebody else from then on.
        """
        found = []
        for known in self._identities.people.values():
            settled = [key for key in known.window if key in self._settled]
            if not known.past or not settled:
                continue
            own = known.window[settled[0]].name
            for key, embedded in self._window.items():
                if key not in known.window and not known.allows([embedded.tracklet]):
                    found.append([own, embedded.tracklet.name])
        return found

    def _link(self, settled: list[Names], apart: list[Names]) -> Linked:
        linked = self._engine(list(self._window.values()), settled, apart, self._lessons)
        cameras = sorted({camera for _, camera, _ in self._window})
        self._even |= dict(zip(cameras, linked.calibration.curve.even.tolist(), strict=True))
        group = {name: g for g, names in enumerate(settled) for name in names}

        def decided(link: Link) -> bool:
            return group.get(link.first.name, -1) == group.get(link.second.name, -2)

        renamed = [
            replace(p, links=tuple(replace(k, rule=DECIDED) if decided(k) else k for k in p.links))
            for p in linked.people
        ]
        if not apart:
            return replace(linked, people=renamed)
        missed = [
            replace(link, rule=SAME_TIME) if link.rule == CORRECTED else link
            for link in linked.near_misses
        ]
        return replace(linked, people=renamed, near_misses=missed)

    def _forget(self, now_s: float) -> list[Event]:
        """Make history of who was not seen for long, and of what has settled and is not among the
        clearest of the others.
        """
        said: list[Event] = []
        leaving: list[tuple[int, list[Tracklet]]] = []
        for person_id, known in list(self._identities.people.items()):
            closed = [
                t
                for key, t in known.window.items()
                if key in self._window and key not in self._open
            ]
            last_s = known.last_s
            if len(closed) == len(known.window) and last_s < now_s - self._forget_after_s:
                self._settle(closed)
                leaving.append((person_id, closed))
                del self._identities.people[person_id]
                said.append(
                    Event(now_s, "forgotten", person_id, -1, "", f"last seen at {last_s:.1f} s")
                )
                continue
            old = [t for t in closed if t.last_s < now_s - self._settled_s]
            self._settle(old)
            surplus = self._surplus(old)
            leaving.append((person_id, surplus))
            known.settle(surplus)
        self._lessons = self._linked.taught.lessons(frozenset(self._settled))
        for person_id, tracklets in leaving:
            self._archive(person_id, tracklets)
        return said

    def _surplus(self, settled: list[Tracklet]) -> list[Tracklet]:
        """Those that are neither among the last nor, of the others, among the clearest."""
        by_end = sorted(settled, key=lambda t: (-t.last_s, t.key))
        earlier = by_end[N_NEWEST:]
        earlier.sort(key=lambda t: (-float(self._window[t.key].crop_quality.sum()), t.key))
        return earlier[N_KEPT:]

    def _settle(self, tracklets: list[Tracklet]) -> None:
        self._history.add_reasons(
            self._linked, [t for t in tracklets if t.key not in self._settled]
        )
        self._settled |= {t.key for t in tracklets}

    def _archive(self, person_id: int, tracklets: list[Tracklet]) -> None:
        if tracklets:
            self._history.add(person_id, tracklets)
        for tracklet in tracklets:
            del self._window[tracklet.key]
            self._settled.discard(tracklet.key)

    def _close(self) -> None:
        """What has closed may become history now, and where the engine cut it, it stays cut; what
        is open comes whole again.
        """
        self._open -= self._closing
        self._closing = set()
        wholes = dict(self._window)
        for tracklet in (t for person in self._linked.people for t in person.tracklets):
            if tracklet.key in wholes and len(tracklet.frames) == len(
                wholes[tracklet.key].tracklet.frames
            ):
                continue
            whole = max(k for k in wholes if k[1:] == tracklet.key[1:] and k[0] <= tracklet.first_s)
            if whole not in self._open:
                is_inside = np.isin(wholes[whole].tracklet.frames, tracklet.frames)
                piece = wholes[whole].rows(is_inside)
                self._window[tracklet.key] = replace(piece, tracklet=tracklet)


def _tell(
    now_s: float, linked: Linked, found: Identified, people: Mapping[int, Known]
) -> list[Event]:
    """Say who merged, and of each tracklet that is new or was another's whose it is. people: as
    known before this step.
    """
    reasons = Reasons(linked, found.before)
    said = []
    for gone, into, number in found.merged:
        why = reasons.merged(gone, linked.people[number])
        said.append(Event(now_s, "merged", into, gone, "", why.words, why.probability))
    said += _rejoined(now_s, linked, found, people)
    heirs = {gone: into for gone, into, _ in found.merged}
    named = {key for known in people.values() for key in known.window}
    announced = set(people)
    for person_id, group in zip(found.ids, linked.people, strict=True):
        for tracklet in group.tracklets:
            before = found.before.get(tracklet.key, -1)
            before = heirs.get(before, before)
            name = tracklet.name
            if before not in (-1, person_id):
                is_known = person_id in people
                why = reasons.joined(tracklet) if is_known else reasons.parted(tracklet, before)
                event = Event(now_s, "split", person_id, before, name, why.words, why.probability)
                said.append(event)
            elif person_id not in announced:
                why = reasons.alone(tracklet)
                said.append(Event(now_s, "appeared", person_id, -1, name, why.words))
            elif tracklet.key not in named:
                why = reasons.joined(tracklet)
                event = Event(now_s, "seen", person_id, -1, name, why.words, why.probability)
                said.append(event)
            announced.add(person_id)
    return said


def _rejoined(
    now_s: float, linked: Linked, found: Identified, people: Mapping[int, Known]
) -> list[Event]:
    """Say of each piece of a track that is no longer cut off whose its rows are now. people: as
    known before this step.
    """
    pieces: dict[tuple[str, int], list[tuple[Key, int]]] = {}
    for person_id, group in zip(found.ids, linked.people, strict=True):
        for tracklet in group.tracklets:
            track = (tracklet.camera, tracklet.track_id)
            pieces.setdefault(track, []).append((tracklet.key, person_id))
    said = []
    for before, known in people.items():
        for key, tracklet in known.window.items():
            of_track = pieces[tracklet.camera, tracklet.track_id]
            latest, person_id = max(piece for piece in of_track if piece[0] <= key)
            if latest != key:
                why = "its track is no longer cut here"
                said.append(Event(now_s, "rejoined", person_id, before, tracklet.name, why))
    return said
