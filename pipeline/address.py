"""What the source of a camera means, and how it is shown without credentials.

A source is a file, a folder of images, the address of a stream or a device; `PATH?live` is a file
that is played as if it were live. `config.source` is for opening only. Whatever is printed, stored
or served takes `Address.shown`, and texts of libraries go through `Address.clean`: FFmpeg puts the
address with its password into errors.

Hiding is cautious, since passwords hold any character, also where an address may not: all between
`://` and the last `@` is hidden, and so are values whose names sound like a secret. In return, an
address with an `@` further on is shown without its host; %40 in its place helps.
"""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote

from models.errors import HIDDEN, SECRET_WORDS, hide_credentials
from pipeline.errors import SourceError

Kind = Literal["file", "folder", "stream", "device"]

LIVE = "?live"
STREAM = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://", re.ASCII)
"""One letter and a colon are a drive of Windows."""
DEVICE = re.compile(r"/dev/(video\d+|v4l/.+)", re.ASCII)
NUMBER = re.compile(r"\d{1,3}", re.ASCII)
VARIABLE = re.compile(r"\$\{(\w+)\}")
MISTYPED_STREAM = re.compile(r"(?:[^/\\]{2,}:|(?:rtsp|rtmp|http)s?//).*@", re.DOTALL)
"""`user:password@host` without a scheme, or with a misspelt one; or a file, if there is one."""
IN_QUERY = re.compile(rf"([^&?=/]*(?:{SECRET_WORDS})[^&?=/]*)=([^&]*)", re.IGNORECASE)
USUAL_PORTS = {
    "rtsp://": ":554",
    "rtsps://": ":322",
    "rtmp://": ":1935",
    "http://": ":80",
    "https://": ":443",
}
MAX_NAME = 60
"""Longest name of a camera that is made from an address, characters."""


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """The source of a camera.

    Attributes:
        kind: what it is; a folder is one only while it exists, and anything unknown is a file.
        is_live: it is read as it comes, and not to its end: streams, devices and `PATH?live`.
        path: of a file, folder or device; "" for a stream.
    """

    kind: Kind
    is_live: bool
    path: str
    _source: str
    _is_mistyped: bool = False

    @classmethod
    def parse(cls, source: str) -> "Address":
        """Read the source of a camera, as settings and the command line give it."""
        if STREAM.match(source):
            return cls("stream", True, "", source)
        if DEVICE.fullmatch(source):
            return cls("device", True, source, source)
        if NUMBER.fullmatch(source) and not _exists(source):
            is_linux = sys.platform.startswith("linux")
            return cls("device", True, f"/dev/video{source}" if is_linux else source, source)
        path = source.removesuffix(LIVE)
        kind: Kind = "folder" if _is_folder(path) else "file"
        is_mistyped = bool(MISTYPED_STREAM.match(source)) and not _exists(path)
        return cls(kind, path != source, path, source, is_mistyped)

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    @property
    def shown(self) -> str:
        """The source without credentials; `${NAME}` stays, and all else that is secret is ***."""
        if self.kind == "stream":
            return _without_secrets(self._source)
        if self._is_mistyped:
            return f"{HIDDEN}@{self._source.rpartition('@')[2]}"
        return self._source

    @property
    def host_shown(self) -> str:
        """As `shown`, without a path: that of a webhook is its secret, unless it names one."""
        scheme, login, rest = _split(self.shown)
        if self.kind != "stream" or VARIABLE.search(rest):
            return self.shown
        host, slash, _ = rest.partition("/")
        return f"{scheme}{login}{'@' if login else ''}{host}{slash}{HIDDEN if slash else ''}"

    @property
    def name(self) -> str:
        """A name for the camera: that of the file or device, or host and path of the stream."""
        if self.kind == "stream":
            return _stream_name(self.shown)
        if self.kind == "device":
            return f"video{self._source}" if self._source.isdigit() else Path(self.path).name
        shown = self.shown.removesuffix(LIVE)
        return Path(shown.rstrip("/")).stem

    def resolve(self, environ: Mapping[str, str] = os.environ) -> str:
        """Return what to open; in the address of a stream, `${NAME}` becomes what it stands for.

        Args:
            environ: Values by name, as they are: in credentials and queries, characters that have a
                meaning there are encoded.

        Raises:
            SourceError: A name has no value, or the address was stored without its credentials.
        """
        if self.kind != "stream":
            return self.path
        for name in VARIABLE.findall(self._source):
            if name not in environ:
                raise SourceError(
                    f"{self.shown}: the environment has no variable {name}; set it, for example"
                    f" with export {name}=..."
                )
        scheme, login, rest = _split(self._source)
        secrets = [*login.split(":"), *rest.split("/"), *_secret_values(rest)]
        if HIDDEN in secrets:
            raise SourceError(
                f"{self.shown}: credentials are not stored with results, so *** stands in their"
                " place; give them again, best as ${NAME} from the environment"
            )
        path, mark, query = rest.partition("?")
        is_one_variable = VARIABLE.fullmatch(login)  # perhaps user:password
        login = _expand(login, environ, ":" if is_one_variable else "")
        path = _expand(path, environ, None)
        query = _expand(query, environ, "")
        return f"{scheme}{login}{'@' if login else ''}{path}{mark}{query}"

    def clean(self, text: str, environ: Mapping[str, str] = os.environ) -> str:
        """Return a text of a library, which may name the address or a part, without credentials.

        Args:
            text: Any text: an error, a line of a log.
            environ: As for `resolve`.
        """
        if self.kind != "stream":
            return text.replace(self._source, self.shown)
        for whole in (self._expanded(environ), self._source):
            text = text.replace(whole, self.shown)
        hidden = hide_credentials(text.replace(self.shown, "\0"))
        for secret in sorted(self._secrets(environ), key=len, reverse=True):
            hidden = hidden.replace(secret, HIDDEN)
        return hidden.replace("\0", self.shown)

    def _expanded(self, environ: Mapping[str, str]) -> str:
        try:
            return self.resolve(environ)
        except SourceError:
            return self._source

    def _secrets(self, environ: Mapping[str, str]) -> set[str]:
        """Credentials in all forms: as given, decoded, encoded, and as the environment has them."""
        secrets = {environ[name] for name in VARIABLE.findall(self._source) if name in environ}
        for address in (self._source, self._expanded(environ)):
            _, login, rest = _split(address)
            user, _, password = login.partition(":")
            secrets |= {login, user, password, *_secret_values(rest)}
        secrets |= {unquote(secret) for secret in secrets}
        secrets |= {quote(secret, safe="") for secret in secrets}
        return {secret for secret in secrets if secret and not VARIABLE.fullmatch(secret)}


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):  # ValueError: a zero byte in the name
        return False


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def _split(address: str) -> tuple[str, str, str]:
    """Scheme with ://, credentials, and the rest of an address."""
    scheme, mark, rest = address.partition("://")
    login, at, after = rest.rpartition("@")
    return (scheme + mark, login, after) if at else (scheme + mark, "", rest)


