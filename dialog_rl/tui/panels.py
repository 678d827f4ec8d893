"""The panels of the dashboard: a chart, a list of what happened, and the table of contents beside a single one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from dialog_rl.online.seen import Chart, Notes
from dialog_rl.text import columns, one_line, pad
from dialog_rl.tui import harmless
from dialog_rl.tui.plot import STYLES, Plot, latest, sparkline

Shown = Chart | Notes
_SPARK = 8
"""Columns of the small courses in the table of contents."""
_MOST_NOTES = 200


class Panel(Widget):
    """A frame around a chart or notes, with what it says now in its title."""

    class Chosen(Message):
        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(self, shown: Shown, **options: Any) -> None:
        super().__init__(id=f"panel-{shown.key}", classes="panel", **options)
        self.shown = shown

    def compose(self) -> ComposeResult:
        if isinstance(self.shown, Chart):
            yield Plot(self.shown)
        else:
            with VerticalScroll(can_focus=False):
                yield Static(told(self.shown), classes="notes", markup=False)

    def on_mount(self) -> None:
        self._name_it()

    def show(self, shown: Shown) -> None:
        """The same chart or notes, as they are now."""
        if shown is self.shown:
            return
        self.shown = shown
        if isinstance(shown, Chart):
            self.query_one(Plot).show(shown)
        else:
            self.query_one(Static).update(told(shown))
        self._name_it()

    def place(self, place: str) -> None:
        """Which of how many it is, where it is shown alone."""
        self.border_subtitle = Content(place)

    def scroll(self, lines: int) -> None:
        for view in self.query(VerticalScroll):
            view.scroll_relative(y=lines, animate=False)

    def on_click(self) -> None:
        self.post_message(self.Chosen(self.shown.key))

    def _name_it(self) -> None:
        title = Content(self.shown.title)
        if isinstance(self.shown, Chart) and len(self.shown.lines) == 1:
            title = title.append("  ").append(Content.styled(latest(self.shown), STYLES[0]))
        elif isinstance(self.shown, Chart):
            first = self.shown.told(self.shown.lines[0].last)
            title = title.append("  ").append(Content.styled(first, STYLES[0]))
        self.border_title = title


class Contents(Static):
    """All panels in a list, each with its figure now and its course, and which one is shown."""

    def __init__(self, **options: Any) -> None:
        super().__init__(Content(""), markup=False, **options)

    def show(self, panels: Sequence[Shown], chosen: str) -> None:
        wide = max(columns(_name(panel)) for panel in panels)
        self.update(Content("\n").join(_entry(panel, wide, panel.key == chosen) for panel in panels))


def _entry(panel: Shown, wide: int, chosen: bool) -> Content:
    mark, style = ("▸ ", "bold") if chosen else ("  ", harmless.MUTED)
    entry = Content.assemble(mark, (pad(_name(panel), wide), style))
    if not isinstance(panel, Chart):
        return entry
    first = panel.lines[0]
    return entry.append(
        Content.assemble((f" {panel.told(first.last):>7} ", STYLES[0]), (sparkline(panel, _SPARK), STYLES[0]))
    )


def _name(panel: Shown) -> str:
    """Without the unit."""
    return one_line(panel.title.partition(",")[0])


def told(notes: Notes) -> Content:
    """A line each; what is bad says so by a sign, too."""
    lines = [
        Content.styled("✗ ", "$text-error bold").append(harmless.line(note.text))
        if note.bad
        else Content.styled("· ", harmless.MUTED).append(harmless.line(note.text))
        for note in notes.notes[:_MOST_NOTES]
    ]
    return Content("\n").join(lines or [Content.styled("nothing so far", harmless.MUTED)])
