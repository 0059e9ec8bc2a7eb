"""Who is in view, as the page and the pictures tell it."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from models.reid.crop_size import HEIGHT_PX, WIDTH_PX
from pipeline.config import LinkingConfig
from pipeline.live.presence import PageCrops, Presence
from pipeline.live.privacy import Blur
from pipeline.online.linker import OnlineLinker, engine_of
from pipeline.records import Array, Embedded
from tests.pipeline.linking.test_linker import BLUE, CAMERAS, RED, seen


def with_crop(embedded: Embedded, value: int, quality: float) -> Embedded:
    """The tracklet with one crop of one grey value."""
    crop = np.full((1, HEIGHT_PX, WIDTH_PX, 3), value, np.uint8)
    tracklet = replace(
        embedded.tracklet,
        crops=crop,
        crop_quality=np.array([quality], np.float32),
        crop_times_s=embedded.tracklet.times_s[:1],
    )
    return replace(embedded, tracklet=tracklet)


def watched(*embedded: Embedded, now_s: float, blur: Blur = "off") -> Presence:
    """What is told of tracklets that have all closed, at a time."""
    online = OnlineLinker(engine_of(CAMERAS, LinkingConfig(min_person_s=0)), 600)
    presence = Presence()
    for each in embedded:
        presence.take_crops(PageCrops(blur).of_closed([each.tracklet]))
        online.add(replace(each, tracklet=each.tracklet.without_crops()), provisional=False)
    online.step(now_s)
    presence.update(online, now_s)
    return presence


def grey(jpeg: bytes) -> Array:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    return image


def test_a_person_is_told_with_the_way_through_the_cameras_and_where_it_is_now() -> None:
    presence = watched(
        seen("a", 1, 0, 5, RED), seen("b", 7, 8, 12, RED), seen("b", 8, 2, 4, BLUE), now_s=13
    )
    first, second = presence.people(13)
    assert [stay[0] for stay in first.route] == ["a", "b"]
    assert first.cameras == ("b",)
    assert (first.first_s, first.last_s) == (0, 12)
    assert 0.5 < first.probability < 1
    assert second.cameras == () and second.probability == 1
    assert presence.person_of("b", 7) == first.person_id
    assert presence.person_of("b", 8) == second.person_id
    assert presence.person_of("b", 9) == -1


def test_pieces_of_one_stay_are_told_as_one() -> None:
    presence = watched(seen("a", 1, 0, 5, RED), seen("a", 2, 6, 9, RED), now_s=10)
    assert [person.route for person in presence.people(10)] == [(("a", 0.0, 9.0),)]


def test_the_best_crop_of_a_person_is_shown() -> None:
    presence = watched(
        with_crop(seen("a", 1, 0, 5, RED), 40, 0.3),
        with_crop(seen("b", 7, 8, 12, RED), 200, 0.9),
        now_s=13,
    )
    (person,) = presence.people(6)
    assert abs(float(grey(person.crop_jpeg).mean()) - 200) < 3


def test_crops_of_people_who_are_forgotten_are_let_go() -> None:
    online = OnlineLinker(engine_of(CAMERAS, LinkingConfig(min_person_s=0)), 10)
    presence = Presence()
    gone = with_crop(seen("a", 1, 0, 5, RED), 40, 0.3)
    presence.take_crops(PageCrops("off").of_closed([gone.tracklet]))
    online.add(gone, provisional=False)
    online.step(6)
    presence.update(online, 6)
    assert presence.people(6)[0].crop_jpeg
    online.step(60)
    presence.update(online, 60)
    assert presence.people(60) == []
    assert presence.n_crops == 0


@pytest.mark.parametrize(("blur", "is_shown"), [("faces", True), ("bodies", False)])
def test_crops_are_shown_only_as_far_as_privacy_allows(blur: Blur, is_shown: bool) -> None:
    noisy = with_crop(seen("a", 1, 0, 5, RED), 0, 0.5)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, noisy.tracklet.crops.shape, np.uint8)
    presence = watched(
        replace(noisy, tracklet=replace(noisy.tracklet, crops=noise)), now_s=6, blur=blur
    )
    (person,) = presence.people(6)
    assert bool(person.crop_jpeg) is is_shown
    if is_shown:
        shown = grey(person.crop_jpeg)
        head = shown[: len(shown) // 5].astype(float)
        body = shown[len(shown) // 2 :].astype(float)
        assert np.abs(np.diff(head, axis=1)).mean() < 0.2 * np.abs(np.diff(body, axis=1)).mean()


def test_who_is_still_seen_is_in_view_however_long_the_last_step_of_linking_took() -> None:
    presence = watched(seen("a", 1, 0, 5, RED), now_s=5)
    (person,) = presence.people(30)
    assert person.cameras == () and person.last_s == 5
    presence.see("a", [1], 29.5)
    (person,) = presence.people(30)
    assert person.cameras == ("a",) and person.last_s == 29.5
