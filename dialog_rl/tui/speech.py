"""What somebody says, as it is shown: a text that may grow, and is Markdown if it turns out to be."""

from __future__ import annotations

import re

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Markdown, Static
from textual.widgets.markdown import MarkdownStream

from dialog_rl.tui import harmless

CHUNK = 2000
"""Characters in one widget of a reply: only the last of them is laid out again when it grows."""
RICH = 5_000
"""Characters up to which a reply is laid out as Markdown: every list, table and paragraph in it is a widget."""
GROWING = 2_000
"""Characters up to which that is done while it grows, for all of them are arranged anew with each piece. What is longer
goes on as plain text until it has ended: the longest stretch without a picture is then half as long."""
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
        elif _is_markdown(self.text):
            await self.remove_children()
            await self.mount(Markdown(self.text, open_links=False))

    async def _show(self, piece: str) -> None:
        self.text += piece
        if self._markdown is not None and len(self.text) > GROWING:
            await self._make_plain()
        elif self._markdown is not None:
            await self._markdown.write(piece)
        elif len(self.text) <= GROWING and _is_markdown(self.text):
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
