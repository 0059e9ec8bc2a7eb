"""Who is in view now, with the best crop of each: for the page, and for numbers on the pictures.

The online linker knows who is who, but holds no pixels; a result holds all people of a run, at its
end. Here is what a watcher needs of the present: bounded by the people that the linker remembers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from pipeline.linking.linker import Linked
from pipeline.live import jpeg, privacy
from pipeline.live.hub import PersonNow
from pipeline.live.privacy import Blur
from pipeline.online.identities import Known
from pipeline.online.linker import OnlineLinker
from pipeline.records import Key, Tracklet

IN_VIEW_S = 2.0
"""A person is in view of a camera until this long after being seen there last."""
SAME_STAY_S = 5.0
"""Times in one camera that are closer than this are one stay."""
FORGET_S = 60.0
"""Tracks that belong to nobody are forgotten after this long."""
MAX_STAYS = 50
"""Stays of a person that are told, the newest."""

_Track = tuple[str, int]
"""A camera, and a track in it."""


@dataclass(frozen=True, slots=True)
class PageCrop:
    """The best crop of a track so far, as it may be shown.

    Attributes:
        track: a camera, and a track in it.
        quality: 0..1.
        encoded: JPEG; b"" where nothing may be shown.
    """

    track: tuple[str, int]
    quality: float
    encoded: bytes


class PageCrops:
    """Chooses the crops that the page shows. Those for the report are fewer: see `best_crops`."""

    def __init__(self, blur: Blur) -> None:
        """Begin; `blur` is what may not be shown of crops."""
        self._blur = blur
        self._in_view: dict[Key, float] = {}
        """Quality of what was chosen of each tracklet that has not closed."""

    def of_closed(self, tracklets: Iterable[Tracklet]) -> list[PageCrop]:
        """Return the best crops of tracklets that closed, where they are new."""
        chosen: list[PageCrop] = []
        for tracklet in tracklets:
            chosen += self._better(tracklet, self._in_view.pop(tracklet.key, -1.0))
        return chosen

    def of_open(self, tracklets: Iterable[Tracklet]) -> list[PageCrop]:
        """Return the best crops so far of all open tracklets, where they are new."""
        before = self._in_view
        self._in_view = {}
        chosen: list[PageCrop] = []
        for tracklet in tracklets:
            quality = before.get(tracklet.key, -1.0)
            better = self._better(tracklet, quality)
            self._in_view[tracklet.key] = better[0].quality if better else quality
            chosen += better
        return chosen

    def _better(self, tracklet: Tracklet, than: float) -> list[PageCrop]:
        """The best crop of a tracklet if its quality is higher than that of another."""
        if not len(tracklet.crops):
            return []
        best = int(tracklet.crop_quality.argmax())
        quality = float(tracklet.crop_quality[best])
        if quality <= than:
            return []
        shown = privacy.blurred_crop(tracklet.crops[best], self._blur)
        return [PageCrop((tracklet.camera, tracklet.track_id), quality, jpeg.of_image(shown))]


class Presence:
    """Who is in view, and what they look like.

    A step of linking may take seconds, so it tells who somebody is, and the frames tell where.
    """

    def __init__(self) -> None:
        self._people: list[PersonNow] = []
        """The people of the last update; where they are now is not in it."""
        self._seen_s: dict[_Track, float] = {}
        self._owners: dict[_Track, int] = {}
        self._crops: dict[_Track, PageCrop] = {}

    @property
    def n_crops(self) -> int:
        """Tracks whose crop is held."""
        return len(self._crops)

    def person_of(self, camera: str, track_id: int) -> int:
        """Return the person whose track this is now; -1 while it is not known."""
        return self._owners.get((camera, track_id), -1)

    def see(self, camera: str, track_ids: Iterable[int], time_s: float) -> None:
        """Note the tracks of a frame.

        Args:
            camera: name of its camera.
            track_ids: of the tracks that were seen in it.
            time_s: its time, seconds since 1970.
        """
        for track_id in track_ids:
            self._seen_s[camera, track_id] = time_s

    def people(self, now_s: float) -> list[PersonNow]:
        """Return the people who are remembered, and where they are now.

        Args:
            now_s: time of the latest frame, seconds since 1970.
        """
        seen: dict[int, dict[str, float]] = {}
        for track, time_s in self._seen_s.items():
            cameras = seen.setdefault(self._owners.get(track, -1), {})
            camera, _ = track
            cameras[camera] = max(time_s, cameras.get(camera, -np.inf))
        return [_at(person, seen.get(person.person_id, {}), now_s) for person in self._people]

    def take_crops(self, crops: Iterable[PageCrop]) -> None:
        """Keep the best crop of each track."""
        for crop in crops:
            known = self._crops.get(crop.track)
            if known is None or crop.quality > known.quality:
                self._crops[crop.track] = crop

    def update(self, online: OnlineLinker, now_s: float) -> None:
        """Take what the linker knows after a step.

        Args:
            online: the linker.
            now_s: time of the latest frame, seconds since 1970.
        """
        known = online.people
        owners: dict[_Track, int] = {}
        newest_s: dict[_Track, float] = {}
        for person_id, person in known.items():
            for tracklet in person.window.values():
                track = (tracklet.camera, tracklet.track_id)
                if tracklet.last_s >= newest_s.get(track, -np.inf):
                    newest_s[track] = tracklet.last_s
                    owners[track] = person_id
        self._owners = owners
        for track in self._crops.keys() - owners.keys():
            del self._crops[track]
        for track in self._seen_s.keys() - owners.keys():
            if self._seen_s[track] < now_s - FORGET_S:
                del self._seen_s[track]
        weakest = _weakest_links(known, online.latest)
        self._people = [
            self._person(person_id, person, weakest.get(person_id, 1.0))
            for person_id, person in sorted(known.items())
            if person.window
        ]

    def _person(self, person_id: int, person: Known, probability: float) -> PersonNow:
        stays = _stays(person)
        return PersonNow(
            person_id,
            (),
            stays[0][1],
            max(last_s for _, _, last_s in stays),
            tuple(stays[-MAX_STAYS:]),
            self._best_jpeg(person),
            probability,
        )

    def _best_jpeg(self, person: Known) -> bytes:
        """The best crop of a person's tracks as JPEG; b"" when there is none."""
        tracks = {(each.camera, each.track_id) for each in person.window.values()}
        with_crop = [track for track in sorted(tracks) if track in self._crops]
        if not with_crop:
            return b""
        best = max(with_crop, key=lambda track: self._crops[track].quality)
        return self._crops[best].encoded


