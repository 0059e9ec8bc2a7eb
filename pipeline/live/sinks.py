"""Sends the events of a live run to a webhook and to an MQTT broker.

Each sink has a thread, which takes events from the hub in their order. An event is tried again,
ever more slowly, until it arrives; meanwhile the hub holds the events that follow, and counts those
that become too old. So a receiver that fails or hangs delays nobody else. An event that a receiver
refuses as such (HTTP 4xx) is dropped and counted.

Receivers get each event at least once; `id` tells an event that came twice.
"""

import base64
import http.client
import json
import math
import random
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from models.errors import one_line
from pipeline.address import VARIABLE, Address
from pipeline.config import EventsConfig
from pipeline.errors import ConfigError, SourceError
from pipeline.live.hub import Hub, Said

if TYPE_CHECKING:
    from paho.mqtt.client import Client

TIMEOUT_S = 5.0
"""Longest wait for a receiver."""
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0
POLL_S = 0.2
CLOSING_S = 2.0
"""How long closing waits for events that are on their way."""
JOIN_S = 1.0
"""How long closing waits for a thread whose receiver hangs, after the connection was broken."""
KEEP_ALIVE_S = 30
TRANSIENT = (408, 425, 429)
"""Codes of HTTP 4xx that ask to try again."""
DEFAULT_TOPIC = "people-tracker/events"

Report = Callable[[str], object]
"""Takes one line for the user."""


class Refused(Exception):
    """The receiver will not take this event, however often it is sent."""


class Receiver(Protocol):
    """Where events are sent."""

    @property
    def shown(self) -> str:
        """The address without anything secret."""

    def send(self, text: str) -> None:
        """Deliver one event, as JSON.

        Raises:
            Refused: it is of no use to try this event again.
            OSError: it could not be delivered now.
        """

    def idle(self) -> None:
        """Do what keeps the connection alive; called several times a second."""

    def close(self) -> None:
        """End the connection, also while another thread sends."""


class Webhook:
    """Posts each event to a URL, on a connection of its own."""

    def __init__(self, url: SplitResult) -> None:
        self._url = url
        self._connection: http.client.HTTPConnection | None = None

    @property
    def shown(self) -> str:
        """Only the host: the path of a webhook is often its password."""
        return f"{self._url.scheme}://{_shown_host(self._url)}"

    def send(self, text: str) -> None:
        """Post one event; see `Receiver`."""
        kind = (
            http.client.HTTPSConnection
            if self._url.scheme == "https"
            else http.client.HTTPConnection
        )
        connection = kind(self._url.hostname or "", self._url.port, timeout=TIMEOUT_S)
        self._connection = connection
        try:
            connection.request("POST", self._target(), text.encode(), self._headers())
            status = connection.getresponse().status
        except (http.client.HTTPException, ValueError) as error:
            raise ConnectionError(f"no answer in HTTP: {type(error).__name__}") from None
        finally:
            connection.close()
        if 400 <= status < 500 and status not in TRANSIENT:
            raise Refused(f"HTTP {status}")
        if not 200 <= status < 300:
            raise ConnectionError(f"HTTP {status}")

    def idle(self) -> None:
        """Nothing is kept open."""

    def close(self) -> None:
        """Wake the thread that waits for an answer."""
        connection = self._connection
        if connection is not None and connection.sock is not None:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it has ended meanwhile

    def _target(self) -> str:
        path = self._url.path or "/"
        return f"{path}?{self._url.query}" if self._url.query else path

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": "people-tracker"}
        if self._url.username is not None:
            user = f"{unquote(self._url.username)}:{unquote(self._url.password or '')}"
            coded = base64.b64encode(user.encode()).decode()
            headers["Authorization"] = f"Basic {coded}"
        return headers


