"""The turns of a conversation as they are shown: the last ones first, older ones when somebody scrolls up to them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Markdown, Static
from textual.widgets.markdown import MarkdownStream

from dialog_rl.episode import Rating, Step, Turn
from dialog_rl.tui import harmless

PAGE = 20
"""Turns that are shown at first, and brought in at a time: making widgets is what takes time."""
CHUNK = 2000
"""Characters in one widget of a reply: only the last of them is laid out again when it grows."""
RICH = 5_000
"""Characters up to which a reply is laid out as Markdown: every list, table and paragraph in it is a widget, and all of
them are arranged anew whenever the last one grows."""
_MARKDOWN = re.compile(r"^(#{1,6} |[-*+] |\d+\. |> |```|\|.*\|)|\*\*\S|`[^`\n]+`", re.MULTILINE)


class Speech(Vertical):
    """What somebody says. It may grow piece by piece, and becomes Markdown when it turns out to be."""

    def __init__(self, text: str = "", *, classes: str) -> None:
        super().__init__(classes=f"speech {classes}")
        self.text = ""
        self._begin = text
        self._shown = 0
        """Characters that are in widgets which grow no more."""
        self._stream = harmless.Stream()
        self._markdown: MarkdownStream | None = None

    def compose(self) -> ComposeResult:
        self.text = harmless.said(self._begin).plain
        if _is_markdown(self.text):
            yield Markdown(self.text, open_links=False)
            return
        yield from self._plain()

    async def feed(self, piece: str) -> None:
        """More of it."""
        await self._show(self._stream.feed(piece))

    async def finish(self) -> None:
        """That was all of it."""
        await self._show(self._stream.rest())
        if self._markdown is not None:
            await self._markdown.stop()
            self._markdown = None

    async def _show(self, piece: str) -> None:
        self.text += piece
        if self._markdown is not None and len(self.text) > RICH:
            await self._make_plain()
        elif self._markdown is not None:
            await self._markdown.write(piece)
        elif _is_markdown(self.text):
            await self.remove_children()
            document = Markdown(open_links=False)
            await self.mount(document)
            self._markdown = Markdown.get_stream(document)
            await self._markdown.write(self.text)
        elif piece:
            await self._grow()

    async def _make_plain(self) -> None:
        """Markdown that became too long to be laid out again and again."""
        assert self._markdown is not None
        await self._markdown.stop()
        self._markdown = None
        await self.remove_children()
        await self.mount(*self._plain())

    def _plain(self) -> list[Static]:
        """All the text so far, in widgets of which only the last one grows."""
        *full, last = _chunks(self.text)
        self._shown = sum(map(len, full))
        return [*(_laid_out(chunk.removesuffix("\n")) for chunk in full), _laid_out(last)]

    async def _grow(self) -> None:
        first, *more = _chunks(self.text[self._shown :])
        self.query_children(Static).last().update(Content(first.removesuffix("\n") if more else first))
        for chunk in more:
            self._shown += len(first)
            first = chunk
            await self.mount(_laid_out(chunk))


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

    def compose(self) -> ComposeResult:
        if self.user:
            yield Speech(self.user, classes="user")
        with Vertical(classes="answer"):
            yield self.calls
            yield self.reply
        yield self.remark

    def on_mount(self) -> None:
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


def _is_markdown(text: str) -> bool:
    return len(text) <= RICH and _MARKDOWN.search(text) is not None


def _chunks(text: str) -> list[str]:
    """In pieces of at most CHUNK characters, at line breaks or spaces where there are any; at least one piece."""
    found: list[str] = []
    while len(text) > CHUNK:
        cut = text.rfind("\n", CHUNK // 2, CHUNK) + 1 or text.rfind(" ", CHUNK // 2, CHUNK) + 1 or CHUNK
        found.append(text[:cut])
        text = text[cut:]
    return [*found, text]


def _laid_out(chunk: str) -> Static:
    return Static(Content(chunk), markup=False)


def views(parent: Widget) -> list[TurnView]:
    """The turns that are shown, oldest first."""
    return list(parent.query(TurnView))
