"""The application with a scripted voice: driven by keys, waited for by what it shows, never by the clock."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textual import events
from textual.pilot import Pilot
from textual.widgets import Static

from dialog_rl.chat.room import ChatRoom
from dialog_rl.chat.session import ChatSession
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.errors import DialogRLError
from dialog_rl.tui.app import DialogApp
from dialog_rl.tui.chat import ChatScreen
from dialog_rl.tui.desk import Desk
from dialog_rl.tui.preferences import Preferences
from dialog_rl.tui.transcript import TurnView, views
from tests.chat.scripted import Gate, Line, ScriptedVoices, db, stage

WAIT = 20.0
"""Seconds after which something that never came is a failure; what comes is not waited for longer than it takes."""


@dataclass
class Loading:
    """A model that is loaded when the test says so."""

    loaded: threading.Event = field(default_factory=threading.Event)
    failure: DialogRLError | None = None

    def prepare(self) -> str:
        self.loaded.wait()
        if self.failure is not None:
            raise self.failure
        return "v1"


class Shown:
    """A running application and what can be seen of it."""

    def __init__(self, app: DialogApp, pilot: Pilot[Any], voices: ScriptedVoices) -> None:
        self.app, self.pilot, self.voices = app, pilot, voices
        self.log = app.desk.room.log

    @property
    def chat(self) -> ChatScreen:
        return self.app.chat

    @property
    def session(self) -> ChatSession:
        return self.chat.session

    @property
    def turns(self) -> list[TurnView]:
        return views(self.chat)

    @property
    def typed(self) -> str:
        return self.chat.composer.text

    def text(self, selector: str) -> str:
        """What the first such widget says; empty if it is not displayed."""
        widget = self.chat.query(selector).first(Static)
        return str(widget.visual) if widget.display else ""

    @property
    def status(self) -> str:
        return self.text("#status")

    @property
    def toasts(self) -> list[str]:
        return [notification.message for notification in self.app._notifications]

    async def until(self, holds: Callable[[], object]) -> None:
        """Until it holds. Fails if it does not come to that."""
        for _ in range(int(WAIT / 0.01)):
            if holds():
                await self.pilot.pause()
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"waited in vain; status {self.status!r}, toasts {self.toasts}")

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        """Text put in where the focus is, at once: pressing keys one by one takes the pilot long."""
        self.app.post_message(events.Paste(text))
        await self.pilot.pause()

    async def say(self, text: str) -> None:
        """Type, send, and hear the answer."""
        number = len(self.session.turns)
        await self.type(text)
        await self.press("enter")
        await self.until(lambda: len(self.session.turns) > number and not self.chat.speaking.busy)

    def ratings(self) -> list[Any]:
        return list(self.log.ratings(self.session.id))


@asynccontextmanager
async def shown(
    folder: Path,
    *lines: Line,
    size: tuple[int, int] = (80, 24),
    gate: Gate | None = None,
    loading: Loading | None = None,
    begin: Callable[[ChatRoom], ChatSession] = lambda room: room.new("retail", 1),
    desk: Callable[[Desk], Desk] = lambda desk: desk,
    preferences: Preferences | None = None,
) -> AsyncIterator[Shown]:
    """The application on a terminal of its own, its model loaded unless `loading` says otherwise."""
    voices = ScriptedVoices(*lines, gate=gate)
    prepare = loading.prepare if loading else lambda: voices.version
    with EpisodeLog.open(db(folder)) as log:
        room = ChatRoom(folder, log, voices, stage)
        made = Desk(room=room, first=begin(room), prepare=prepare, preferences=preferences or Preferences())
        app = DialogApp(desk(made))
        async with app.run_test(size=size) as pilot:
            there = Shown(app, pilot, voices)
            if loading is None:
                await there.until(lambda: there.chat.ready)
            try:
                yield there
            finally:
                if loading is not None:
                    loading.loaded.set()
                if gate is not None:
                    gate.open()


def run(scene: Callable[[], Any]) -> None:
    """A test is a scene played to its end."""
    asyncio.run(scene())


def words(lines: Sequence[str]) -> str:
    return " ".join(lines)