class Mqtt:
    """Publishes each event under a topic, with quality of service 1: the broker confirms it."""

    def __init__(self, url: SplitResult) -> None:
        self._url = url
        self._topic = unquote(url.path.strip("/")) or DEFAULT_TOPIC
        self._client: Client | None = None
        self._refusal = ""

    @property
    def shown(self) -> str:
        """The host and the topic."""
        return f"{self._url.scheme}://{_shown_host(self._url)}/{self._topic}"

    def send(self, text: str) -> None:
        """Publish one event; see `Receiver`."""
        try:
            client = self._connected()
            message = client.publish(self._topic, text, qos=1)
            self._wait(client, message.is_published)
        except (OSError, ValueError, RuntimeError) as error:
            self.close()  # a new client has nothing in its queue, which would be sent twice
            raise ConnectionError(one_line(error)) from None

    def idle(self) -> None:
        """Answer the broker, and notice that it went away."""
        if self._client is not None and self._client.loop(timeout=0.0) != 0:
            self.close()

    def close(self) -> None:
        """Say goodbye to the broker."""
        client = self._client
        self._client = None
        if client is not None:
            client.disconnect()

    def _connected(self) -> "Client":
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        if self._client is not None:
            return self._client
        client = Client(CallbackAPIVersion.VERSION2, client_id="", reconnect_on_failure=False)
        client.connect_timeout = TIMEOUT_S
        client.on_connect = self._on_connect
        if self._url.username is not None:
            client.username_pw_set(unquote(self._url.username), unquote(self._url.password or ""))
        if self._url.scheme == "mqtts":
            client.tls_set()
        port = self._url.port or (8883 if self._url.scheme == "mqtts" else 1883)
        self._refusal = ""
        client.connect(self._url.hostname or "", port, keepalive=KEEP_ALIVE_S)
        self._client = client
        self._wait(client, client.is_connected)
        return client

    def _on_connect(
        self, client: "Client", data: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        if reason.is_failure:
            self._refusal = f"the broker refuses: {reason}"

    def _wait(self, client: "Client", is_done: Callable[[], bool]) -> None:
        """Serve the connection until something is done, `TIMEOUT_S` at most. Raises OSError."""
        until_s = time.monotonic() + TIMEOUT_S
        while not is_done():
            code = client.loop(timeout=POLL_S)
            if self._refusal:
                raise ConnectionError(self._refusal)
            if code != 0:
                raise ConnectionError("the broker closed the connection")
            if self._client is None:
                raise ConnectionError("closed")
            if time.monotonic() > until_s:
                raise ConnectionError(f"the broker did not answer for {TIMEOUT_S:g} s")


class Sink:
    """Sends events of a hub to a receiver, on a thread of its own.

    Args:
        hub: where events come from.
        name: of the sink, in metrics and messages.
        receiver: where they go.
        report: gets a line when the receiver fails, works again, or refuses an event.
    """

    def __init__(self, hub: Hub, name: str, receiver: Receiver, report: Report) -> None:
        self._run_id = hub.run_id
        self._name = name
        self._receiver = receiver
        self._report = report
        self._stop = threading.Event()
        self._is_abandoned = False
        self._subscription = hub.subscribe(name)
        self._thread = threading.Thread(target=self._run, name=f"events.{name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End; a receiver that works gets what waits for it, within `CLOSING_S`."""
        self._stop.set()
        self._thread.join(CLOSING_S)
        self._is_abandoned = True
        self._receiver.close()
        self._thread.join(JOIN_S)

    def _run(self) -> None:
        try:
            self._deliver_all()
        except Exception as error:  # noqa: BLE001 - the edge of a thread: it is reported
            self._report(f"events.{self._name} has stopped: {one_line(error)}")
        finally:
            self._receiver.close()

    def _deliver_all(self) -> None:
        while True:
            is_closing = self._stop.is_set()
            taken = self._subscription.take(0.0 if is_closing else POLL_S)
            if is_closing and not taken:
                return
            for said in taken:
                if not self._deliver(said):
                    return
            self._receiver.idle()

    def _deliver(self, said: Said) -> bool:
        """Send an event until it arrives; False when the sink is closed before."""
        text = json.dumps({"id": f"{self._run_id}-{said.number}", **said.event})
        n_failures = 0
        while not self._is_abandoned:
            try:
                self._receiver.send(text)
            except Refused as error:
                self._tell(f"refuses an event, which is dropped: {error}")
                self._subscription.confirm(0, n_dropped=1)
                return True
            except OSError as error:
                if n_failures == 0 and not self._stop.is_set():
                    self._tell(f"{one_line(error)}; events wait, and it is tried again")
                n_failures += 1
                if self._stop.wait(wait_s(n_failures)):
                    return False
                continue
            if n_failures:
                self._tell("works again")
            self._subscription.confirm(1)
            return True
        return False

    def _tell(self, what: str) -> None:
        self._report(f"events.{self._name} {self._receiver.shown}: {what}")


def wait_s(n_failures: int) -> float:
    """Return how long to wait after so many failures in a row; random, so that sinks spread."""
    doublings = min(n_failures - 1, math.log2(LONGEST_WAIT_S / FIRST_WAIT_S))
    return FIRST_WAIT_S * math.pow(2, doublings) * random.uniform(0.75, 1.0)


def start(hub: Hub, events: EventsConfig, environ: Mapping[str, str], report: Report) -> list[Sink]:
    """Start the sinks that a config asks for.

    Args:
        hub: where events come from.
        events: addresses; "" for none.
        environ: for ${NAME} in addresses.
        report: gets one line about failures, without anything secret.

    Raises:
        ConfigError: An address cannot be used, or a package is missing.
    """
    receivers: dict[str, Receiver] = {}
    if events.webhook:
        receivers["webhook"] = Webhook(_url(events.webhook, "webhook", ("http", "https"), environ))
    if events.mqtt:
        receivers["mqtt"] = Mqtt(_url(events.mqtt, "mqtt", ("mqtt", "mqtts"), environ))
        _check_paho()
    return [Sink(hub, name, receiver, report) for name, receiver in receivers.items()]


def _url(text: str, name: str, schemes: tuple[str, str], environ: Mapping[str, str]) -> SplitResult:
    """Parse an address, which messages must not repeat. Raises ConfigError."""
    setting = f"events.{name}"
    expected = f"{setting}: expected {schemes[0]}://host/... or {schemes[1]}://host/..."
    try:
        url = urlsplit(_expanded(text, setting, environ))
        port = url.port
    except ValueError:
        raise ConfigError(expected) from None
    if url.scheme not in schemes or not url.hostname or port == 0:
        raise ConfigError(expected)
    target = url.path + url.query
    if not target.isascii() or any(character.isspace() for character in target):
        raise ConfigError(f"{setting}: write blanks and other characters in its path as %XX")
    if name == "mqtt" and any(character in unquote(url.path) for character in "+#"):
        raise ConfigError(f"{setting}: a topic to publish under has no + and no #")
    return url


def _expanded(text: str, setting: str, environ: Mapping[str, str]) -> str:
    """An address with the values of its variables, of which it may be one. Raises ConfigError."""
    for name in VARIABLE.findall(text):
        if name not in environ:
            raise ConfigError(f"{setting}: the environment has no variable {name}; set it")
    whole = VARIABLE.fullmatch(text)
    if whole:
        return environ[whole[1]]
    try:
        return Address.parse(text).resolve(environ)
    except SourceError:  # its text shows the path, which is the secret of a webhook
        raise ConfigError(
            f"{setting}: *** stands for what is not stored with results; give the address again,"
            " best as ${NAME} from the environment"
        ) from None


def _shown_host(url: SplitResult) -> str:
    """Host and port, without user and password."""
    return url.netloc.rpartition("@")[2]


def _check_paho() -> None:
    try:
        import paho.mqtt.client  # noqa: F401
    except ImportError:
        raise ConfigError(
            "events.mqtt needs the package paho-mqtt (pip install paho-mqtt)"
        ) from None
