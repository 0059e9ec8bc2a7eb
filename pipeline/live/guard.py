"""Lets requests to the page of a live run through, or refuses them; see `pipeline.live.access`."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse

from models.errors import one_line
from pipeline.live import access
from pipeline.live.access import Access

SECURITY_HEADERS = {
    b"content-security-policy": (
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:;"
        b" connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
}
PUBLIC = ("/", "/healthz", "/login")
"""Paths, beside those of the files of the page, that answer without a token what is no secret."""
Report = Callable[[str], object]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Guard:
    """Lets requests through that `Access` allows, and adds the headers that keep browsers strict.

    Args:
        app: what answers.
        rules: who may do what.
        report: gets one line for each error of the app, which is a fault of the program.
    """

    def __init__(self, app: App, rules: Access, report: Report) -> None:
        self._app = app
        self._rules = rules
        self._report = report

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return

        async def send_strictly(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *SECURITY_HEADERS.items()]
            await send(message)

        answer = self._refusal(scope) or self._app
        try:
            await answer(scope, receive, send_strictly)
        except Exception as error:  # noqa: BLE001 - the edge of the server: it is reported
            path = scope["raw_path"].decode("ascii", "replace")  # without the query
            self._report(f"serve: {path}: {type(error).__name__}: {one_line(error)}")

    def _refusal(self, scope: Scope) -> Response | None:
        """The answer to a request that may not be served; None for others."""
        headers = headers_of(scope)
        path = scope["path"]
        if not self._rules.knows_host(headers):
            return refusal(421, "the page is served as localhost and 127.0.0.1 only")
        if access.is_foreign(headers):
            return refusal(403, "other web pages may not load anything from here")
        is_public = path in PUBLIC or path.startswith("/page/")
        if not is_public and not self._rules.may_see(headers):
            refused = refusal(401, "a token is needed: Authorization: Bearer TOKEN, or log in at /")
            refused.headers["www-authenticate"] = "Bearer"
            return refused
        if scope["method"] not in ("GET", "HEAD") and not self._rules.may_change(headers):
            return refusal(403, "this needs the token, or a request from the page itself")
        return None


def refusal(code: int, detail: str) -> Response:
    """Return an answer that says in JSON why there is no other."""
    return JSONResponse({"detail": detail}, code)


def headers_of(scope: Scope) -> dict[str, str]:
    """Return the headers of a request; of one that is repeated, none."""
    headers: dict[str, str] = {}
    repeated = set()
    for name_bytes, value in scope["headers"]:
        name = name_bytes.decode("latin-1").lower()
        if name in headers:
            repeated.add(name)
        headers[name] = value.decode("latin-1")
    return {name: value for name, value in headers.items() if name not in repeated}
