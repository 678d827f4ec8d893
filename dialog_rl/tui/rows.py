"""A line of a transcript as browsing shows it."""

from __future__ import annotations

from textual.content import Content

from dialog_rl.browsing.stepping import Line
from dialog_rl.text import wrapped
from dialog_rl.tui import harmless

_STYLES = {"customer": "$text-primary", "agent": "$text-success", "call": "$text-warning", "answer": harmless.MUTED}
_INDENT = " " * 10
_LEAST = 10
"""Columns that a text is given at least."""


def row(line: Line, width: int) -> Content:
    """A line of a transcript: who, and what, which stays in its own column."""
    style = "$text-error" if line.bad else _STYLES[line.who]
    lines = wrapped(harmless.said(line.text).plain, max(_LEAST, width - len(_INDENT)))
    return Content.styled(f"{line.who:>8}  ", style).append(f"\n{_INDENT}".join(lines))
