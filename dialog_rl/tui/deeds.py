"""What can be done on the chat screen beside talking: rate, compare, say otherwise, look back, find again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, ClassVar

from textual import work
from textual.binding import Binding, BindingType

from dialog_rl.chat.opinions import TAGS
from dialog_rl.chat.pairs import Pair, another_answer, settle
from dialog_rl.chat.session import ChatSession
from dialog_rl.errors import DialogRLError
from dialog_rl.text import printable
from dialog_rl.tui.composer import Composer
from dialog_rl.tui.dialogs import PUT_AWAY, AskLine, AskReply, AskTags, AskYes
from dialog_rl.tui.pair import PairScreen, revealed
from dialog_rl.tui.review import Review
from dialog_rl.tui.saved import SavedScreen
from dialog_rl.tui.talking import Compared, Talking
from dialog_rl.tui.transcript import Older, Whole, views

RECEIPTS_EVERY = 2.0
"""Seconds between two looks at what became of the ratings."""


class Deeds(Talking):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "escape", "Review", id="escape"),
        Binding("ctrl+g", "rate_last(1.0)", "Good", id="good"),
        Binding("ctrl+n", "rate_last(-1.0)", "Bad", id="bad"),
        Binding("ctrl+r", "another", "Another", id="another"),
        Binding("ctrl+o", "new", "New", id="new"),
        Binding("ctrl+s", "saved", "Saved", id="saved"),
        Binding("ctrl+l", "learn", "Learn", id="learn"),
        Binding("ctrl+t", "card", "Card", id="card"),
    ]
    _PROMPT = frozenset({"escape", "rate_last", "another"})
    """What only the prompt offers; looking back has keys of its own."""

    async def on_mount(self) -> None:
        self._receipts: dict[str, str] = {}
        self.set_interval(RECEIPTS_EVERY, self._look_at_receipts)

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
        number = len(self.session.turns) - 1
        if not self.is_free():
            return
        if number < 0:
            self.status("there is no reply to rate yet")
        elif value < 0 and self.session.opinions.of(number).value == value:
            self.ask_comment(number)
        else:
            await self.rate(number, value=value)
            self.status("bad; ctrl+n once more to say why" if value < 0 else "")

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
        room, pack = self.desk.room, self.session.setting.stage.pack.name
        await self.go_to(lambda: room.new(pack, free=free))

    @work
    async def action_saved(self, words: str = "") -> None:
        saved = await self.app.push_screen_wait(SavedScreen(self.desk.room, self.errands, words))
        if saved is not None and saved.id != self.session.id:
            await self.go_to(lambda: self.desk.room.take_up(saved))

    async def go_to(self, find: Callable[[], ChatSession]) -> None:
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
        self.status(self.session.about_learning())
        self.show_who()

    def action_card(self) -> None:
        self.toggle_class("-no-card")

    # What is thought of it

    async def rate(self, number: int | None, **changes: Any) -> None:
        """Log what the person thinks of a turn, or of the whole, and show it."""
        try:
            await self.errands.do(partial(self.session.opinions.change, number, **changes))
        except DialogRLError as e:
            self.notify(str(e), severity="error", timeout=10)
        self.show_opinion(number)

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
        if number is None:
            self.query_one(Whole).show_rating(opinions.of(None), receipt)
        for view in views(self.review):
            if view.number == number:
                view.show_rating(opinions.of(number), receipt)

    async def on_review_judged(self, event: Review.Judged) -> None:
        if event.number is None or event.number < len(self.session.turns):
            await self.rate(event.number, **event.changes)

    async def on_review_asked(self, event: Review.Asked) -> None:
        number = event.number
        if event.what == "back":
            self.composer.focus()
        elif event.what == "undo":
            await self.undo()
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
            self.tell_rewards(number)

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

    @work
    async def put_away(self) -> None:
        if await self.app.push_screen_wait(AskYes(PUT_AWAY)):
            try:
                await self.errands.do(self.desk.room.put_away, self.session.id)
            except DialogRLError as e:
                self.notify(str(e), severity="error")
                return
            await self.action_new()

    def copy_reply(self, number: int) -> None:
        self.app.copy_to_clipboard(printable(self.session.turns[number].reply))
        self.status("copied")

    @work
    async def tell_rewards(self, number: int) -> None:
        """What each reward says of a turn, beneath it."""
        await self.tell(lambda: self.desk.rewards(self.session, number), number)

    async def tell(self, ask: Callable[[], Sequence[str]], number: int | None = None) -> None:
        """Show what came of something that takes a moment, beneath a turn or at the end."""
        try:
            remarks = await self.errands.do(ask)
        except DialogRLError as e:
            self.notify(str(e), severity="error", timeout=10)
            return
        if remarks:
            await self.notice(*remarks, after=number)

    def compare_with_earlier(self, number: int) -> None:
        version = self.session.turns[number].steps[-1].policy_version
        earlier = self.desk.earlier(version)
        if earlier:
            self.compare(number, earlier)
        else:
            self.status("no version spoke before this one")

    def compare(self, number: int, version: str = "") -> None:
        """Have another answer given to a turn, to be compared blind."""
        if not self.ready:
            self.status("the model is still loading")
        elif self.is_free():
            self.begin(partial(_compared, self.session, number, version), "another answer is thought of; Esc stops it")

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
            session = await self.errands.do(settle, self.session, pair, vote)
        except DialogRLError as e:
            self.notify(str(e), severity="error", timeout=10)
            return
        if session is not self.session:
            await self.show(session)
        self.show_opinion(pair.number)
        self.status(revealed(pair, vote))

    async def _look_at_receipts(self) -> None:
        """Show what has become of the ratings since the last look."""
        session = self.session
        if not self.ready or not any(given.event_id for given in session.opinions.given.values()):
            return
        try:
            receipts = await self.errands.do(self.desk.receipts, session)
        except DialogRLError:
            return  # the next look may tell
        before, self._receipts = self._receipts, dict(receipts)
        for number, given in list(session.opinions.given.items()):
            if session is self.session and receipts.get(given.event_id) != before.get(given.event_id):
                self.show_opinion(number)


def _compared(session: ChatSession, number: int, version: str, cancelled: Callable[[], bool]) -> Iterator[object]:
    pair = another_answer(session, number, version=version, cancelled=cancelled)
    if pair is not None:
        yield Compared(pair)
