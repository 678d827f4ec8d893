"""Nothing that a model, a user or a file says steers the terminal: made visible where it comes in, dropped where it
would go out.

Textual writes escape sequences, bidirectional overrides and lone surrogates in a widget's text to the terminal as they
are, and reads square brackets in plain strings as markup. So text is shown as Content only, and a filter under all
widgets is the last line of defence, also for what is typed and pasted.
"""

from __future__ import annotations

import re

from rich.segment import Segment
from textual.color import Color
from textual.content import Content
from textual.filter import LineFilter

from dialog_rl.text import cleared, one_line, printable, unsafe

MUTED = "$foreground 60%"
"""The style of what matters less."""
_TAB = 4
_BREAKS = re.compile("[\t\n]")


def said(text: str) -> Content:
    """Text with its line breaks, as it may be shown: no control character, no markup."""
    return Content(printable(text).expandtabs(_TAB))


def line(text: str, limit: int = 300) -> Content:
    """The same on one line."""
    return Content(one_line(text, limit))


def typed(text: str) -> str:
    """What somebody pasted, as it may stand in an editor: line breaks as they should be, no control characters."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return cleared(text).expandtabs(_TAB)


class Stream:
    """Pieces of a text that are made harmless one by one and yet as the whole would be."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """What can be shown of it so far: a carriage return waits for the line feed that may follow."""
        piece = self._held + piece
        self._held = "\r" if piece.endswith("\r") else ""
        return printable(piece.removesuffix("\r"))

    def rest(self) -> str:
        """What was held back to the end."""
        held, self._held = self._held, ""
        return printable(held)


class Harmless(LineFilter):
    """Drops from every line that is drawn what must never reach a terminal, whichever widget put it there."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        if not any(unsafe(segment.text) or _BREAKS.search(segment.text) for segment in segments):
            return segments
        return [Segment(_dropped(text), style, control) for text, style, control in segments]


def _dropped(text: str) -> str:
    return cleared(_BREAKS.sub(" ", text))
