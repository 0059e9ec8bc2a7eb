"""What the server of a live run answers: the page, pictures, JSON, events and metrics.

Browsers open six connections to a server at most, so the page takes the pictures of all cameras on
one, `/api/pictures`: each is a length of 4 bytes (big-endian), as much JSON (`camera`, `time_s`,
`n_bytes`), and `n_bytes` of JPEG. A viewer that reads slowly gets fewer pictures, the newest ones.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import PlainTextResponse

from models.errors import one_line
from pipeline.errors import PipelineError
from pipeline.live import access, metrics, streams
from pipeline.live.access import Access
from pipeline.live.guard import App, Guard, Report, headers_of, refusal
from pipeline.live.hub import Hub, PersonNow
from pipeline.live.schemas import (
    Cameras,
    CameraState,
    Healthy,
    People,
    PersonState,
    Reloaded,
    camera_state,
    person_state,
)
from pipeline.live.streams import Streams
from pipeline.sources.live.health import Health
from pipeline.version import VERSION

PAGE = Path(__file__).parent / "page"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
FRESH_S = 1.0
"""Longest wait for a picture of a camera that nobody watched, which may be old."""
PicturesPerS = Annotated[float, Query(gt=0.1, le=streams.MAX_PICTURES_PER_S)]
Reload = Callable[[], str]


class Uvicorn(uvicorn.Server):
    """Closes connections whose other end does not read; uvicorn would leave them open."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End all connections."""
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


