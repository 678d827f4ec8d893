"""The application with a scripted voice: driven by keys, waited for by what it shows, never by the clock."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textual import events
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static

from dialog_rl.chat.pairs import another_answer, settle
from dialog_rl.chat.room import ChatRoom
from dialog_rl.chat.session import ChatSession
from dialog_rl.chat.talk import Talk
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
HOPS = 4
"""Queues that a message passes at most: application, screen, widget, and back."""


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


class Pressed:
    """A running application by its keys."""

    def __init__(self, pilot: Pilot[Any]) -> None:
        self.pilot = pilot

    def told(self) -> str:
        """What is said of it when something is waited for in vain."""
        return ""

    async def until(self, holds: Callable[[], object]) -> None:
        """Until it holds, and what follows from it has arrived. Fails if it does not come to that."""
        deadline = time.monotonic() + WAIT
        while not holds():
            assert time.monotonic() < deadline, f"waited in vain: {self.told()}"
            await asyncio.sleep(0.01)
        await self.settle()

    async def until_left(self) -> None:
        """Until the application has ended."""
        deadline = time.monotonic() + WAIT
        while self.pilot.app.is_running:
            assert time.monotonic() < deadline, "it does not end"
            await asyncio.sleep(0.01)

    async def settle(self) -> None:
        """Until what is under way has arrived: a key goes from a widget to its screen and on, each with a queue of its
        own. What a thread does meanwhile is waited for by what it brings about: `until`."""
        for _ in range(HOPS):
            await self.pilot._wait_for_screen(WAIT)
        await self.pilot.pause()

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.settle()

    async def type(self, text: str) -> None:
        """Text put in where the focus is, at once: pressing keys one by one takes the pilot long."""
        self.pilot.app.post_message(events.Paste(text))
        await self.settle()


class Listed(Pressed):
    """A running application of lists and texts: all that its screen says is one text."""

    def shown(self) -> str:
        rows = [str(option.prompt) for one in self.pilot.app.screen.query(OptionList) for option in one.options]
        return "\n".join([*rows, *(str(widget.visual) for widget in self.pilot.app.screen.query(Static))])

    def told(self) -> str:
        """The same with what is notified."""
        return "\n".join([self.shown(), *(one.message for one in self.pilot.app._notifications)])

    async def reads(self, text: str) -> None:
        await self.until(lambda: text in self.told())

    async def answers(self, words: str) -> None:
        """Type into the window that asks for a line."""
        await self.until(lambda: isinstance(self.pilot.app.focused, Input))
        await self.press("ctrl+u", *words, "enter")


class Shown(Pressed):
    """A running application and what can be seen of it."""

    def __init__(self, app: DialogApp, pilot: Pilot[Any], voices: ScriptedVoices, log: EpisodeLog) -> None:
        super().__init__(pilot)
        self.app, self.voices, self.log = app, voices, log

    @property
    def chat(self) -> ChatScreen:
        return self.app.chat

    @property
    def session(self) -> Talk:
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

    def told(self) -> str:
        return f"status {self.status!r}, toasts {self.toasts}"

    async def say(self, text: str) -> None:
        """Type, send, and hear the answer."""
        number = len(self.session.turns)
        await self.type(text)
        await self.press("enter")
        await self.answered(number + 1)

    async def answered(self, turns: int = 1) -> None:
        """Until so many turns are answered and on the screen: the log has an answer before it is drawn."""
        await self.until(lambda: len(self.session.turns) >= turns and not self.chat.speaking.busy)

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
        made = Desk(
            room=room, first=begin(room), prepare=prepare, another=another_answer, settle=settle,
            preferences=preferences or Preferences(),
        )  # fmt: skip
        app = DialogApp(desk(made))
        async with app.run_test(size=size) as pilot:
            there = Shown(app, pilot, voices, log)
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
