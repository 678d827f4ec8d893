"""The conversation on the screen: what is typed is sent, what is spoken is shown as it is spoken."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from textual.message import Message

from dialog_rl.chat.events import Called, Delta, Ended, Replied, Stopped, Swapped
from dialog_rl.chat.pairs import Pair
from dialog_rl.chat.talk import Talk
from dialog_rl.episode import StopReason
from dialog_rl.errors import DialogRLError
from dialog_rl.tui.desk import Desk
from dialog_rl.tui.errands import Errands, Failed, Quiet, Speaking, why
from dialog_rl.tui.frame import UNANSWERED, Frame
from dialog_rl.tui.transcript import TurnView, Whole, views

DRAWN_EVERY = 0.04
"""Seconds between two looks at what was spoken: pieces that came in between are drawn together."""
LOADING = "loading"
"""The thread in which the model is loaded."""
PATIENCE = 2.0
"""Seconds that a reply in the making is waited for when the program ends."""


@dataclass(frozen=True, slots=True)
class Said:
    """What was sent is in the log; the conversation it now belongs to."""

    session: Talk


@dataclass(frozen=True, slots=True)
class Compared:
    """Another answer is there."""

    pair: Pair


class Talking(Frame):
    """What every conversation on a screen has; `Judging` adds what is thought of it."""

    @dataclass
    class Prepared(Message):
        """The voices can speak, with this version first, or cannot."""

        version: str
        failure: str

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.errands = Errands()
        self.speaking = Speaking()
        self.ready = False
        self._waiting = ""
        """What was sent before anybody could answer it, or while the agent spoke."""
        self._editing: int | None = None
        """The turn that is about to be said otherwise."""
        self._busy_with = ""

    async def on_mount(self) -> None:
        self.composer.focus()
        self._drawing = self.set_interval(DRAWN_EVERY, self._hear, pause=True)
        draft = self.desk.room.draft()
        await self.show(self.session)
        if draft and not self.composer.text:
            self.composer.put(draft)
        self.status("loading the model; you can begin to type")
        threading.Thread(target=self._prepare, name=LOADING, daemon=True).start()

    def on_unmount(self) -> None:
        self.errands.close()

    def _prepare(self) -> None:
        version, failure = "", ""
        try:
            version = self.desk.prepare()
        except Exception as e:  # marked border: whatever keeps the model from speaking is shown
            failure = why(e)
        self.post_message(self.Prepared(version, failure))

    def on_talking_prepared(self, event: Prepared) -> None:
        self.ready, self.broken, self.version = not event.failure, event.failure, event.version
        self.status(self._nobody() if self.broken else UNANSWERED if self.session.unanswered else "")
        self.show_who()
        waiting, self._waiting = self._waiting, ""
        if waiting and self.ready:
            self._speak(waiting)
        elif waiting:
            self._give_back()

    def _nobody(self) -> str:
        return f"nobody can answer: {self.broken}"

    # What is sent

    def is_free(self) -> bool:
        """Whether something else can be spoken; if not, the person is told."""
        if self.speaking.busy:
            self.status("the agent is still speaking; Esc stops it")
        return not self.speaking.busy

    async def send(self, text: str) -> None:
        """Let the agent answer what was typed; give it back if that cannot be."""
        if self.broken or self._waiting:
            self.composer.give_back(text)
            self.status(self._nobody() if self.broken else self._status)
            return
        if self.speaking.busy:
            self._waiting = text
            self.status("sent as soon as the agent has spoken; Esc takes it back")
            return
        at = len(self.session.turns) if self._editing is None else self._editing
        for view in views(self.review):
            if view.number >= at:
                await view.remove()
        self.query_one("#welcome").display = False
        await self.review.mount(TurnView(at, text), before=self.query_one(Whole))
        self.review.anchor()
        if self.ready:
            self._speak(text)
        else:
            self._waiting = text
            await self._keep_draft(text)
            self.status("sent as soon as the model is loaded")

    def edit(self, number: int) -> None:
        """What is sent next takes the place of this turn's message."""
        self._editing = number

    def take_back(self) -> bool:
        """Give up what is on its way to be said: a message that waits, or one about to be said otherwise."""
        if self._waiting:
            waiting, self._waiting = self._waiting, ""
            self.composer.give_back(waiting)
        elif self._editing is not None:
            self._editing = None
            self.composer.clear()
        else:
            return False
        self.status("")
        return True

    def _speak(self, text: str) -> None:
        session, editing = self.session, self._editing
        self._editing = None
        self.begin(partial(_answered, session, text, editing), "the agent is speaking; Esc stops it")

    def begin(self, speak: Callable[[Callable[[], bool]], Iterator[object]], status: str) -> None:
        """Let something be spoken, and draw it as it comes."""
        self.speaking.start(speak)
        self._busy_with = status
        self.status(status)
        self._drawing.resume()

    async def _hear(self) -> None:
        piece = ""
        for event in self.speaking.heard():
            if isinstance(event, Delta):
                piece += event.text
                continue
            if piece:
                await self._current().feed(piece)
                piece = ""
            await self.on_heard(event)
        if piece:
            await self._current().feed(piece)

    async def on_heard(self, event: object) -> None:
        """Show one thing that happened while the agent spoke."""
        if isinstance(event, Said):
            self.session = event.session
            await self._keep_draft("")
        elif isinstance(event, Called):
            self._current().calls.add(event.step)
        elif isinstance(event, Replied):
            await self._current().answered(event.turn)
            self.status("")
        elif isinstance(event, Stopped):
            await self._current().stopped()
            self.status("stopped: Enter asks again, or say it otherwise")
            self._give_back()
        elif isinstance(event, Swapped):
            self.version = event.version
            await self.notice(
                f"version {event.version[:8]} speaks from here on, not {event.before[:8]}; b in review compares"
            )
        elif isinstance(event, Ended):
            await self.show_end(event.episode)
        elif isinstance(event, Failed):
            self.status("")
            self.notify(event.why, severity="error", timeout=10)
            self._give_back()
        elif isinstance(event, Quiet):
            self._drawing.pause()
            self.speaking.rest()
            self.show_who()
            if self._status == self._busy_with:
                self.status("")
            await self._send_what_waits()

    async def _send_what_waits(self) -> None:
        waiting, self._waiting = self._waiting, ""
        if waiting and self.session.unanswered is None and self.session.ended is None:
            self.status("")
            await self.send(waiting)
        elif waiting:
            self.composer.give_back(waiting)

    def _current(self) -> TurnView:
        return views(self.review)[-1]

    def _give_back(self) -> None:
        """What has no answer comes back to where it was typed, unless something else is there by now."""
        text = self.session.unanswered.text if self.session.unanswered else self._last_typed()
        if text and not self.composer.text:
            self.composer.put(text)

    def _last_typed(self) -> str:
        shown = views(self.review)
        return shown[-1].user if shown and shown[-1].turn is None else ""

    async def show(self, session: Talk) -> None:
        self._editing = None
        await super().show(session)

    async def _keep_draft(self, text: str) -> None:
        try:
            await self.errands.do(self.desk.room.keep_draft, text)
        except DialogRLError as e:
            self.notify(str(e), severity="warning")

    async def tell(self, ask: Callable[[], Sequence[str]]) -> None:
        """Show what came of something that takes a moment."""
        try:
            remarks = await self.errands.do(ask)
        except DialogRLError as e:
            self.notify(str(e), severity="error", timeout=10)
            return
        if remarks:
            await self.notice(*remarks)

    def close(self, *, end: bool) -> str:
        """Stop speaking and keep everything. `end`: the person leaves, so the conversation is over.

        Returns a last word for the person.
        """
        self.speaking.stop()
        if not self.speaking.wait(PATIENCE):
            return f"{self.session.id} is kept"
        self.desk.room.keep_draft(self._waiting or self.composer.text)
        if end and self.session.ended is None:
            self.session.leave()
        return f"{self.session.id} is kept in {self.session.kept_in}" if self.session.begun else ""


def _answered(session: Talk, text: str, editing: int | None, cancelled: Callable[[], bool]) -> Iterator[object]:
    """Say something in a conversation, or otherwise than before in a branch of it, and hear the answer."""
    otherwise = session.unanswered is not None and session.unanswered.text != text
    read_only = session.ended is not None and session.ended.stop in (StopReason.USER_LEFT, StopReason.ABORTED)
    if editing is not None or otherwise or read_only:
        session = session.branch(session.turns[:editing], text)
    else:
        session.say(text)
    yield Said(session)
    yield from session.answer(cancelled)
