"""The web server: connections that dawdle are closed, and an end that is asked for lets turns be finished first."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from dialog_rl.serve.door import App

HEAD_SECONDS = 10.0
"""In which the head of a request must have come."""
STUCK_SECONDS = 30.0
"""For which a client may read nothing of what it is sent."""
CONNECTIONS = 1000


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that does not wait for ever: for a request to be begun and ended, or for a reply to be read."""

    _head: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._head = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        awaited = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        if awaited and self._head is None:
            self._head = self.loop.call_later(HEAD_SECONDS, self._give_up)
        elif not awaited and self.conn.their_state is not h11.IDLE:
            self._head = _cancelled(self._head)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck = self.loop.call_later(STUCK_SECONDS, self._give_up)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stuck = _cancelled(self._stuck)

    def connection_lost(self, exc: Exception | None) -> None:
        self._head, self._stuck = _cancelled(self._head), _cancelled(self._stuck)
        super().connection_lost(exc)

    def _give_up(self) -> None:
        self.transport.abort()


def _cancelled(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


class Server(uvicorn.Server):
    """Takes requests once `run` is called, until `should_exit` is set; a listener of its own that port 0 chooses."""

    def __init__(self, app: App, host: str, port: int, *, drain: float, listening: Callable[[str], None]) -> None:
        """drain: seconds that requests under way have when it ends. listening: told the URL once requests are taken.

        Raises OSError if the address cannot be had.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=512)
        self._listening = listening
        super().__init__(uvicorn.Config(
            app, http=PatientProtocol, ws="none", access_log=False, log_level="error", server_header=False,
            proxy_headers=False, timeout_graceful_shutdown=max(1, round(drain)), limit_concurrency=CONNECTIONS,
        ))  # fmt: skip

    _told: Callable[[], None]

    @property
    def url(self) -> str:
        address, port, *_ = self._listener.getsockname()
        return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"

    def serve_on(self) -> None:
        """Until it is asked to end; then no new request comes in, and those under way are finished."""
        url = self.url
        self._told = lambda: self._listening(url)
        try:
            self.run(sockets=[self._listener])
        finally:
            self._listener.close()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._told()


def serve_until_signalled(server: Server) -> None:
    """SIGTERM ends it as it should; Ctrl-C raises KeyboardInterrupt after that."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # uvicorn raises it once more when all is done
    try:
        server.serve_on()
    finally:
        signal.signal(signal.SIGTERM, before)
