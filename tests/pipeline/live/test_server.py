"""The server of a live run, asked over real connections."""

import gc
import http.client
import json
import os
import re
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import ServeConfig
from pipeline.errors import ConfigError
from pipeline.live.access import COOKIE
from pipeline.live.hub import Hub, PersonNow
from pipeline.live.server import UNREAD_MS, Server
from pipeline.sources.live.health import Health
from tests.conftest import ROOT
from tests.ports import reserved_port
from tests.waiting import wait_until

pytest.importorskip("fastapi", reason="needs the package fastapi")
pytest.importorskip("uvicorn", reason="needs the package uvicorn")

web = pytest.importorskip("pipeline.live.web")
streams = pytest.importorskip("pipeline.live.streams")

TOKEN = "correct-horse-battery"
STREAMS = ("/events", "/api/pictures", "/api/cameras/door/live.mjpg")
JPEG = b"\xff\xd8 not decoded here \xff\xd9"
PATIENCE_S = 60.0
"""What takes longer has failed, on a busy machine too."""


def filled_hub() -> Hub:
    hub = Hub()
    door = Health("door", "live", 100.0, 12.5, 50, {"busy": 2}, 1, 0.1, "sender", -0.5)
    yard = Health("yard & <b>", "lost", 200.0, reason="connection refused")
    route = (("door", 10.0, 20.0), ("yard & <b>", 30.0, 40.0))
    person = PersonNow(4, ("door",), 10.0, 40.0, route, JPEG, 0.93)
    hub.publish([door, yard], [person, PersonNow(7, (), 1.0, 2.0, (), b"", 1.0)])
    hub.publish_picture("door", JPEG, 123.0)
    return hub


@pytest.fixture
def hub() -> Hub:
    return filled_hub()


@pytest.fixture
def server(hub: Hub) -> Iterator[Server]:
    reported: list[str] = []
    with Server(hub, ServeConfig(), reload=lambda: "nothing changed", report=reported.append) as it:
        yield it
    assert reported == []


@pytest.fixture
def closed_server(hub: Hub) -> Iterator[Server]:
    """A server that needs a token."""
    with Server(hub, ServeConfig(token=TOKEN), reload=lambda: "nothing changed") as it:
        yield it


def port_of(server: Server) -> int:
    return int(server.url.rstrip("/").rpartition(":")[2])


class Answer:
    """An answer that was read to its end."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    server: Server, path: str, method: str = "GET", headers: dict[str, str] | None = None
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=PATIENCE_S)
    with closing(connection) as asked:
        asked.request(method, path, headers=headers or {})
        return Answer(asked.getresponse())


def own_origin(server: Server) -> dict[str, str]:
    return {"Origin": server.url.rstrip("/")}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def connected(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port_of(server)), timeout=PATIENCE_S)


class Stream:
    """A connection on which a stream is asked for, and read only as far as a test does."""

    def __init__(self, server: Server, path: str, headers: str = "") -> None:
        self._socket = connected(server)
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n"
        self._socket.sendall(request.encode())
        self.got = b""

    def read_until(self, wanted: bytes) -> bytes:
        while wanted not in self.got:
            part = self._socket.recv(65536)
            assert part, self.got
            self.got += part
        return self.got

    def has_ended(self) -> bool:
        """Whether the other end closes the connection, after what it has sent."""
        try:
            while self._socket.recv(65536):
                pass
        except ConnectionError:
            return True
        return True

    def close(self) -> None:
        self._socket.close()


def serving() -> set[threading.Thread]:
    """The threads of servers."""
    return {thread for thread in threading.enumerate() if thread.name == "serve"}


def test_it_listens_when_start_returns_and_does_not_after_stop(hub: Hub) -> None:
    others = serving()
    with reserved_port() as port:
        server = Server(hub, ServeConfig(port=port))
        server.start()
        assert ask(server, "/healthz").status == 200
        server.stop()
        with pytest.raises(ConnectionRefusedError):
            ask(server, "/healthz")
    assert serving() <= others


def test_a_port_that_is_taken_is_one_clear_line(server: Server, hub: Hub) -> None:
    port = port_of(server)
    with pytest.raises(ConfigError) as refused:
        Server(hub, ServeConfig(port=port)).start()
    assert str(refused.value) == (
        f"serve: 127.0.0.1:{port}: Address already in use; take another serve.port"
    )


def test_an_address_of_another_machine_is_one_clear_line(hub: Hub) -> None:
    with pytest.raises(ConfigError, match=r"^serve: 203\.0\.113\.7:0: .*; take another"):
        Server(hub, ServeConfig(host="203.0.113.7", token=TOKEN)).start()


def test_it_does_not_start_for_other_machines_without_a_token(hub: Hub) -> None:
    with pytest.raises(ConfigError, match=r"serve\.token"):
        Server(hub, ServeConfig(host="0.0.0.0"))


@pytest.mark.parametrize("package", ["fastapi", "uvicorn"])
def test_a_missing_package_is_one_clear_line_and_only_when_serving(package: str) -> None:
    code = f"""