def app_of(hub: Hub, rules: Access, opened: Streams, reload: Reload, report: Report) -> App:
    """Return what answers the requests of a live run.

    Args:
        hub: its state.
        rules: who may do what.
        opened: answers that do not end; it is told when they are to.
        reload: reads the config again, and says what became of the cameras; it is called on a
            thread of its own, and raises `PipelineError` where the config cannot be used.
        report: gets one line for each fault of the program.
    """
    app = FastAPI(
        title="People tracker",
        version=VERSION,
        summary="Cameras, people and events of a live run. Times are seconds since 1970.",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.add_exception_handler(Exception, _answer_to_fault)
    _add_page(app, rules)
    _add_cameras(app, hub, opened)
    _add_people(app, hub)
    _add_run(app, hub, rules, opened, reload)
    return Guard(app, rules, report)


def _add_page(app: FastAPI, rules: Access) -> None:
    """The page itself, the page of the API, and logging in."""
    parts = [path for path in PAGE.iterdir() if path.suffix in MEDIA_TYPES]
    files = {path.name: path.read_bytes() for path in parts}

    def file(name: str) -> Response:
        if name not in files:
            raise HTTPException(404, "no such file")
        media_type = MEDIA_TYPES[Path(name).suffix]
        return Response(files[name], media_type=media_type, headers={"cache-control": "no-cache"})

    @app.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        is_known = rules.may_see(headers_of(request.scope))
        return file("index.html" if is_known else "login.html")

    @app.get("/api", include_in_schema=False)
    async def api() -> Response:
        return file("api.html")

    @app.get("/page/{name}", include_in_schema=False)
    async def part(name: str) -> Response:
        return file(name)

    @app.post("/login", include_in_schema=False)
    async def login(request: Request) -> Response:
        if not rules.has_token(headers_of(request.scope)):
            raise HTTPException(401, "this is not the token")
        answer = Response(status_code=204)
        answer.set_cookie(
            access.COOKIE,
            rules.cookie,
            max_age=access.COOKIE_DAYS * 86400,
            httponly=True,
            samesite="strict",
            secure=request.headers.get("origin", "").startswith("https://"),
        )
        return answer


def _add_cameras(app: FastAPI, hub: Hub, opened: Streams) -> None:
    @app.get("/api/cameras", tags=["cameras"])
    async def cameras() -> Cameras:
        """Return how each camera is doing."""
        listed = [_camera_state(hub, health) for health in hub.health()]
        return Cameras(now_s=time.time(), cameras=listed)

    @app.get("/api/cameras/{name}", tags=["cameras"])
    async def camera(name: str) -> CameraState:
        """Return how one camera is doing."""
        return _camera_state(hub, _health(hub, name))

    @app.get("/api/cameras/{name}/snapshot.jpg", tags=["cameras"], **_answers("image/jpeg"))
    async def snapshot(name: str) -> Response:
        """Return the newest picture of a camera, with boxes and numbers; 404 before the first."""
        is_live = _health(hub, name).state == "live"
        before = None if hub.is_watched(name) else hub.picture(name)
        hub.viewed(name)
        if is_live and before is not None:
            await _newer_picture(hub, name, before.number)
        picture = hub.picture(name)
        if picture is None:
            raise HTTPException(404, "no picture yet")
        return _jpeg(picture.jpeg)

    motion = f"multipart/x-mixed-replace; boundary={streams.BOUNDARY}"

    @app.get("/api/cameras/{name}/live.mjpg", tags=["cameras"], **_answers(motion))
    async def live(name: str) -> Response:
        """Return the pictures of a camera as Motion JPEG, without an end."""
        _health(hub, name)
        return opened.response(streams.motion(hub, name, opened), motion)

    @app.get("/api/pictures", tags=["cameras"], **_answers("application/octet-stream"))
    async def pictures(
        camera: str = "", per_s: PicturesPerS = streams.MAX_PICTURES_PER_S
    ) -> Response:
        """Return the pictures of all cameras, or of one, without an end.

        Each is a length (4 bytes, big-endian), JSON of that length with camera, time_s and n_bytes,
        and n_bytes of JPEG.
        """
        if camera:
            _health(hub, camera)
        parts = streams.many_pictures(hub, camera, per_s, opened)
        return opened.response(parts, "application/octet-stream")


def _add_people(app: FastAPI, hub: Hub) -> None:
    @app.get("/api/people", tags=["people"])
    async def people() -> People:
        """Return the people who are in view, or were lately."""
        listed = [person_state(person) for person in hub.people()]
        return People(now_s=time.time(), people=listed)

    @app.get("/api/people/{person_id}", tags=["people"])
    async def person(person_id: int) -> PersonState:
        """Return one person who is in view, or was lately."""
        return person_state(_person(hub, person_id))

    @app.get("/api/people/{person_id}/crop.jpg", tags=["people"], **_answers("image/jpeg"))
    async def crop(person_id: int) -> Response:
        """Return the best crop of a person; 404 where there is none, or privacy.blur hides it."""
        shown = _person(hub, person_id).crop_jpeg
        if not shown:
            raise HTTPException(404, "no crop")
        return _jpeg(shown)


def _add_run(app: FastAPI, hub: Hub, rules: Access, opened: Streams, reload: Reload) -> None:
    @app.get("/healthz", tags=["run"], responses={503: {"model": Healthy}})
    async def healthz(request: Request, response: Response) -> Healthy:
        """Return 200 when at least one camera is live, else 503."""
        cameras = hub.health()
        n_live = sum(each.state == "live" for each in cameras)
        states = {each.camera: each.state for each in cameras}
        response.status_code = 200 if n_live else 503
        response.headers["cache-control"] = "no-store"
        may_see = rules.may_see(headers_of(request.scope))
        return Healthy(
            ok=n_live > 0,
            n_cameras=len(cameras),
            n_live=n_live,
            states=states if may_see else {},
        )

    @app.get("/metrics", tags=["run"], **_answers("text/plain"))
    async def metrics_text() -> Response:
        """Return counters and states in the text format of Prometheus."""
        return PlainTextResponse(metrics.text(hub), media_type=metrics.MEDIA_TYPE)

    @app.get("/events", tags=["run"], **_answers("text/event-stream"))
    async def events(request: Request, after: int | None = None) -> Response:
        """Return events as they happen: server-sent events, each with a line of events.jsonl.

        Events since the one of the header `Last-Event-ID`, or else since number `after`, come
        first, as far as they are held; -1 is all of them.
        """
        last_id = request.headers.get("last-event-id", "")
        if last_id:
            after = _number_of(last_id, hub)
        subscription = hub.subscribe("page", after)
        parts = streams.event_stream(hub, subscription, opened)
        return opened.response(parts, "text/event-stream")

    one_at_a_time = threading.Lock()

    @app.post("/reload", tags=["run"], responses={400: {"model": Reloaded}})
    def reload_cameras() -> Reloaded:
        """Read the config again, and add, remove and change cameras; the others go on."""
        try:
            with one_at_a_time:
                return Reloaded(detail=reload())
        except PipelineError as error:
            raise HTTPException(400, one_line(error)) from None


def _answers(media_type: str) -> dict[str, Any]:
    """What the API's description says of an answer that is not JSON."""
    content: dict[str, Any] = {media_type.partition(";")[0]: {}}
    return {"response_class": Response, "responses": {200: {"content": content}}}


def _jpeg(data: bytes) -> Response:
    return Response(data, media_type="image/jpeg", headers={"cache-control": "no-store"})


def _health(hub: Hub, name: str) -> Health:
    for health in hub.health():
        if health.camera == name:
            return health
    raise HTTPException(404, "no such camera")


def _person(hub: Hub, person_id: int) -> PersonNow:
    for person in hub.people():
        if person.person_id == person_id:
            return person
    raise HTTPException(404, "nobody with this number is in view, or was lately")


async def _answer_to_fault(request: Request, error: Exception) -> Response:
    """The answer; the error itself goes on to the `Guard`, which reports it."""
    return refusal(500, "a fault of the program")


def _camera_state(hub: Hub, health: Health) -> CameraState:
    return camera_state(health, hub.picture(health.camera))


async def _newer_picture(hub: Hub, camera: str, number: int) -> None:
    """Wait for a picture, `FRESH_S` at most: while nobody watches, a run need not publish any."""
    until_s = time.monotonic() + FRESH_S
    while time.monotonic() < until_s:
        picture = hub.picture(camera)
        if picture is None or picture.number != number:
            return
        await asyncio.sleep(streams.POLL_S)


def _number_of(last_id: str, hub: Hub) -> int:
    """Number of the last event that a viewer has; -1 where it is of an earlier run."""
    run_id, _, number = last_id.partition("-")
    return int(number) if run_id == hub.run_id and number.isdecimal() else -1
