"""A real browser without a window, spoken to in its own protocol: no library but the one the server is made with."""

from __future__ import annotations

import asyncio
import base64
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WAIT = 60.0
"""Seconds after which what never came is a failure."""
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1000,640",
    "--remote-debugging-port=0",
)  # fmt: skip


class Tab:
    """One page: keys in, and what its sockets and its console said."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._asked = 0
        self.drawn = ""
        """Everything that was sent to the page to be drawn."""
        self.asked: list[str] = []
        """Every address that the page wanted something from."""
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for message in self._socket:
            told = message.json()
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told)
            elif told["method"] == "Network.webSocketFrameReceived":
                frame = told["params"]["response"]
                if frame["opcode"] == 2:
                    self.drawn += base64.b64decode(frame["payloadData"]).decode("utf-8", "replace")
            elif told["method"] == "Network.responseReceived":
                self.asked.append(told["params"]["response"]["url"])

    async def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._asked += 1
        number = self._asked
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        told = await asyncio.wait_for(answer, WAIT)
        assert "error" not in told, told
        return told["result"]

    async def open(self, address: str) -> None:
        for domain in ("Network", "Page"):
            await self.do(f"{domain}.enable")
        await self.do("Emulation.setFocusEmulationEnabled", enabled=True)  # as if its window were the one typed at
        await self.do("Page.navigate", url=address)

    async def type(self, text: str) -> None:
        for char in text:
            await self.do("Input.dispatchKeyEvent", type="keyDown", text=char, key=char)
            await self.do("Input.dispatchKeyEvent", type="keyUp", key=char)

    async def press(self, key: str, code: int, *, ctrl: bool = False) -> None:
        """A key by its name and its virtual key code."""
        how = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 2 if ctrl else 0}
        await self.do("Input.dispatchKeyEvent", type="rawKeyDown" if ctrl else "keyDown", **how)
        await self.do("Input.dispatchKeyEvent", type="keyUp", **how)

    async def until(self, holds: Callable[[], object], what: str) -> None:
        deadline = asyncio.get_running_loop().time() + WAIT
        while not holds():
            assert asyncio.get_running_loop().time() < deadline, f"waited in vain for {what}: {self.drawn[-2000:]!r}"
            await asyncio.sleep(0.05)

    async def picture(self, file: Path) -> None:
        told = await self.do("Page.captureScreenshot", format="png")
        file.write_bytes(base64.b64decode(told["data"]))


@asynccontextmanager
async def tab(profile: Path) -> AsyncIterator[Tab]:
    """A browser with a profile of its own, and one page in it."""
    assert PROGRAM is not None
    process = subprocess.Popen(
        [PROGRAM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port_file = profile / "DevToolsActivePort"
        async with asyncio.timeout(WAIT):
            while not port_file.exists() or "\n" not in port_file.read_text():
                assert process.poll() is None, "the browser does not start"
                await asyncio.sleep(0.1)
        port = port_file.read_text().splitlines()[0]
        async with aiohttp.ClientSession() as client:
            async with client.get(f"http://127.0.0.1:{port}/json/list") as reply:
                (page,) = [one for one in await reply.json() if one["type"] == "page"]
            async with client.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Tab(socket)
    finally:
        process.terminate()
        process.wait(20)
