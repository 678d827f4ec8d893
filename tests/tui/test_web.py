"""The application in a browser: who may come in, how many, what becomes of their processes, and that it can be used.

WEB_PICTURE=FILE keeps the picture that the browser took.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

pytest.importorskip("aiohttp", reason="the extra 'web' is not installed")
pytest.importorskip("textual_serve", reason="the extra 'web' is not installed")

import aiohttp  # noqa: E402
import aiohttp.web  # noqa: E402

from dialog_rl.episode_log.log import EpisodeLog  # noqa: E402
from dialog_rl.tui import web  # noqa: E402
from tests.chat.scripted import db  # noqa: E402
from tests.tui import chromium, scripted_web  # noqa: E402
from tests.tui.desk import run  # noqa: E402
from tests.tui.tmux import ROOT, WAIT  # noqa: E402


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # where tests.tui.scripted_chat is found


@asynccontextmanager
async def served(*command: str, sessions: int = 2) -> AsyncIterator[web.WebServer]:
    with web.listen(0) as listening:
        server = web.WebServer(command, listening, sessions=sessions, title="test")
        runner = aiohttp.web.AppRunner(await server.application(), shutdown_timeout=10)
        await runner.setup()
        await aiohttp.web.SockSite(runner, listening).start()
        try:
            yield server
        finally:
            await runner.cleanup()


class Page:
    """What a browser does, without one."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket, self.drawn = socket, ""

    async def send(self, text: str) -> None:
        await self.socket.send_json(["stdin", text])

    async def until_drawn(self, text: str) -> None:
        async with asyncio.timeout(WAIT):
            while text not in self.drawn:
                message = await self.socket.receive()
                assert message.type is aiohttp.WSMsgType.BINARY, (message, self.drawn)
                self.drawn += message.data.decode("utf-8", "replace")


@asynccontextmanager
async def page(address: str) -> AsyncIterator[Page]:
    async with aiohttp.ClientSession() as client, client.ws_connect(f"{address}ws?width=80&height=24") as socket:
        yield Page(socket)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT):
        while not holds():
            await asyncio.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


PLACES = ("", "ws", "static/js/textual.js", "download/1")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("prefix", ["", "wrong/", "é/"])
def test_nothing_can_be_had_without_the_token(place: str, prefix: str) -> None:
    async def scene() -> None:
        async with served("false") as server, aiohttp.ClientSession() as client:
            async with client.get(f"{server.public_url}/{prefix}{place}") as reply:
                assert reply.status == 403 and server.token not in await reply.text()

    run(scene)


@pytest.mark.parametrize("place", PLACES)
def test_another_name_of_this_machine_is_turned_away_even_with_the_token(place: str) -> None:
    async def scene() -> None:
        async with served("false") as server, aiohttp.ClientSession() as client:
            for name in (f"evil.example:{server.port}", f"localhost:{server.port}", "127.0.0.1"):
                async with client.get(server.address + place, headers={"Host": name}) as reply:
                    assert reply.status == 403

    run(scene)


def test_whoever_has_the_token_gets_the_page_which_may_ask_nobody_else_for_anything() -> None:
    async def scene() -> None:
        async with served("false") as server, aiohttp.ClientSession() as client:
            async with client.get(server.address) as reply:
                assert reply.status == 200 and f"{server.address[4:]}ws" in await reply.text()
                assert reply.headers["Content-Security-Policy"].startswith("default-src 'self';")
                assert reply.headers["Referrer-Policy"] == "no-referrer"
            async with client.get(f"{server.address}static/js/textual.js") as reply:
                assert reply.status == 200

    run(scene)


def test_every_server_has_a_token_of_its_own_and_is_heard_on_loopback_only() -> None:
    with web.listen(0) as one, web.listen(0) as other:
        servers = [web.WebServer(["false"], each, sessions=1, title="") for each in (one, other)]
        assert servers[0].token != servers[1].token and min(len(s.token) for s in servers) >= 32
        assert one.getsockname()[0] == "127.0.0.1"


def test_a_taken_port_is_said_so() -> None:
    with web.listen(0) as listening, pytest.raises(web.ConfigError, match="--port 0"):
        web.listen(listening.getsockname()[1])


