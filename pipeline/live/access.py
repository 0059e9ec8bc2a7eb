"""Who may see the page of a live run, and who may change something.

- On any address that other machines can reach a token is needed, in the header
  `Authorization: Bearer TOKEN` or in a cookie that is made from it. It is never part of a URL,
  since URLs are logged. HTTP does not encrypt it: a network that is not trusted needs a proxy with
  TLS.
- On this machine alone (loopback) everybody on it may see the page, unless there is a token. The
  `Host` header must then name this machine: otherwise a web page could reach it under a name of its
  own (DNS rebinding).
- Other web pages that are open in the same browser may neither show nor load anything of it, which
  browsers tell by `Sec-Fetch-Site`.
- What changes something needs the token in a header, or a request from the page itself.
"""

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie

from pipeline.address import VARIABLE
from pipeline.config import ServeConfig
from pipeline.errors import ConfigError

COOKIE = "people_tracker"
COOKIE_DAYS = 30
MIN_TOKEN_LENGTH = 16
Headers = Mapping[str, str]
"""Names in small letters."""


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of one server.

    Attributes:
        token: "" where none is needed.
    """

    token: str = field(repr=False)

    @classmethod
    def of(cls, serve: ServeConfig, environ: Mapping[str, str]) -> "Access":
        """Return the rules that a config asks for.

        Raises:
            ConfigError: A token is missing or too short.
        """
        token = _expanded(serve.token, environ)
        if not token and not is_loopback(serve.host):
            raise ConfigError(
                f"serve.host={serve.host}: other machines can reach it, so it needs serve.token,"
                " for example ${TOKEN} from the environment; or take 127.0.0.1"
            )
        if token and (len(token) < MIN_TOKEN_LENGTH or not token.isascii()):
            raise ConfigError(
                f"serve.token: take at least {MIN_TOKEN_LENGTH} ASCII characters that nobody can"
                " guess, for example those of: openssl rand -hex 16"
            )
        return cls(token)

    def knows_host(self, headers: Headers) -> bool:
        """Whether the server is addressed by a name of its own; with a token, any name will do."""
        return bool(self.token) or is_loopback(_host_name(headers.get("host", "")))

    def may_see(self, headers: Headers) -> bool:
        """Whether a request has the token, if one is needed."""
        return not self.token or self.has_token(headers) or self._has_cookie(headers)

    def may_change(self, headers: Headers) -> bool:
        """Whether a request that changes something comes from the page or has the token itself."""
        return self.has_token(headers) or is_same_origin(headers)

    def has_token(self, headers: Headers) -> bool:
        """Whether a request has the token in its `Authorization` header."""
        kind, _, given = headers.get("authorization", "").partition(" ")
        is_equal = hmac.compare_digest(given.strip().encode(), self.token.encode())
        return bool(self.token) and kind.lower() == "bearer" and is_equal

    @property
    def cookie(self) -> str:
        """Value of the cookie: it follows from the token, and the token does not follow from it."""
        return hmac.new(self.token.encode(), b"cookie of the page", hashlib.sha256).hexdigest()

    def _has_cookie(self, headers: Headers) -> bool:
        try:
            given = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        value = "" if given is None else given.value
        return hmac.compare_digest(value.encode(), self.cookie.encode())


def _expanded(token: str, environ: Mapping[str, str]) -> str:
    """A token with the values of its variables. Raises ConfigError."""
    for name in VARIABLE.findall(token):
        if name not in environ:
            raise ConfigError(
                f"serve.token: the environment has no variable {name}; set it, for example with"
                f" export {name}=$(openssl rand -hex 16)"
            )
    return VARIABLE.sub(lambda found: environ[found[1]], token)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, and cannot be reached from others."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_same_origin(headers: Headers) -> bool:
    """Whether a request was made by a page of this server."""
    host = headers.get("host", "")
    return bool(host) and headers.get("origin") in (f"http://{host}", f"https://{host}")


def is_foreign(headers: Headers) -> bool:
    """Whether another web page loads something of this server; following a link is allowed."""
    site = headers.get("sec-fetch-site", "none")
    is_link = headers.get("sec-fetch-mode") == "navigate" and (
        headers.get("sec-fetch-dest") == "document"
    )
    return site in ("cross-site", "same-site") and not is_link


def _host_name(host: str) -> str:
    """A `Host` header without the port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
