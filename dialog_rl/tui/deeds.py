"""What can be done on the chat screen beside talking and rating: compare, say otherwise, look back, find again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType

from dialog_rl.chat.pairs import Pair
from dialog_rl.chat.talk import Talk, about_learning
from dialog_rl.errors import DialogRLError
from dialog_rl.text import printable
from dialog_rl.tui.composer import Composer
from dialog_rl.tui.desk import Desk
from dialog_rl.tui.dialogs import PUT_AWAY, AskYes
from dialog_rl.tui.judging import Judging
from dialog_rl.tui.pair import PairScreen, revealed
from dialog_rl.tui.review import Review
from dialog_rl.tui.saved import SavedScreen
from dialog_rl.tui.talking import Compared
from dialog_rl.tui.transcript import Older


class Deeds(Judging):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "escape", "Review", id="escape", tooltip="stop the agent; look back"),
        Binding("ctrl+g", "rate_last(1.0)", "Good", id="good", tooltip="the last reply is good"),
        Binding("ctrl+n", "rate_last(-1.0)", "Bad", id="bad", tooltip="the last reply is bad; once more: why"),
        Binding("ctrl+r", "another", "Another", id="another", tooltip="another answer, compared blind"),
        Binding("ctrl+o", "new", "New", id="new", tooltip="another customer"),
        Binding("ctrl+s", "saved", "Saved", id="saved", tooltip="kept conversations"),
        Binding("ctrl+l", "learn", "Learn", id="learn", tooltip="let this conversation be learnt from, or not"),
        Binding("ctrl+t", "card", "Card", id="card", tooltip="show whose place you take, or hide it"),
    ]
    _PROMPT = frozenset({"escape", "rate_last", "another"})
    """What only the prompt offers; looking back has keys of its own."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return not (action in self._PROMPT and isinstance(self.focused, Review))

    # The keys of the prompt

    def on_composer_recalled(self) -> None:
        if self.session.turns and not self.speaking.busy:
            self.say_otherwise(len(self.session.turns) - 1)

    async def on_composer_paged(self, event: Composer.Paged) -> None:
        if event.pages > 0:
            self.review.scroll_page_down(animate=False)
        elif self.review.scroll_y > 0:
            self.review.scroll_page_up(animate=False)
        elif self.query_one(Older).display:
            await self.show_older()

    async def on_older_wanted(self) -> None:
        await self.show_older()

    def action_escape(self) -> None:
        if self.take_back():
            return
        if self.speaking.busy:
            self.speaking.stop()
            self.status("stopping …")
        else:
            self.review.focus()

    async def action_rate_last(self, value: float) -> None:
        await self.rate_last(value)

    def action_another(self) -> None:
        if self.session.turns:
            self.compare(len(self.session.turns) - 1)
        elif self.is_free():
            self.status("there is no reply to compare yet")

    def say_otherwise(self, number: int) -> None:
        """Let the person say one of their messages otherwise; the conversation goes on from there."""
        self.edit(number)
        self.composer.put(self.session.turns[number].user.text)
        self.composer.focus()
        later = " and what came after it" if number < len(self.session.turns) - 1 else ""
        self.status(f"Enter says this in place of your message{later}; Esc leaves it")

    async def action_new(self, free: bool = False) -> None:
        room, pack = self.desk.room, self.session.pack
        await self.go_to(lambda: room.new(pack, free=free))

    @work
    async def action_saved(self, words: str = "") -> None:
        saved = await self.app.push_screen_wait(SavedScreen(self.desk.room, self.errands, words, here=self.session.id))
        if saved is not None and saved.id != self.session.id:
            await self.go_to(lambda: self.desk.room.take_up(saved))

    async def go_to(self, find: Callable[[], Talk]) -> None:
        """Leave this conversation for another one."""
        if not self.is_free():
            return
        try:
            session = await self.errands.do(find)
            await self.errands.do(self.session.leave)
        except DialogRLError as e:
            self.notify(str(e), severity="error", timeout=10)
            return
        if not session.begun and self.desk.preferences.learn:
            session.allow_training(True)
        self.composer.clear()
        self.status("")
        await self.show(session)
        self.composer.focus()

    async def action_learn(self, allowed: bool | None = None) -> None:
        allowed = not self.session.trains if allowed is None else allowed
        try:
            await self.errands.do(self.session.allow_training, allowed)
            self.desk.preferences.choose(learn=allowed)
        except DialogRLError as e:
            self.notify(str(e), severity="error")
        self.status(about_learning(self.session))
        self.show_who()

    def action_card(self) -> None:
        self.toggle_class("-no-card")

    # Looking back

    async def on_review_judged(self, event: Review.Judged) -> None:
        if event.number is None or event.number < len(self.session.turns):
            await self.rate(event.number, **event.changes)

    async def on_review_asked(self, event: Review.Asked) -> None:
        number = event.number
        if event.what == "back":
            self.composer.focus()
        elif event.what == "undo":
            await self.undo()
        elif event.what == "scenario":
            await self.keep_scenario()
        elif event.what == "comment":
            self.ask_comment(number)
        elif number is None or number >= len(self.session.turns):
            self.status("pick a reply for that, with j and k")
        else:
            self._ask_of_turn(event.what, number)

    def _ask_of_turn(self, what: str, number: int) -> None:
        if what == "tags":
            self.ask_tags(number)
        elif what == "correction":
            self.ask_correction(number)
        elif what == "copy":
            self.copy_reply(number)
        elif what == "resend":
            self.say_otherwise(number)
        elif what == "before":
            self.compare_with_earlier(number)
        elif what == "rewards":
            self.toggle_why(number)

    @work
    async def put_away(self) -> None:
        if await self.app.push_screen_wait(AskYes(PUT_AWAY)):
            try:
                await self.errands.do(self.desk.room.put_away, self.session.id)
            except DialogRLError as e:
                self.notify(str(e), severity="error")
                return
            await self.action_new()

    async def keep_scenario(self) -> None:
        """Make a scenario file of the conversation so far."""
        session = self.session
        if session.turns:
            so_far = session.up_to(len(session.turns) - 1)
            await self.tell(lambda: [f"a scenario, written to {self.desk.keep_scenario(so_far)}"])
        else:
            self.status("there is no reply yet")

    def copy_reply(self, number: int) -> None:
        self.app.copy_to_clipboard(printable(self.session.turns[number].reply))
        self.status("copied")

    def compare_with_earlier(self, number: int) -> None:
        """What the version that speaks by now would have said; of a reply of its own, the one before it."""
        version = self.session.turns[number].steps[-1].policy_version
        earlier = self.desk.earlier(version)
        if self.version and version != self.version:
            self.compare(number)
        elif earlier:
            self.compare(number, earlier)
        else:
            self.status("no version spoke before this one")

    def compare(self, number: int, version: str = "") -> None:
        """Have another answer given to a turn, to be compared blind."""
        if not self.ready:
            self.status("the model is still loading")
        elif self.is_free():
            self.begin(
                partial(_compared, self.desk, self.session, number, version),
                "another answer is thought of; Esc stops it",
            )

    async def on_heard(self, event: object) -> None:
        if isinstance(event, Compared):
            self._vote(event.pair)
        await super().on_heard(event)

    @work
    async def _vote(self, pair: Pair) -> None:
        vote = await self.app.push_screen_wait(PairScreen(pair))
        if vote is None:
            return
        try:
            session = await self.errands.do(self.desk.settle, self.session, pair, vote)
        except DialogRLError as e:
            self.notify(str(e), severity="error", timeout=10)
            return
        if session is not self.session:
            await self.show(session)
        self.show_opinion(pair.number)
        self.status(revealed(pair, vote))


def _compared(desk: Desk, session: Talk, number: int, version: str, cancelled: Callable[[], bool]) -> Iterator[object]:
    pair = desk.another(session, number, version=version, cancelled=cancelled)
    if pair is not None:
        yield Compared(pair)
