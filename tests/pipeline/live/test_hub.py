"""The hub holds the present, and nobody who watches can make it wait or grow."""

import threading
import time

from pipeline.live.hub import EVENTS_KEPT, TAKEN_AT_ONCE, Hub, PersonNow, Subscription
from pipeline.sources.live.health import Health


def event(number: int) -> dict[str, object]:
    return {"time_s": float(number), "kind": "seen", "person_id": number}


def numbers(said: list) -> list[int]:
    return [each.event["person_id"] for each in said]


def take_all(subscription: Subscription) -> list[int]:
    taken = []
    while said := subscription.take():
        assert len(said) <= TAKEN_AT_ONCE
        taken += numbers(said)
    return taken


def test_a_subscription_gets_the_events_since_it_began() -> None:
    hub = Hub()
    hub.say([event(0)])
    subscription = hub.subscribe("page")
    hub.say([event(1), event(2)])
    assert numbers(subscription.take()) == [1, 2]
    assert subscription.take() == []


def test_a_subscription_can_begin_after_an_event_that_is_known() -> None:
    hub = Hub()
    hub.say([event(number) for number in range(5)])
    assert numbers(hub.subscribe("page", after=2).take()) == [3, 4]
    assert numbers(hub.subscribe("page", after=-1).take()) == [0, 1, 2, 3, 4]
    assert hub.subscribe("page", after=99).take() == []


def test_one_that_is_slow_misses_the_oldest_events_and_they_are_counted() -> None:
    hub = Hub()
    slow = hub.subscribe("webhook")
    hub.say([event(number) for number in range(EVENTS_KEPT + 7)])
    taken = take_all(slow)
    assert taken == list(range(7, EVENTS_KEPT + 7))
    slow.confirm(len(taken))
    counts = hub.delivered()["webhook"]
    assert (counts.n_sent, counts.n_dropped) == (EVENTS_KEPT, 7)


def test_taking_waits_for_an_event_and_no_longer_than_it_may() -> None:
    hub = Hub()
    subscription = hub.subscribe("webhook")
    begun_s = time.monotonic()
    assert subscription.take(timeout_s=0.05) == []
    assert time.monotonic() - begun_s >= 0.05
    threading.Timer(0.05, lambda: hub.say([event(3)])).start()
    assert numbers(subscription.take(timeout_s=60.0)) == [3]


def test_the_newest_picture_of_a_camera_replaces_the_one_before() -> None:
    hub = Hub()
    hub.publish([Health("door")], [])
    assert hub.picture("door") is None
    hub.publish_picture("door", b"1", 10.0)
    hub.publish_picture("door", b"2", 10.1)
    picture = hub.picture("door")
    assert picture is not None
    assert (picture.jpeg, picture.time_s) == (b"2", 10.1)


def test_what_a_removed_camera_showed_is_forgotten() -> None:
    hub = Hub()
    hub.publish([Health("door"), Health("hall")], [])
    hub.publish_picture("door", b"1", 10.0)
    hub.viewed("door")
    hub.publish([Health("hall")], [])
    assert hub.picture("door") is None
    assert not hub.is_watched("door")


def test_a_camera_is_watched_while_somebody_takes_its_pictures() -> None:
    hub = Hub()
    hub.publish([Health("door"), Health("hall")], [])
    hub.viewed("door")
    assert hub.is_watched("door")
    assert not hub.is_watched("hall")


def test_people_are_listed_by_their_number() -> None:
    hub = Hub()
    people = [PersonNow(number, ("door",), 1.0, 2.0, (), b"", 1.0) for number in (3, 1, 2)]
    hub.publish([], people)
    assert [person.person_id for person in hub.people()] == [1, 2, 3]


def test_nothing_is_lost_or_doubled_when_many_threads_say_and_take() -> None:
    hub = Hub()
    n_each = 200
    subscriptions = [hub.subscribe("page") for _ in range(3)]
    taken: list[list[int]] = [[] for _ in subscriptions]

    def say(first: int) -> None:
        for number in range(n_each):
            hub.say([event(first + number)])

    def take(which: int) -> None:
        while len(taken[which]) < 4 * n_each:
            taken[which] += numbers(subscriptions[which].take(timeout_s=5.0))

    threads = [threading.Thread(target=say, args=(1000 * number,)) for number in range(4)]
    threads += [threading.Thread(target=take, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    expected = sorted(1000 * first + number for first in range(4) for number in range(n_each))
    assert all(sorted(each) == expected for each in taken)
    assert taken[0] == taken[1] == taken[2]
