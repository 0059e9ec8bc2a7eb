"""Events reach webhooks and brokers that fail, hang, and come back."""

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.config import EventsConfig
from pipeline.errors import ConfigError
from pipeline.live import sinks
from pipeline.live.hub import EVENTS_KEPT, Hub
from tests.pipeline.live import mqtt_broker
from tests.ports import reserved_port
from tests.waiting import wait_until

ENVIRON = {"USER_OF_SINK": "tom", "PASS_OF_SINK": "s3cret/p@ss"}
SECRETS = ("s3cret", "tom:", "hidden-path", "hidden-query")
LATE_S = 20.0
"""How much longer closing may take on a busy machine."""


class Hook(ThreadingHTTPServer):
    """Takes events. `status` is what it answers; while it `hangs` it does not answer at all."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), HookHandler)
        self.events: list[dict[str, object]] = []
        self.requests: list[tuple[str, str, str]] = []
        self.status = 204
        self.hangs = False
        self.delay_s = 0.0
        self.end = threading.Event()


class HookHandler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.headers["Content-Type"]
        self.server.requests.append((self.path, kind, self.headers.get("Authorization", "")))
        time.sleep(self.server.delay_s)
        if self.server.hangs:
            self.server.end.wait()
            return
        if self.server.status < 300:
            self.server.events.append(json.loads(body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def hook(port: int = 0) -> Iterator[Hook]:
    with Hook(port) as server:
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        try:
            yield server
        finally:
            server.end.set()
            server.shutdown()
            thread.join()


@contextmanager
def sending(hub: Hub, **events: str) -> Iterator[list[str]]:
    """Sinks of a hub; yields what they report."""
    reported: list[str] = []
    started = sinks.start(hub, EventsConfig(**events), ENVIRON, reported.append)
    try:
        yield reported
    finally:
        begun_s = time.monotonic()
        for sink in started:
            sink.close()
        longest_s = len(started) * (sinks.CLOSING_S + sinks.JOIN_S)
        assert time.monotonic() - begun_s < longest_s + LATE_S
        wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith("events.")])
        assert not [line for line in reported for secret in SECRETS if secret in line]


def say(hub: Hub, numbers: Sequence[int]) -> None:
    hub.say([{"time_s": 1.5, "kind": "seen", "person_id": number} for number in numbers])


def people(events: Sequence[dict[str, object]]) -> list[object]:
    return [event["person_id"] for event in events]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sinks that try again soon, and wait for an answer as long as it takes on a busy machine."""
    monkeypatch.setattr(sinks, "FIRST_WAIT_S", 0.05)
    monkeypatch.setattr(sinks, "TIMEOUT_S", 60.0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sinks that wait for an answer for a short time."""
    monkeypatch.setattr(sinks, "TIMEOUT_S", 0.5)


def test_a_webhook_gets_each_event_as_json_in_order() -> None:
    hub = Hub()
    with hook() as server:
        url = f"http://127.0.0.1:{server.server_port}/hidden-path?key=hidden-query"
        with sending(hub, webhook=url) as reported:
            say(hub, [1, 2])
            say(hub, [3])
            wait_until(lambda: len(server.events) == 3)
        assert server.events[0] == {
            "id": f"{hub.run_id}-0",
            "time_s": 1.5,
            "kind": "seen",
            "person_id": 1,
        }
        assert people(server.events) == [1, 2, 3]
        assert server.requests[0][:2] == ("/hidden-path?key=hidden-query", "application/json")
    assert reported == []
    counts = hub.delivered()["webhook"]
    assert (counts.n_sent, counts.n_dropped) == (3, 0)


def test_a_webhook_takes_user_and_password_from_the_environment_into_a_header() -> None:
    hub = Hub()
    with hook() as server:
        url = f"http://${{USER_OF_SINK}}:${{PASS_OF_SINK}}@127.0.0.1:{server.server_port}/"
        with sending(hub, webhook=url):
            say(hub, [1])
            wait_until(lambda: len(server.events) == 1)
        expected = base64.b64encode(b"tom:s3cret/p@ss").decode()
        assert server.requests == [("/", "application/json", f"Basic {expected}")]


@pytest.mark.parametrize("status", [500, 503, 302, 429, 408])
def test_a_webhook_that_fails_gets_the_events_when_it_works_again(status: int) -> None:
    hub = Hub()
    with hook() as server:
        server.status = status
        url = f"http://127.0.0.1:{server.server_port}/hidden-path"
        with sending(hub, webhook=url) as reported:
            say(hub, [1, 2, 3])
            wait_until(lambda: len(server.requests) >= 3)
            server.status = 200
            wait_until(lambda: len(server.events) == 3)
            wait_until(lambda: len(reported) == 2)
        assert people(server.events) == [1, 2, 3]
        place = f"events.webhook http://127.0.0.1:{server.server_port}:"
    assert reported == [
        f"{place} HTTP {status}; events wait, and it is tried again",
        f"{place} works again",
    ]


@pytest.mark.usefixtures("impatient")
def test_a_webhook_that_hangs_delays_only_itself() -> None:
    hub = Hub()
    with hook() as server:
        server.hangs = True
        with sending(hub, webhook=f"http://127.0.0.1:{server.server_port}/") as reported:
            page = hub.subscribe("page")
            say(hub, [1])
            wait_until(lambda: len(server.requests) >= 2)
            say(hub, [2])
            assert len(page.take()) == 2
            assert server.events == []
            server.hangs = False
            wait_until(lambda: 2 in people(server.events))
        received = people(server.events)
        assert received == sorted(received), "in order, and some perhaps more than once"
        assert set(received) == {1, 2}
        assert "timed out; events wait" in reported[0]


@pytest.mark.timeout(300)
def test_a_webhook_that_is_away_and_comes_back_misses_only_what_became_too_old() -> None:
    hub = Hub()
    with reserved_port() as port, sending(hub, webhook=f"http://127.0.0.1:{port}/") as reported:
        say(hub, [0])
        wait_until(lambda: len(reported) == 1)
        say(hub, range(1, EVENTS_KEPT + 11))
        with hook(port) as server:
            wait_until(lambda: len(server.events) == EVENTS_KEPT + 1, timeout_s=200.0)
            wait_until(lambda: hub.delivered()["webhook"].n_sent == EVENTS_KEPT + 1)
            assert people(server.events) == [0, *range(11, EVENTS_KEPT + 11)]
    assert "Connection refused; events wait" in reported[0]
    assert hub.delivered()["webhook"].n_dropped == 10


def test_an_event_that_a_webhook_refuses_is_dropped_and_the_next_ones_arrive() -> None:
    hub = Hub()
    with hook() as server:
        server.status = 400
        with sending(hub, webhook=f"http://127.0.0.1:{server.server_port}/") as reported:
            say(hub, [1])
            wait_until(lambda: len(reported) == 1)
            server.status = 200
            say(hub, [2])
            wait_until(lambda: len(server.events) == 1)
        assert people(server.events) == [2]
        assert len(server.requests) == 2
    assert reported[0].endswith("refuses an event, which is dropped: HTTP 400")
    assert hub.delivered()["webhook"].n_dropped == 1


@pytest.mark.parametrize("answer", [b"", b"no http at all\r\n\r\n", b"HTTP/1.1 999999 x\r\n\r\n"])
def test_what_does_not_speak_http_is_a_failure_and_not_the_end_of_the_sink(answer: bytes) -> None:
    hub = Hub()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with sending(hub, webhook=f"http://127.0.0.1:{port}/") as reported:
            say(hub, [1])
            wait_until(lambda: not thread.is_alive())
            thread.join()
            wait_until(lambda: len(reported) == 1)
    assert reported[0].endswith("events wait, and it is tried again")


def test_what_is_said_just_before_the_end_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "CLOSING_S", 60.0)
    hub = Hub()
    with hook() as server:
        with sending(hub, webhook=f"http://127.0.0.1:{server.server_port}/"):
            say(hub, range(120))
        assert people(server.events) == list(range(120))


def test_closing_does_not_wait_for_a_receiver_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "TIMEOUT_S", 10 * LATE_S)
    hub = Hub()
    with hook() as server:
        server.hangs = True
        with sending(hub, webhook=f"http://127.0.0.1:{server.server_port}/"):
            say(hub, [1])
            wait_until(lambda: len(server.requests) == 1)


def test_closing_does_not_wait_until_a_slow_receiver_has_everything() -> None:
    hub = Hub()
    with hook() as server:
        server.delay_s = 0.1
        with sending(hub, webhook=f"http://127.0.0.1:{server.server_port}/"):
            say(hub, range(900))
        received = people(server.events)
        assert len(received) < 900
        assert received == list(range(len(received)))


def test_waits_grow_to_a_minute_and_differ() -> None:
    waits = [sinks.wait_s(n_failures) for n_failures in range(1, 200)]
    assert waits[0] <= sinks.FIRST_WAIT_S
    assert all(0.75 * 60 <= wait <= 60.001 for wait in waits[20:])
    assert len({round(wait, 6) for wait in waits[20:]}) > 50


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("webhook", "ftp://host/s3cret"),
        ("webhook", "http:///s3cret"),
        ("webhook", "http://host:99999/s3cret"),
        ("webhook", "http://host/s3cret path"),
        ("webhook", "http://host/s3cret-\u00fc"),
        ("webhook", "s3cret"),
        ("webhook", "http://[s3cret/"),
        ("mqtt", "http://host/s3cret"),
        ("mqtt", "mqtt://tom:s3cret@host/topic/%23"),
        ("mqtt", "mqtt://tom:s3cret@host/+/topic"),
    ],
)
def test_an_address_that_cannot_be_used_is_one_line_that_does_not_repeat_it(
    name: str, address: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        sinks.start(Hub(), EventsConfig(**{name: address}), {}, print)
    assert str(refused.value).startswith(f"events.{name}: ")
    assert "s3cret" not in str(refused.value)


def test_a_name_that_the_environment_lacks_is_said() -> None:
    with pytest.raises(ConfigError, match=r"events\.webhook: the environment has no variable NONE"):
        sinks.start(Hub(), EventsConfig(webhook="http://${NONE}@host/"), {}, print)


def test_a_whole_address_can_come_from_the_environment() -> None:
    hub = Hub()
    with hook() as server:
        url = f"http://127.0.0.1:{server.server_port}/hidden-path"
        started = sinks.start(hub, EventsConfig(webhook="${URL}"), {"URL": url}, print)
        say(hub, [1])
        wait_until(lambda: len(server.events) == 1)
        for sink in started:
            sink.close()
        assert server.requests[0][0] == "/hidden-path"


@pytest.mark.parametrize("address", ["https://host/***", "https://tom:***@host/hidden-path"])
def test_an_address_that_was_stored_without_its_secret_is_not_used(address: str) -> None:
    with pytest.raises(ConfigError, match=r"^events\.webhook: \*\*\* stands for") as refused:
        sinks.start(Hub(), EventsConfig(webhook=address), {}, print)
    assert "hidden" not in str(refused.value)


def test_no_address_is_no_sink() -> None:
    assert sinks.start(Hub(), EventsConfig(), {}, print) == []


def received(broker: mqtt_broker.Broker) -> list[object]:
    """Who was in the messages."""
    return people([json.loads(message.payload) for message in broker.messages])


@pytest.fixture
def _paho() -> None:
    pytest.importorskip("paho.mqtt.client", reason="needs the package paho-mqtt")


@pytest.mark.usefixtures("_paho")
def test_a_broker_gets_each_event_under_the_topic_and_a_goodbye() -> None:
    hub = Hub()
    with mqtt_broker.serving(login="tom:s3cret/p@ss") as broker:
        url = f"mqtt://${{USER_OF_SINK}}:${{PASS_OF_SINK}}@127.0.0.1:{broker.port}/site/people"
        with sending(hub, mqtt=url) as reported:
            say(hub, [1, 2, 3])
            wait_until(lambda: len(broker.messages) == 3)
            wait_until(lambda: hub.delivered()["mqtt"].n_sent == 3)
        wait_until(lambda: broker.said_goodbye)
        assert reported == []
        assert {message.topic for message in broker.messages} == {"site/people"}
        assert received(broker) == [1, 2, 3]
        assert broker.n_connections == 1


@pytest.mark.usefixtures("_paho")
def test_a_broker_that_breaks_off_and_comes_back_gets_all_events() -> None:
    hub = Hub()
    with reserved_port() as port, sending(hub, mqtt=f"mqtt://127.0.0.1:{port}") as reported:
        say(hub, [1])
        wait_until(lambda: len(reported) == 1)
        with mqtt_broker.serving(port) as broker:
            wait_until(lambda: len(broker.messages) == 1)
            assert broker.messages[0].topic == "people-tracker/events"
        say(hub, [2, 3])
        with mqtt_broker.serving(port) as broker:
            wait_until(lambda: 3 in received(broker))
            assert received(broker)[-2:] == [2, 3]
    assert f"events.mqtt mqtt://127.0.0.1:{port}/people-tracker/events: " in reported[0]


@pytest.mark.usefixtures("_paho", "impatient")
def test_a_broker_that_confirms_nothing_is_tried_again() -> None:
    hub = Hub()
    with (
        mqtt_broker.serving() as broker,
        sending(hub, mqtt=f"mqtt://127.0.0.1:{broker.port}/t") as reported,
    ):
        broker.silent = True
        say(hub, [1])
        wait_until(lambda: len(reported) == 1)
        broker.silent = False
        wait_until(lambda: len(broker.messages) >= 1)
        wait_until(lambda: len(reported) >= 2)
    assert "the broker did not answer for 0.5 s; events wait" in reported[0]
    assert reported[1].endswith("works again")


@pytest.mark.usefixtures("_paho")
def test_a_broker_that_refuses_the_password_is_said_without_the_password() -> None:
    hub = Hub()
    with mqtt_broker.serving(login="tom:another") as broker:
        url = f"mqtt://tom:s3cret@127.0.0.1:{broker.port}/t"
        with sending(hub, mqtt=url) as reported:
            say(hub, [1])
            wait_until(lambda: len(reported) == 1)
    assert "the broker refuses: Not authorized; events wait" in reported[0]


@pytest.mark.usefixtures("_paho")
def test_a_quiet_connection_to_a_broker_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "KEEP_ALIVE_S", 3)
    hub = Hub()
    with (
        mqtt_broker.serving() as broker,
        sending(hub, mqtt=f"mqtt://127.0.0.1:{broker.port}/t") as reported,
    ):
        say(hub, [1])
        wait_until(lambda: broker.n_pings >= 1)
        assert broker.n_connections == 1
    assert reported == []


@pytest.mark.usefixtures("_paho")
def test_one_sink_that_hangs_does_not_delay_the_other() -> None:
    hub = Hub()
    with ExitStack() as stack:
        server = stack.enter_context(hook())
        broker = stack.enter_context(mqtt_broker.serving())
        server.hangs = True
        hooked = f"http://127.0.0.1:{server.server_port}/"
        stack.enter_context(sending(hub, webhook=hooked, mqtt=f"mqtt://127.0.0.1:{broker.port}/t"))
        say(hub, range(50))
        wait_until(lambda: len(broker.messages) == 50)