import sys
sys.modules[{package!r}] = None
from pipeline.config import ServeConfig
from pipeline.errors import ConfigError
from pipeline.live import access, hub, metrics, privacy, sinks
from pipeline.live.server import Server
try:
    Server(hub.Hub(), ServeConfig())
except ConfigError as error:
    print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    expected = "serve needs the packages fastapi and uvicorn (pip install fastapi uvicorn)\n"
    assert run.stdout == expected


@pytest.mark.parametrize("is_read", [True, False], ids=["read", "never read"])
def test_it_stops_though_streams_are_open(
    hub: Hub, is_read: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.live.server.UNREAD_MS", 600_000)  # which would end them as well
    others = serving()
    server = Server(hub, ServeConfig())
    server.start()
    opened = [Stream(server, path) for path in STREAMS]
    for stream in opened:
        stream.read_until(b"200 OK")
    if not is_read:
        fill(hub, seconds=1.0)
    server.stop()
    assert serving() <= others
    for stream in opened:
        assert stream.has_ended()
        stream.close()


def test_cameras_are_listed_with_their_health(server: Server) -> None:
    asked_s = time.time()
    answer = ask(server, "/api/cameras")
    assert asked_s - 5 < answer.json["now_s"] < time.time() + 5
    door, yard = answer.json["cameras"]
    assert door == ask(server, "/api/cameras/door").json
    assert door == {
        "name": "door",
        "state": "live",
        "since_s": 100.0,
        "reason": "",
        "fps": 12.5,
        "n_frames": 50,
        "n_dropped": {"busy": 2},
        "n_reconnects": 1,
        "delay_s": 0.1,
        "clock": "sender",
        "clock_offset_s": -0.5,
        "worker": "",
        "node": "",
        "picture_s": 123.0,
    }
    assert (yard["state"], yard["reason"], yard["picture_s"]) == ("lost", "connection refused", 0)
    assert ask(server, "/api/cameras/yard%20%26%20%3Cb%3E").json == yard


def test_people_are_listed_with_their_route_and_crop(server: Server) -> None:
    first, second = ask(server, "/api/people").json["people"]
    assert first == ask(server, "/api/people/4").json
    assert (first["person_id"], first["cameras"], first["probability"]) == (4, ["door"], 0.93)
    assert first["route"][1] == {"camera": "yard & <b>", "first_s": 30.0, "last_s": 40.0}
    assert re.fullmatch("#[0-9a-f]{6}", first["colour"])
    crop = ask(server, first["crop"])
    assert (crop.status, crop.body, crop.headers["content-type"]) == (200, JPEG, "image/jpeg")
    assert second["crop"] == ""


@pytest.mark.parametrize(
    "path",
    [
        "/api/cameras/none",
        "/api/cameras/none/snapshot.jpg",
        "/api/cameras/none/live.mjpg",
        "/api/cameras/yard%20%26%20%3Cb%3E/snapshot.jpg",
        "/api/pictures?camera=none",
        "/api/people/5",
        "/api/people/7/crop.jpg",
        "/page/none.js",
        "/page/..%2Fweb.py",
        "/none",
    ],
)
def test_what_does_not_exist_is_404_with_a_line_of_json(server: Server, path: str) -> None:
    answer = ask(server, path)
    assert answer.status == 404
    assert "\n" not in answer.json["detail"]


@pytest.fixture
def long_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera is still watched when a busy machine comes to look."""
    monkeypatch.setattr("pipeline.live.hub.WATCHED_S", 600.0)


@pytest.mark.usefixtures("long_watch")
def test_the_newest_picture_is_the_snapshot(server: Server, hub: Hub) -> None:
    assert not hub.is_watched("door")
    assert ask(server, "/api/cameras/door/snapshot.jpg").body == JPEG
    assert hub.is_watched("door")
    hub.publish_picture("door", b"newer", 124.0)
    assert ask(server, "/api/cameras/door/snapshot.jpg").body == b"newer"


@pytest.mark.usefixtures("long_watch")
def test_a_snapshot_of_a_camera_that_nobody_watched_is_a_new_picture(
    server: Server, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "FRESH_S", PATIENCE_S)

    def publish_when_watched() -> None:
        wait_until(lambda: hub.is_watched("door"))
        hub.publish_picture("door", b"fresh", 124.0)

    run = threading.Thread(target=publish_when_watched)
    run.start()
    assert ask(server, "/api/cameras/door/snapshot.jpg").body == b"fresh"
    run.join()


def test_motion_jpeg_sends_each_new_picture_and_ends_with_the_camera(
    server: Server, hub: Hub
) -> None:
    stream = Stream(server, "/api/cameras/door/live.mjpg")
    head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(JPEG)}\r\n\r\n"
    stream.read_until(head.encode() + JPEG)
    hub.publish_picture("door", b"newer", 124.0)
    assert b"multipart/x-mixed-replace; boundary=picture" in stream.read_until(b"newer")
    hub.publish([], [])
    assert stream.read_until(b"0\r\n\r\n")
    stream.close()


def test_one_stream_has_the_pictures_of_all_cameras_or_of_one(server: Server, hub: Hub) -> None:
    hub.publish_picture("yard & <b>", b"yard", 124.0)
    both = Stream(server, "/api/pictures?per_s=10")
    both.read_until(b'{"camera": "yard & <b>", "time_s": 124.0, "n_bytes": 4}yard')
    head = json.dumps({"camera": "door", "time_s": 123.0, "n_bytes": len(JPEG)}).encode()
    assert len(head).to_bytes(4, "big") + head + JPEG in both.got
    both.close()
    one = Stream(server, "/api/pictures?camera=door&per_s=10")
    one.read_until(JPEG)
    hub.publish_picture("yard & <b>", b"yard again", 125.0)
    hub.publish_picture("door", b"door again", 125.0)
    assert b"yard" not in one.read_until(b"door again")
    one.close()


def test_a_rate_of_pictures_that_makes_no_sense_is_refused(server: Server) -> None:
    for rate in ("0", "-1", "1e9", "nan", "x"):
        assert ask(server, f"/api/pictures?per_s={rate}").status == 422


def test_events_arrive_as_they_are_said(server: Server, hub: Hub) -> None:
    hub.say([{"time_s": 1.0, "kind": "seen", "person_id": 1}])
    stream = Stream(server, "/events")
    stream.read_until(b"retry: 2000\n\n")
    hub.say([{"time_s": 2.0, "kind": "lost", "camera": "door", "reason": "two\nlines"}])
    got = stream.read_until(b'"reason": "two\\nlines"}\n\n').decode()
    assert f"id: {hub.run_id}-1\ndata: " in got
    assert "person_id" not in got
    stream.close()


@pytest.mark.parametrize(
    ("path", "last_id", "expected"),
    [
        ("/events", "RUN-1", [2, 3]),
        ("/events", "other-2", [0, 1, 2, 3]),
        ("/events", "RUN-x", [0, 1, 2, 3]),
        ("/events?after=-1", "", [0, 1, 2, 3]),
        ("/events?after=-1", "RUN-2", [3]),
    ],
)
def test_who_connects_again_gets_what_was_missed(
    server: Server, hub: Hub, path: str, last_id: str, expected: list[int]
) -> None:
    hub.say([{"time_s": 1.0, "kind": "seen", "person_id": number} for number in range(3)])
    given = last_id.replace("RUN", hub.run_id)
    stream = Stream(server, path, f"Last-Event-ID: {given}\r\n" if given else "")
    stream.read_until(b"retry")
    hub.say([{"time_s": 1.0, "kind": "seen", "person_id": 3}])
    got = stream.read_until(b'"person_id": 3}\n\n').decode()
    assert [int(number) for number in re.findall(r'"person_id": (\d)', got)] == expected
    stream.close()


def test_a_quiet_stream_of_events_has_a_heartbeat(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.1)
    stream = Stream(server, "/events")
    stream.read_until(b": still here\n\n")
    stream.close()


def resident_mb() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def fill(hub: Hub, seconds: float) -> int:
    """Publish large pictures and events for some time; returns how many bytes."""
    n_bytes = 0
    until_s = time.monotonic() + seconds
    reason = "x" * 20_000
    while time.monotonic() < until_s:
        picture = os.urandom(1000) * 1000
        hub.publish_picture("door", picture, time.time())
        hub.say([{"time_s": 1.0, "kind": "seen", "reason": reason}] * 10)
        n_bytes += len(picture) + 10 * len(reason)
        time.sleep(0.01)
    return n_bytes


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@pytest.mark.parametrize("path", STREAMS)
def test_a_client_that_never_reads_costs_no_memory_and_delays_nobody(
    server: Server, hub: Hub, path: str
) -> None:
    fill(hub, seconds=0.3)
    before_mb = resident_mb()
    silent = [Stream(server, path) for _ in range(8)]
    filler = threading.Thread(target=fill, args=(hub, 3.0))
    filler.start()
    slowest_s = 0.0
    is_filling = True
    while is_filling:
        is_filling = filler.is_alive()
        begun_s = time.monotonic()
        assert ask(server, "/api/cameras").status == 200
        slowest_s = max(slowest_s, time.monotonic() - begun_s)
    grown_mb = resident_mb() - before_mb
    assert slowest_s < 0.8 * UNREAD_MS / 1000, "it waited for those who never read"
    assert grown_mb < 60  # 8 clients times 100 pictures of 1 MB would be 800
    for stream in silent:
        stream.close()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux has this timeout")
def test_a_client_that_never_reads_is_disconnected_after_a_while(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.live.server.UNREAD_MS", 500)
    with Server(hub, ServeConfig()) as server:
        silent = Stream(server, "/api/pictures")
        silent.read_until(JPEG)

        def is_disconnected() -> bool:
            fill(hub, seconds=0.1)
            assert server._uvicorn is not None
            return not server._uvicorn.server_state.connections

        wait_until(is_disconnected)
        assert silent.has_ended()
        silent.close()


def test_streams_are_limited_and_their_places_become_free(server: Server, hub: Hub) -> None:
    opened = [Stream(server, "/events") for _ in range(streams.MAX_STREAMS)]
    for stream in opened:
        stream.read_until(b"retry")
    refused = ask(server, "/events")
    assert refused.status == 503
    assert refused.json["detail"] == "32 streams are open, which is the limit"
    assert ask(server, "/api/cameras").status == 200
    for stream in opened:
        stream.close()

    def is_let_in() -> bool:
        hub.say([{"time_s": 1.0, "kind": "seen"}])
        with closing(Stream(server, "/events")) as one_more:
            return b"200 OK" in one_more.read_until(b"\r\n")

    wait_until(is_let_in)


def test_healthz_is_200_while_at_least_one_camera_is_live(server: Server, hub: Hub) -> None:
    answer = ask(server, "/healthz")
    assert answer.status == 200
    states = {"door": "live", "yard & <b>": "lost"}
    assert answer.json == {"ok": True, "n_cameras": 2, "n_live": 1, "states": states}
    hub.publish([Health("door", "frozen")], [])
    answer = ask(server, "/healthz")
    assert answer.status == 503
    assert answer.json["states"] == {"door": "frozen"}
    hub.publish([], [])
    assert ask(server, "/healthz").status == 503


def test_metrics_are_served_as_prometheus_wants_them(server: Server) -> None:
    answer = ask(server, "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b'people_tracker_frames_total{camera="door"} 50\n' in answer.body


def test_a_name_that_is_pointed_here_from_outside_is_refused(server: Server) -> None:
    for host in ("evil.example", f"evil.example:{port_of(server)}", ""):
        assert ask(server, "/api/people", headers={"Host": host}).status == 421
        assert ask(server, "/", headers={"Host": host}).status == 421
    assert ask(server, "/", headers={"Host": "localhost:1234"}).status == 200


def test_two_host_headers_are_refused(server: Server) -> None:
    with closing(connected(server)) as asked:
        asked.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert asked.recv(1000).split(b" ")[1] in (b"400", b"421")


def test_other_web_pages_can_load_nothing(server: Server) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert ask(server, "/api/cameras/door/snapshot.jpg", headers=foreign).status == 403
    assert ask(server, "/api/people", headers=foreign).status == 403


def test_a_reload_needs_the_page_itself(server: Server) -> None:
    assert ask(server, "/reload", "POST").status == 403
    assert ask(server, "/reload", "POST", {"Origin": "http://evil.example"}).status == 403
    assert ask(server, "/reload", "GET", own_origin(server)).status == 405
    answer = ask(server, "/reload", "POST", own_origin(server))
    assert (answer.status, answer.json) == (200, {"detail": "nothing changed"})


def test_a_config_that_cannot_be_used_is_400_with_its_line(hub: Hub) -> None:
    def reload() -> str:
        raise ConfigError("cameras: two are called door")

    with Server(hub, ServeConfig(), reload) as server:
        answer = ask(server, "/reload", "POST", own_origin(server))
    assert (answer.status, answer.json) == (400, {"detail": "cameras: two are called door"})


def test_a_fault_of_the_program_is_reported_and_the_server_goes_on(hub: Hub) -> None:
    reported: list[str] = []

    def reload() -> str:
        raise RuntimeError("broken\nin two lines")

    with Server(hub, ServeConfig(), reload, reported.append) as server:
        answer = ask(server, "/reload", "POST", own_origin(server))
        assert (answer.status, answer.json) == (500, {"detail": "a fault of the program"})
        assert ask(server, "/api/cameras").status == 200
    assert reported == ["serve: /reload: RuntimeError: broken in two lines"]


def paths_of(server: Server) -> list[str]:
    answer = ask(server, "/openapi.json", headers=bearer(TOKEN))
    paths = [path.replace("{name}", "door") for path in answer.json["paths"]]
    return [path.replace("{person_id}", "4") for path in paths]


def test_with_a_token_nothing_but_the_login_page_and_the_bare_health_is_public(
    closed_server: Server,
) -> None:
    paths = [path for path in paths_of(closed_server) if path not in ("/healthz", "/reload")]
    assert len(paths) >= 10
    for path in [*paths, "/api", "/openapi.json"]:
        for headers in ({}, bearer("wrong"), {"Cookie": f"{COOKIE}={TOKEN}"}):
            assert ask(closed_server, path, headers=headers).status == 401, path
        assert ask(closed_server, f"{path}?token={TOKEN}").status == 401
    health = ask(closed_server, "/healthz")
    assert health.json == {"ok": True, "n_cameras": 2, "n_live": 1, "states": {}}
    page = ask(closed_server, "/")
    assert b"Log in" in page.body
    assert b"door" not in page.body


def test_the_token_in_a_header_opens_everything(closed_server: Server) -> None:
    assert ask(closed_server, "/api/people", headers=bearer(TOKEN)).status == 200
    assert b"camera-list" in ask(closed_server, "/", headers=bearer(TOKEN)).body
    assert ask(closed_server, "/healthz", headers=bearer(TOKEN)).json["states"]["door"] == "live"
    assert ask(closed_server, "/reload", "POST", bearer(TOKEN)).status == 200
    assert ask(closed_server, "/reload", "POST", own_origin(closed_server)).status == 401


def test_logging_in_gives_a_cookie_that_scripts_and_other_sites_cannot_use(
    closed_server: Server,
) -> None:
    assert ask(closed_server, "/login", "POST", own_origin(closed_server)).status == 401
    wrong = bearer("wrong") | own_origin(closed_server)
    assert ask(closed_server, "/login", "POST", wrong).status == 401
    answer = ask(closed_server, "/login", "POST", bearer(TOKEN))
    assert answer.status == 204
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert TOKEN not in cookie
    sent = {"Cookie": cookie.partition(";")[0]}
    assert ask(closed_server, "/api/people", headers=sent).status == 200
    assert b"camera-list" in ask(closed_server, "/", headers=sent).body
    assert ask(closed_server, "/reload", "POST", sent).status == 403
    assert ask(closed_server, "/reload", "POST", sent | own_origin(closed_server)).status == 200


@pytest.mark.parametrize("path", ["/", "/api", "/api/people", "/page/main.js", "/none", "/metrics"])
def test_all_answers_keep_browsers_strict(server: Server, path: str) -> None:
    headers = ask(server, path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers
    assert "access-control-allow-origin" not in headers


def test_the_files_of_the_page_load_nothing_from_elsewhere_and_have_no_inline_code() -> None:
    for path in web.PAGE.iterdir():
        text = path.read_text(encoding="utf-8")
        addresses = re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text.replace("//www.w3.org", ""))
        assert addresses == []
        assert "innerHTML" not in text
        assert "insertAdjacentHTML" not in text
        if path.suffix == ".html":
            assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", text)


def test_the_api_describes_itself(server: Server) -> None:
    described = ask(server, "/openapi.json").json
    assert set(described["paths"]) == {
        "/api/cameras",
        "/api/cameras/{name}",
        "/api/cameras/{name}/snapshot.jpg",
        "/api/cameras/{name}/live.mjpg",
        "/api/pictures",
        "/api/people",
        "/api/people/{person_id}",
        "/api/people/{person_id}/crop.jpg",
        "/healthz",
        "/metrics",
        "/events",
        "/reload",
    }
    for methods in described["paths"].values():
        for operation in methods.values():
            assert operation["description"]
    assert ask(server, "/docs").status == 404


def test_garbage_harms_nobody(server: Server) -> None:
    sent = [b"\x00\xff" * 500, b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 200_000, b"\r\n" * 99]
    for data in sent:
        with closing(connected(server)) as it:
            try:
                it.sendall(data)  # the server may have enough of it before its end
                it.settimeout(0.3)
                it.recv(1000)
            except (TimeoutError, ConnectionError):
                continue
    assert ask(server, "/api/cameras").status == 200


def test_many_viewers_at_once_get_what_is_published(server: Server, hub: Hub) -> None:
    failed: list[str] = []

    def view(run: Callable[[], Answer]) -> None:
        for _ in range(10):
            if run().status != 200:
                failed.append("status")

    paths = ["/api/cameras", "/api/people", "/metrics", "/api/cameras/door/snapshot.jpg"]
    threads = [
        threading.Thread(target=view, args=(lambda path=path: ask(server, path),))
        for path in paths * 3
    ]
    for thread in threads:
        thread.start()
    for number in range(50):
        hub.publish_picture("door", JPEG, float(number))
        hub.say([{"time_s": 1.0, "kind": "seen"}])
    for thread in threads:
        thread.join()
    assert failed == []
