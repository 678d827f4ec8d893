"""What every request must pass: where it is for, whose it is, how often, how large, how slowly it comes. Plain ASGI."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from dialog_rl.serve.figures import Figures
from dialog_rl.serve.keys import Keys, Owner, Rates, is_loopback
from dialog_rl.serve.refusals import Refused, refusal

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN = ("/healthz", "/readyz")
"""What anybody may ask, as often as they like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    body: int = 256 * 1024
    """Bytes of a request."""
    body_seconds: float = 15.0
    """Seconds in which all of it must have come."""
    a_minute: float = 1200
    """Requests of one key, or one address where there are no keys. 0: as many as they like."""


class Door:
    """Goes before the application. What is refused here has not been read."""

    def __init__(self, app: App, keys: Keys, figures: Figures, limits: Limits) -> None:
        self._app, self._keys, self._figures, self._limits = app, keys, figures, limits
        self._rates = Rates(limits.a_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, complete = 0, False

        async def noted(message: MutableMapping[str, Any]) -> None:
            nonlocal status, complete
            status = message.get("status", status)
            complete = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        try:
            body = await self._admit(scope, receive)
            await self._app(scope, _once_read(body, receive), noted)
        except Exception as e:  # the border to strangers: they get a status, the log gets no word of theirs
            refused = refusal(e)
            if refused.status == 500:
                logger.error("%s %s: %s at %s", scope["method"], _route(scope), type(e).__name__, _where(e))
            if not status:
                await _refuse(refused, noted)
            elif not complete:
                raise ConnectionAbortedError("a reply broke off") from None  # closes the connection, without words
        finally:
            self._figures.count("requests_total", route=_route(scope), status=str(status))

    async def _admit(self, scope: Scope, receive: Receive) -> bytes:
        """The request's body, if it may come in. Raises Refused."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if scope["path"] in OPEN:
            return b""
        owner = self._owner(headers)
        client = (scope.get("client") or ("", 0))[0]
        if wait := self._rates.wait(owner.name if self._keys else client):
            raise Refused("too many requests; wait a little", status=429, code="rate_limited", wait=wait)
        scope.setdefault("state", {})["owner"] = owner
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return b""
        if not headers.get("content-type", "").lower().startswith("application/json"):
            raise Refused("send JSON, with Content-Type: application/json", status=415, code="not_json")
        return await self._body(headers, receive)

    def _owner(self, headers: dict[str, str]) -> Owner:
        if not self._keys and not is_loopback(_host(headers.get("host", ""))):
            # a page in somebody's browser can reach loopback under a name of its own
            raise Refused("without keys only this machine is served, by its own name", status=403, code="wrong_host")
        scheme, _, key = headers.get("authorization", "").partition(" ")
        owner = self._keys.owner(key.strip() if scheme.lower() == "bearer" else "")
        if owner is None:
            raise Refused("no such key; send it as 'Authorization: Bearer KEY'", status=401, code="invalid_api_key")
        return owner

    async def _body(self, headers: dict[str, str], receive: Receive) -> bytes:
        most = self._limits.body
        too_large = Refused(f"a request has at most {most:,} bytes", status=413, code="too_large")
        if headers.get("content-length", "0").isdigit() and int(headers.get("content-length", "0")) > most:
            raise too_large
        body = bytearray()
        deadline = time.monotonic() + self._limits.body_seconds
        while True:
            try:
                message = await asyncio.wait_for(receive(), max(0.001, deadline - time.monotonic()))
            except TimeoutError:
                raise Refused("the request did not come in time", status=408, code="too_slow") from None
            if message["type"] == "http.disconnect":
                raise Refused("the client has gone", status=499, code="gone")
            body += message.get("body", b"")
            if len(body) > most:
                raise too_large
            if not message.get("more_body", False):
                return bytes(body)


def _once_read(body: bytes, receive: Receive) -> Receive:
    """What the application receives: the body that was read, then what becomes of the connection."""
    given = False

    async def receive_read() -> MutableMapping[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_read


async def _refuse(refused: Refused, send: Send) -> None:
    body = json.dumps(refused.document()).encode()
    headers = {
        "content-type": "application/json", "content-length": str(len(body)), "connection": "close", **refused.headers()
    }  # fmt: skip
    told = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": told})
    await send({"type": "http.response.body", "body": body})


def _route(scope: Scope) -> str:
    """The route's pattern: what a client wrote into the path is in no figure."""
    return getattr(scope.get("route"), "path", "") or "other"


def _host(header: str) -> str:
    """A Host header without its port."""
    return header.rpartition("]")[0] + "]" if header.startswith("[") else header.partition(":")[0]


def _where(e: Exception) -> str:
    """The line it came from. An exception's own text may hold somebody's words."""
    frames = traceback.extract_tb(e.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "?"
