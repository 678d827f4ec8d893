"""What is thought of a conversation on the screen: ratings, what becomes of them, and what the rewards say."""

from __future__ import annotations

from functools import partial
from typing import Any

from textual import work

from dialog_rl.chat.events import Replied
from dialog_rl.chat.opinions import TAGS
from dialog_rl.chat.talk import Talk
from dialog_rl.errors import DialogRLError
from dialog_rl.tui.desk import Desk
from dialog_rl.tui.dialogs import AskLine, AskReply, AskTags
from dialog_rl.tui.errands import Quiet
from dialog_rl.tui.talking import Talking
from dialog_rl.tui.transcript import TurnView, Whole, views

RECEIPTS_EVERY = 2.0
"""Seconds between two looks at what became of the ratings."""


class Judging(Talking):
    """Turns and the whole are named by a number and None."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._receipts: dict[str, str] = {}
        self._meant: float | None = None
        """A rating of the reply that is being spoken."""
        self._tells_why = False
        """Whether what the rewards say of a reply is shown as soon as it is spoken."""

    async def on_mount(self) -> None:
        self.set_interval(RECEIPTS_EVERY, self._look_at_receipts)

    # Ratings

    async def rate_last(self, value: float) -> None:
        """Rate the last reply; one that is being spoken as soon as it is there."""
        number = len(self.session.turns) - 1
        if self.speaking.busy:
            self._meant = value
            self.status("rated as soon as the agent has spoken")
        elif number < 0:
            self.status("there is no reply to rate yet")
        elif value < 0 and self.session.opinions.of(number).value == value:
            self.ask_comment(number)
        else:
            await self.rate(number, value=value)
            self.status("bad; ctrl+n once more to say why" if value < 0 else "")

    async def on_heard(self, event: object) -> None:
        if isinstance(event, Quiet):
            await self._rate_as_meant()
        await super().on_heard(event)
        if isinstance(event, Replied) and self._tells_why:
            self._tell_why(event.number)

    async def _rate_as_meant(self) -> None:
        """A reply that was stopped, or never came, is not rated."""
        value, self._meant = self._meant, None
        if value is not None and self.session.unanswered is None:
            await self.rate(len(self.session.turns) - 1, value=value)
            self.status("")

    async def rate(self, number: int | None, **changes: Any) -> None:
        """Log what the person thinks of a turn, or of the whole, and show it."""
        try:
            await self.errands.do(partial(self.session.opinions.change, number, **changes))
        except DialogRLError as e:
            self.notify(str(e), severity="error", timeout=10)
        self.show_opinion(number)
        self._tell_why_anew(number)

    async def undo(self) -> None:
        try:
            given = await self.errands.do(self.session.opinions.undo)
        except DialogRLError as e:
            self.notify(str(e), severity="error", timeout=10)
            return
        if given is None:
            self.status("there is nothing to take back")
        else:
            self.show_opinion(given.rating.turn)

    def show_opinion(self, number: int | None) -> None:
        opinions = self.session.opinions
        given = opinions.given.get(number)
        receipt = self._receipts.get(given.event_id, "") if given else ""
        shown = self._view(number) if number is not None else self.query_one(Whole)
        if shown is not None:
            shown.show_rating(opinions.of(number), receipt)

    @work
    async def ask_comment(self, number: int | None) -> None:
        bad = (self.session.opinions.of(number).value or 0) < 0
        text = await self.app.push_screen_wait(
            AskLine("Why?" if bad else "What do you think of it?", self.session.opinions.of(number).comment)
        )
        if text is not None:
            await self.rate(number, comment=text.strip())

    @work
    async def ask_correction(self, number: int) -> None:
        written = self.session.opinions.of(number).correction or self.session.turns[number].reply
        text = await self.app.push_screen_wait(AskReply("What should it have said?", written))
        if text is not None and text != self.session.turns[number].reply:
            await self.rate(number, correction=text)

    @work
    async def ask_tags(self, number: int) -> None:
        tags = await self.app.push_screen_wait(
            AskTags("What is wrong with it, or right?", TAGS, self.session.opinions.of(number).tags)
        )
        if tags is not None:
            await self.rate(number, tags=tags)

    # What becomes of them

    async def show(self, session: Talk) -> None:
        await super().show(session)
        self._show_opinions()

    async def show_older(self) -> None:
        await super().show_older()
        self._show_opinions()

    def _show_opinions(self) -> None:
        for number in (None, *(view.number for view in views(self.review))):
            self.show_opinion(number)

    async def _look_at_receipts(self) -> None:
        """Show what has become of the ratings since the last look."""
        session = self.session
        if not self.ready or not session.opinions.given:
            return
        try:
            receipts = await self.errands.do(self.desk.receipts, session)
        except DialogRLError:
            return  # the next look may tell
        if session is self.session and receipts != self._receipts:
            self._receipts = dict(receipts)
            self._show_opinions()

    # What the rewards say

    def toggle_why(self, number: int) -> None:
        """Show what each reward says of a turn, and of every one from here on; or no longer."""
        view = self._view(number)
        if view is not None and view.tells_why:
            self._tells_why = False
            view.show_why(())
            self.status("")
        elif view is not None:
            self._tells_why = True
            self._tell_why(number)
            self.status("every reply now tells what the rewards say of it; once more: no longer")

    @work
    async def _tell_why(self, number: int) -> None:
        session = self.session
        try:
            said = await self.errands.do(self.desk.rewards, session, number)
        except DialogRLError as e:
            self.notify(str(e), severity="error", timeout=10)
            return
        view = self._view(number)
        if self._tells_why and session is self.session and view is not None:
            view.show_why(said)

    def _tell_why_anew(self, number: int | None) -> None:
        """A rating may be what a reward goes by."""
        view = self._view(number) if number is not None else None
        if view is not None and view.tells_why:
            self._tell_why(view.number)

    def _view(self, number: int) -> TurnView | None:
        return next((view for view in views(self.review) if view.number == number), None)