def _secret_values(rest: str) -> list[str]:
    return [value for _, value in IN_QUERY.findall(rest)]


def _without_secrets(address: str) -> str:
    scheme, login, rest = _split(address)
    rest = IN_QUERY.sub(_hidden_value, rest)
    if "@" not in address:
        return scheme + rest
    user, colon, password = login.partition(":")
    return f"{scheme}{_hidden(user)}{colon}{_hidden(password)}@{rest}"


def _hidden(secret: str) -> str:
    """A part of an address that is secret, but for a name in the environment."""
    return secret if not secret or VARIABLE.fullmatch(secret) else HIDDEN


def _hidden_value(found: re.Match[str]) -> str:
    return f"{found[1]}={_hidden(found[2])}"


def _expand(text: str, environ: Mapping[str, str], safe: str | None) -> str:
    """A text with the values of its variables; encoded but for `safe`, unless that is None."""

    def value(found: re.Match[str]) -> str:
        raw = environ[found[1]]
        return raw if safe is None else quote(raw, safe=safe)

    return VARIABLE.sub(value, text)


def _stream_name(shown: str) -> str:
    """Host, path and channel of an address: of `?channel=2&subtype=0`, 2 and 0 tell the camera.

    So does an unusual port, of cameras behind one router.
    """
    scheme, _, rest = _split(shown)
    path, _, query = rest.partition("?")
    host, *folders = path.split("/")
    host = host.removesuffix(USUAL_PORTS.get(scheme.lower(), ""))
    values = [parameter.rpartition("=")[2] for parameter in query.split("&")]
    numbers = [value for value in values if NUMBER.fullmatch(value)]
    parts = [
        re.sub(r"[^\w.-]+", "_", part).strip("_")
        for part in (host, *folders, *numbers)
        if HIDDEN not in part
    ]
    return "_".join(part for part in parts if part)[:MAX_NAME]
