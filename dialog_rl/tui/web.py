"""The application in a browser: a server on loopback that starts a process of it for everyone who comes with the token.

textual-serve has no lock on its door. Here everything lies behind a path that is a secret, so that a page, its socket,
scripts and downloads cannot be had without it; a name that was made to point at this machine is turned away as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shlex
import signal
import socket
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from dialog_rl.errors import ConfigError
from dialog_rl.tui import place

try:
    from aiohttp import web
    from textual_serve.app_service import AppService
    from textual_serve.server import Server, to_int
except ImportError:
    raise ConfigError("chat --web needs textual-serve: pip install 'dialog_rl[web]'") from None

HOST = "127.0.0.1"
PAGE = Path(__file__).parent / "page"
"""The folder of the one page. That of textual-serve asks for a font from elsewhere, and to be clicked at first."""
PATIENCE = 10.0
"""Seconds in which a process ends that is asked to."""
GRACE = 2.0
"""Seconds that a page waits for another to leave: one that is loaded again may come before the one it replaces goes."""
FULL = (
    "\x1b[2J\x1b[H\r\n  {} may be open at once, and so many are.\r\n\r\n"
    "  Leave one of them (ctrl+q), or close its page; then load this page again.\r\n"
)
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self' ws://{host}; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class OneProcess(AppService):
    """The application for one browser. It ends with the page, if need be by force."""

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        environment = {**self._build_environment(width, height), place.VARIABLE: place.BROWSER}
        self._process = process = await asyncio.create_subprocess_exec(
            *shlex.split(self.command),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C ends the server, and the server ends it
        )
        self._stdin = process.stdin
        return process

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            await self.remote_close()

    async def on_data(self, payload: bytes) -> None:
        with contextlib.suppress(ConnectionResetError):  # what it still draws for a page that has left is let go
            await super().on_data(payload)

    async def stop(self) -> None:
        ended = asyncio.create_task(self._end())
        await asyncio.wait({ended}, timeout=PATIENCE)
        if not ended.done() and self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        await ended

    async def _end(self) -> None:
        await super().stop()
        if self._process is not None:
            await self._process.wait()


class WebServer(Server):
    """`command` for every browser, at most `sessions` at once."""

    def __init__(self, command: Sequence[str], listening: socket.socket, *, sessions: int, title: str) -> None:
        self._socket, self.sessions = listening, sessions
        self.token = secrets.token_urlsafe(24)
        port = listening.getsockname()[1]
        super().__init__(shlex.join(command), host=HOST, port=port, title=title, templates_path=PAGE)
        self._pages, self._processes = asyncio.Semaphore(sessions), asyncio.Semaphore(sessions)
        """Those that are free: a page leaves at once, its process takes a moment to end."""
        self._open: set[web.WebSocketResponse] = set()

    @property
    def address(self) -> str:
        """Where to go with a browser; whoever knows it may talk."""
        return f"{self.public_url}/{self.token}/"

    async def application(self) -> web.Application:
        """Everything behind the token, and a guard before it."""
        house = web.Application(middlewares=[self._guard])
        house.add_subapp(f"/{self.token}/", await self._make_app())
        house.on_response_prepare.append(self._mark)
        return house

    def serve(self, debug: bool = False) -> None:
        """Until SIGINT or SIGTERM. The processes of the application have ended when it returns."""
        web.run_app(self.application(), sock=self._socket, print=None, access_log=None, shutdown_timeout=2 * PATIENCE)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        here = f"{self.host}:{self.port}"
        if request.headers.getall("Host", []) != [here]:
            return web.Response(status=403, text=f"only the address http://{here} is served here\n")
        shown = request.path.split("/")[1]
        if not secrets.compare_digest(shown.encode("utf-8", "replace"), self.token.encode()):
            return web.Response(status=403, text="this is not the whole address that 'dialog-rl chat --web' has told\n")
        return await handler(request)

    async def _mark(self, request: web.Request, response: web.StreamResponse) -> None:
        for name, value in _HEADERS.items():
            response.headers[name] = value.format(host=f"{self.host}:{self.port}")

    async def on_startup(self, app: web.Application) -> None:
        """Says nothing: who started it has told the address."""

    async def on_shutdown(self, app: web.Application) -> None:
        await asyncio.gather(*(websocket.close() for websocket in self._open))

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse(heartbeat=15)
        await websocket.prepare(request)
        self._open.add(websocket)
        try:
            if await self._comes_in():
                async with self._processes:
                    await self._converse(websocket, request)
            else:
                await self._turn_away(websocket)
        except ConnectionResetError:
            pass  # whoever was there has left
        finally:
            self._open.discard(websocket)
        return websocket

    async def _comes_in(self) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                return await self._pages.acquire()
        return False

    async def _turn_away(self, websocket: web.WebSocketResponse) -> None:
        """Say why, and wait until that is read: a page whose socket closes shows nothing but that."""
        many = "1 conversation" if self.sessions == 1 else f"{self.sessions} conversations"
        await websocket.send_bytes(FULL.format(many).encode())
        async for _ in websocket:
            pass

    async def _converse(self, websocket: web.WebSocketResponse, request: web.Request) -> None:
        service = OneProcess(
            self.command,
            write_bytes=websocket.send_bytes,
            write_str=websocket.send_str,
            close=websocket.close,  # type: ignore[arg-type]
            download_manager=self.download_manager,
        )
        try:
            size = (to_int(request.query.get(name, ""), default) for name, default in (("width", 80), ("height", 24)))
            await service.start(*size)
            while not await self._handed_on(websocket, service):
                pass
        finally:
            self._pages.release()
            await service.stop()

    async def _handed_on(self, websocket: web.WebSocketResponse, service: AppService) -> bool:
        """Hand on what the browser sends, to its end. False: a message was none, and there may be more after it."""
        try:
            await self._process_messages(websocket, service)
        except (ValueError, LookupError, TypeError, AssertionError, AttributeError):
            return False
        return True


def listen(port: int) -> socket.socket:
    """A socket on loopback; port 0 is any that is free. Raises ConfigError if it is taken."""
    try:
        return socket.create_server((HOST, port))
    except OSError as e:
        raise ConfigError(f"port {port} of {HOST} cannot be had: {e.strerror}; --port 0 takes any that is free") from e


def serve(command: Sequence[str], *, port: int, sessions: int, title: str, ready: Callable[[str], Any]) -> None:
    """Serve until Ctrl-C. ready: is told the address once it can be visited. Raises ConfigError."""
    with listen(port) as listening:
        server = WebServer(command, listening, sessions=sessions, title=title)
        ready(server.address)
        server.serve()
