"""The turns of a conversation as they are shown: the last ones first, older ones when somebody scrolls up to them."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from dialog_rl.episode import Rating, Step, Turn
from dialog_rl.tui import harmless
from dialog_rl.tui.speech import Speech

PAGE = 20
"""Turns that are shown at first, and brought in at a time: making widgets is what takes time."""


class Calls(Static):
    """What the agent looked up and did on the way to its reply: a line a call, or all of it."""

    DEFAULT_CLASSES = "calls"

    def __init__(self, steps: Sequence[Step] = ()) -> None:
        super().__init__(Content(""), markup=False)
        self._steps = tuple(steps)
        self._open = False

    def on_mount(self) -> None:
        self._refresh()

    def add(self, step: Step) -> None:
        self._steps = (*self._steps, step)
        self._refresh()

    def action_fold(self) -> None:
        """Show all of it, or a line a call."""
        self._open = not self._open
        self.set_class(self._open, "unfolded")
        self._refresh()

    def on_click(self) -> None:
        self.action_fold()

    def _refresh(self) -> None:
        self.display = bool(self._steps)
        told = _unfolded if self._open else _folded
        self.update(Content("\n").join(told(step) for step in self._steps))


class TurnView(Vertical):
    """One turn: what the person said, what the agent did and said, what the person thought of it."""

    def __init__(self, number: int, user: str, turn: Turn | None = None, rating: Rating | None = None) -> None:
        super().__init__(id=f"turn-{number}", classes="turn")
        self.number = number
        self.turn = turn
        self.user, self._rating = user, rating
        spoken = [step for step in turn.steps if step.result is not None] if turn else []
        self.calls = Calls(spoken)
        self.reply = Speech(turn.reply if turn else "", classes="agent")
        self.remark = Static(Content(""), markup=False, classes="remark")
        self._why = Static(Content(""), markup=False, classes="why")

    def compose(self) -> ComposeResult:
        if self.user:
            yield Speech(self.user, classes="user")
        with Vertical(classes="answer"):
            yield self.calls
            yield self.reply
        yield self.remark
        yield self._why

    def on_mount(self) -> None:
        self.show_why(())
        self.reply.display = self.turn is not None and bool(self.turn.reply)
        self.show_rating(self._rating)

    async def feed(self, piece: str) -> None:
        self.reply.display = True
        await self.reply.feed(piece)

    async def answered(self, turn: Turn) -> None:
        """The whole turn is known."""
        self.turn = turn
        await self.reply.finish()
        self.remove_class("stopped")
        if self.reply.text != harmless.said(turn.reply).plain:
            await self._say_anew(turn.reply)
        self.reply.display = bool(turn.reply)

    async def stopped(self) -> None:
        """The reply was given up: what was said of it counts for nothing, and goes."""
        await self._say_anew("")
        self.reply.display = False

    async def _say_anew(self, text: str) -> None:
        old, self.reply = self.reply, Speech(text, classes="agent")
        await self.query_one(".answer").mount(self.reply)
        await old.remove()

    def show_rating(self, rating: Rating | None, receipt: str = "") -> None:
        """What the person thinks of it, and what has become of that."""
        told = opinion(rating)
        self.remark.display = bool(told.plain)
        self.remark.update(
            told.append(Content.styled(f"   {harmless.line(receipt).plain}", harmless.MUTED)) if receipt else told
        )

    @property
    def tells_why(self) -> bool:
        return self._why.display

    def show_why(self, said: Sequence[str]) -> None:
        """What each reward says of it, a line each; nothing if there are none."""
        self._why.display = bool(said)
        self._why.update(Content("\n").join(harmless.line(one) for one in said))


class Whole(Static, can_focus=False):
    """The conversation as a whole: the last thing that can be rated."""

    DEFAULT_CLASSES = "turn whole"

    def show_rating(self, rating: Rating | None, receipt: str = "") -> None:
        told = opinion(rating)
        self.set_class(bool(told.plain), "rated")
        self.display = self.has_class("rated") or self.has_class("selected")
        self.update(
            Content("The whole conversation  ").append(told).append(Content("   ")).append(harmless.line(receipt))
        )


class Older(Static):
    """Says how much there is above."""

    DEFAULT_CLASSES = "older"

    class Wanted(Message):
        """Somebody wants to see what is above."""

    def show(self, count: int) -> None:
        self.display = count > 0
        self.update(
            Content(f"↑ {count:,} earlier {'turn' if count == 1 else 'turns'}: k or Page Up at the top shows them")
        )

    def on_click(self) -> None:
        self.post_message(self.Wanted())


class Turns(VerticalScroll, can_focus=False):
    """Everything that was said."""


def opinion(rating: Rating | None) -> Content:
    """A rating in a few words; empty if it says nothing."""
    if rating is None or rating.says_nothing:
        return Content("")
    parts: list[Content] = []
    if rating.value is not None:
        word, style = _VALUES.get(rating.value, (f"{rating.value:+g}", "$foreground"))
        parts.append(Content.styled(word, style))
    parts += [Content.styled(harmless.line(tag.replace("_", " ")).plain, "$secondary") for tag in rating.tags]
    if rating.comment:
        parts.append(harmless.line(f"“{rating.comment}”"))
    if rating.correction:
        parts.append(harmless.line(f"rather: {rating.correction}"))
    if "pair" in rating.extra:
        parts.append(Content("compared"))
    return Content(" · ").join(parts)


_VALUES = {
    1.0: ("▲ good", "$success"),
    0.5: ("★★★★☆", "$success"),
    0.0: ("★★★☆☆", "$warning"),
    -0.5: ("★★☆☆☆", "$error"),
    -1.0: ("▼ bad", "$error"),
}


def _folded(step: Step) -> Content:
    message, result = step.message, step.result
    if message.malformed:
        return Content.styled(f"▸ (cannot be read: {harmless.line(message.malformed, 120).plain})", "$warning")
    call = message.tool_call
    told = f"{call.name} {', '.join(str(v) for v in call.arguments.values())}" if call else message.text
    mark = "✗" if result is not None and result.error else "→"
    answer = f" {mark} {harmless.line(result.text, 120).plain}" if result is not None else ""
    return Content.styled(f"▸ {harmless.line(told, 120).plain}{answer}", harmless.MUTED)


def _unfolded(step: Step) -> Content:
    message, result = step.message, step.result
    told = [Content.styled(f"▾ {harmless.said(message.text).plain}", harmless.MUTED)]
    if message.malformed:
        told.append(Content.styled(f"  cannot be read: {harmless.said(message.malformed).plain}", "$warning"))
    if result is not None:
        told.append(
            Content.styled(f"  {harmless.said(result.text).plain}", "$error" if result.error else harmless.MUTED)
        )
    return Content("\n").join(told)


def views(parent: Widget) -> list[TurnView]:
    """The turns that are shown, oldest first."""
    return list(parent.query(TurnView))
