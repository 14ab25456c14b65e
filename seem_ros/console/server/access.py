# SPDX-License-Identifier: Apache-2.0
"""Who may talk to the console: Host and Origin, token and cookie, sizes of bodies. An ASGI middleware.

A page of another site can make a browser send requests to 127.0.0.1 or to a robot's address. So the Host name must be
ours (else a foreign name could be pointed at us), and the Origin, where a browser sends one, must be the page itself.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from seem_ros.errors import PromptError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

# a photograph of a phone for a reference is the largest thing that is ever sent
MAX_BODY_BYTES = 8 * 1024 * 1024
# no browser sends longer ones, and a cookie parser should not see them
MAX_HEADER_BYTES = 4096
# 128 bits, as tokens of other tools (Jupyter's has 192)
MIN_TOKEN_CHARACTERS = 16
_HEADERS = (
    # no script, style, picture or connection from anywhere else, no inline code, and no frame around the page
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True)
class Access:
    """The rules.

    Attributes:
        host: Address that is listened on.
        port: The port.
        token: Must be shown once by a browser; empty = not needed, which only a loopback address may do.
        allowed_hosts: Further Host names, in small letters; one with a port (``localhost:9000``) is what a tunnel or a
            container shows in place of the port that is listened on.

    Raises:
        PromptError: Another address than loopback without a token, or a token that can be guessed.
    """

    host: str
    port: int
    token: str = ""
    allowed_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.token and not is_loopback(self.host):
            raise PromptError(f"the address {self.host} can be reached from elsewhere and needs a token")
        if self.token and len(self.token) < MIN_TOKEN_CHARACTERS:
            raise PromptError(
                f"a token must have at least {MIN_TOKEN_CHARACTERS} characters, got {len(self.token)}; leave it out to "
                "have one drawn"
            )

    @property
    def cookie_name(self) -> str:
        """One per port: cookies do not tell ports apart."""
        return f"seem_console_{self.port}"

    @property
    def cookie(self) -> str:
        """What the browser keeps in place of the token."""
        return hmac.new(self.token.encode(), b"seem console session", hashlib.sha256).hexdigest()

    def knows_host(self, header: str) -> bool:
        """Whether a Host header names this console.

        Names can be pointed at any address by whoever owns them, numbers cannot: those are taken as they are.
        """
        try:
            parts = urlsplit(f"//{header}")
            name, port = (parts.hostname or "").rstrip("."), parts.port
        except ValueError:
            return False
        if parts.username is not None or parts.path or parts.query:
            return False
        if header.lower() in self.allowed_hosts:
            return True
        if port not in (self.port, None):
            return False
        if name in self.allowed_hosts:
            return True
        if is_loopback(name):
            return True
        if is_loopback(self.host):
            return False
        own = socket.gethostname().lower()
        try:
            ipaddress.ip_address(name)
            return True
        except ValueError:
            return name in (own, f"{own}.local", self.host.lower())

    @staticmethod
    def is_own_origin(origin: str, host: str) -> bool:
        """Whether an Origin header is the page that the Host header names."""
        return origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower())

    def has_cookie(self, header: str) -> bool:
        """Whether a Cookie header holds the right one."""
        if not self.token:
            return True
        try:
            morsel = SimpleCookie(header).get(self.cookie_name)
        except CookieError:
            return False
        return morsel is not None and hmac.compare_digest(morsel.value.encode(), self.cookie.encode())

    def has_token(self, query: bytes) -> bool:
        """Whether a query string holds the right token."""
        given = parse_qs(query.decode("latin-1"), max_num_fields=8).get("token", [""])[0]
        return bool(self.token) and hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode())


class Guard:
    """Lets through what the rules allow.

    Args:
        app: The application behind it.
        access: The rules.
    """

    def __init__(self, app: Any, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or socket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await _refuse(scope, send, *refusal)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        if self._access.token and scope["path"] == "/" and self._access.has_token(scope["query_string"]):
            cookie = f"{self._access.cookie_name}={self._access.cookie}; HttpOnly; SameSite=Lax; Path=/"
            await _answer(send, 303, b"", ((b"location", b"/"), (b"set-cookie", cookie.encode())))
            return
        await self._app(scope, _limited(receive), _with_headers(send))

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers: dict[bytes, str] = {}
        for name, value in scope["headers"]:
            if name in headers and name in (b"host", b"origin", b"cookie", b"content-length"):
                return 400, f"more than one {name.decode('latin-1')} header"
            if len(value) > MAX_HEADER_BYTES:
                return 431, f"a header may have {MAX_HEADER_BYTES} bytes"
            headers[name] = value.decode("latin-1")
        access, host = self._access, headers.get(b"host", "")
        if not access.knows_host(host):
            return 421, (
                f"this console does not go by the name {host[:80]!r}; use its address, or start it with "
                "--allow-host NAME or NAME:PORT"
            )
        origin = headers.get(b"origin")
        if origin is not None and not access.is_own_origin(origin, host):
            return 403, "the request comes from a page of another site"
        try:
            length = int(headers.get(b"content-length", "0"))
        except ValueError:
            return 400, "content-length is not a number"
        if length > MAX_BODY_BYTES:
            return 413, f"a body may have {MAX_BODY_BYTES} bytes, got {length}"
        shown = scope["type"] == "http" and scope["path"] == "/" and access.has_token(scope["query_string"])
        if not shown and not access.has_cookie(headers.get(b"cookie", "")):
            return 403, (
                "this console needs its token: open the address that it printed when it was started "
                "(http://.../?token=...)"
            )
        return None


class BodyTooLargeError(Exception):
    """More bytes came than were announced, or than are allowed."""


def _limited(receive: Receive) -> Receive:
    """Count the bytes of a body that came without a length."""
    count = 0

    async def counted() -> Any:
        nonlocal count
        event = await receive()
        if event["type"] == "http.request":
            count += len(event.get("body", b""))
            if count > MAX_BODY_BYTES:
                raise BodyTooLargeError
        return event

    return counted


def _with_headers(send: Send) -> Send:
    async def wrapped(event: Any) -> None:
        if event["type"] == "http.response.start":
            event = {**event, "headers": [*event.get("headers", ()), *_HEADERS]}
        await send(event)

    return wrapped


async def _refuse(scope: Scope, send: Send, status: int, reason: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 4000 + status, "reason": reason[:100]})
        return
    await _answer(send, status, reason.encode("utf-8", "replace"))


async def _answer(send: Send, status: int, body: bytes, more: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *_HEADERS, *more]})
    await send({"type": "http.response.body", "body": body})