def test_a_message_is_answered_and_rated_and_a_closed_page_ends_the_process_but_not_the_conversation(
    tmp_path: Path,
) -> None:
    (tmp_path / "open").touch()

    async def scene() -> None:
        async with served(*scripted_web.command(tmp_path, "Hello, what can I do?")) as server:
            async with page(server.address) as there:
                await there.until_drawn("v1")
                await there.send("hi\r")
                await there.until_drawn("what can I do?")
                await there.send("\x07half a sen")
                await there.until_drawn("good")
                await there.until_drawn("sen")
                pid = int((tmp_path / "pid").read_text())
            await until(lambda: not is_alive(pid))

    run(scene)
    with EpisodeLog.open(db(tmp_path)) as log:
        (found,) = log.open_conversations()
        assert [turn.reply for turn in found.episode.turns] == ["Hello, what can I do?"]
        assert [rating.value for rating in log.ratings(found.episode.episode_id)] == [1.0]
    assert (tmp_path / "draft.txt").read_text() == "half a sen"


def test_messages_that_are_none_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "open").touch()

    async def scene() -> None:
        async with served(*scripted_web.command(tmp_path, "yes")) as server, page(server.address) as there:
            await there.until_drawn("v1")
            for message in ("", "{}", "[]", '["stdin"]', '["stdin", 5]', '["resize", {}]', '["stdin", "\\ud800"]'):
                await there.socket.send_str(message)
            await there.send("hi\r")
            await there.until_drawn("yes")

    run(scene)


def test_one_too_many_is_told_so_and_starts_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "GRACE", 0.5)

    async def scene() -> None:
        async with served(*scripted_web.command(tmp_path), sessions=1) as server, page(server.address) as there:
            await there.until_drawn("v1")
            (tmp_path / "pid").unlink()
            async with page(server.address) as another:
                await another.until_drawn("1 conversation may be open at once")
            assert not (tmp_path / "pid").exists()

    run(scene)


def test_a_page_that_is_loaded_again_waits_for_the_one_it_replaces(tmp_path: Path) -> None:
    async def scene() -> None:
        async with served(*scripted_web.command(tmp_path), sessions=1) as server, page(server.address) as there:
            await there.until_drawn("v1")
            async with page(server.address) as another:
                await there.socket.close()
                await another.until_drawn("v1")

    run(scene)


def test_a_process_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(web, "PATIENCE", 0.3)
    stubborn = f"echo $$ > {tmp_path}/pid.new; mv {tmp_path}/pid.new {tmp_path}/pid; exec sleep 600"

    async def scene() -> None:
        async with served("sh", "-c", stubborn) as server:
            async with page(server.address):
                await until((tmp_path / "pid").exists)
                pid = int((tmp_path / "pid").read_text())
            await until(lambda: not is_alive(pid))

    run(scene)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda s: s.name)
def test_the_server_ends_with_all_its_processes(tmp_path: Path, number: signal.Signals) -> None:
    server = subprocess.Popen([sys.executable, "-m", "tests.tui.scripted_web", str(tmp_path), "2"])
    try:

        async def scene() -> None:
            await until((tmp_path / "address").exists)
            async with page((tmp_path / "address").read_text()) as there:
                await there.until_drawn("v1")
                server.send_signal(number)
                await until(lambda: server.poll() is not None)

        run(scene)
        assert server.returncode == (-number if number == signal.SIGKILL else 0)
        pid, deadline = int((tmp_path / "pid").read_text()), time.monotonic() + WAIT
        while is_alive(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not is_alive(pid)
    finally:
        server.kill()
        server.wait()


@pytest.mark.skipif(chromium.PROGRAM is None, reason="needs Chromium")
def test_a_real_browser_chats_and_rates(tmp_path: Path) -> None:
    (tmp_path / "open").touch()
    picture = tmp_path / "picture.png"

    async def scene() -> None:
        command = scripted_web.command(tmp_path, "Of course. What is your order number, please?")
        async with served(*command) as server, chromium.tab(tmp_path / "profile") as tab:
            await tab.open(server.address)
            await tab.until(lambda: "v1" in tab.drawn, "the application")
            await tab.type("where is my parcel?")
            await tab.until(lambda: "parcel?" in tab.drawn, "what was typed")
            await tab.press("Enter", 13)
            await tab.until(lambda: "order number" in tab.drawn, "the reply")
            await tab.press("g", 71, ctrl=True)
            await tab.until(lambda: "▲ good" in tab.drawn, "the rating")
            await tab.picture(picture)
            assert all(address.startswith(server.public_url) for address in tab.asked), tab.asked

    run(scene)
    with EpisodeLog.open(db(tmp_path)) as log:
        (found,) = log.open_conversations()
        (turn,) = found.episode.turns
        assert turn.user.text == "where is my parcel?" and turn.reply.startswith("Of course")
        assert [rating.value for rating in log.ratings(found.episode.episode_id)] == [1.0]
    assert picture.stat().st_size > 10_000
    if "WEB_PICTURE" in os.environ:
        shutil.copy(picture, os.environ["WEB_PICTURE"])