def _at(person: PersonNow, seen_s: Mapping[str, float], now_s: float) -> PersonNow:
    """A person as of now.

    Args:
        person: as of the last step of linking.
        seen_s: when tracks of that person were seen last, by camera.
        now_s: time of the latest frame.
    """
    last_s = dict(seen_s)
    for camera, _, end_s in person.route:
        last_s[camera] = max(end_s, last_s.get(camera, -np.inf))
    in_view = [camera for camera in sorted(last_s) if last_s[camera] >= now_s - IN_VIEW_S]
    return replace(person, cameras=tuple(in_view), last_s=max(person.last_s, *last_s.values()))


def _stays(person: Known) -> list[tuple[str, float, float]]:
    """Camera, first and last time of each stay of a person, in order of the first time."""
    spans: dict[str, list[tuple[float, float]]] = {}
    for camera, past in person.past.items():
        spans[camera] = list(past)
    for tracklet in person.window.values():
        spans.setdefault(tracklet.camera, []).append((tracklet.first_s, tracklet.last_s))
    stays: list[tuple[str, float, float]] = []
    for camera, times in spans.items():
        stays += [(camera, *joined) for joined in _joined(sorted(times))]
    return sorted(stays, key=lambda stay: (stay[1], stay[0]))


def _joined(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Stretches of time in order, those joined that are less than `SAME_STAY_S` apart."""
    joined: list[tuple[float, float]] = []
    for start_s, end_s in spans:
        if joined and start_s - joined[-1][1] < SAME_STAY_S:
            first_s, last_s = joined.pop()
            joined.append((first_s, max(last_s, end_s)))
        else:
            joined.append((start_s, end_s))
    return joined


def _weakest_links(known: Mapping[int, Known], linked: Linked) -> dict[int, float]:
    """Probability of the weakest link within each person, by number."""
    owner = {}
    for person_id, person in known.items():
        for key in person.window:
            owner[key] = person_id
    weakest: dict[int, float] = {}
    for group in linked.people:
        for link in group.links:
            person_id = owner.get(link.first.key, -1)
            weakest[person_id] = min(link.probability, weakest.get(person_id, 1.0))
    return weakest
