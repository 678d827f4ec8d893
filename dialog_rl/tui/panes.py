"""A list and what is known of the row that is chosen, side by side where there is room, else one above the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from dialog_rl.errors import DialogRLError
from dialog_rl.tui import harmless
from dialog_rl.tui.keys import Keys

Found = TypeVar("Found")
Styled = tuple[str, str]
"""Text of a stranger's and the style it is shown in."""


class _Rows(OptionList, inherit_bindings=False):
    """Enter is the screen's, which says what it does there."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "cursor_down", show=False),
        Binding("up,k", "cursor_up", show=False),
        Binding("home", "first", show=False),
        Binding("end", "last", show=False),
    ]


class Panes(Screen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pagedown", "scroll_detail(1)", "Read on", id="detail-down", show=False),
        Binding("pageup", "scroll_detail(-1)", "Read back", id="detail-up", show=False),
    ]

    def __init__(self, title: str) -> None:
        super().__init__()
        self.title_shown = title
        self._asked = 0
        """How often something was asked of the row that is chosen: only the last answer is shown."""

    def compose(self) -> ComposeResult:
        with Horizontal(id="top"):
            yield Static(harmless.line(self.title_shown), id="where", markup=False)
            yield Static(Content(""), id="who", markup=False)
        with Horizontal(id="both"):
            yield _Rows(id="rows")
            with VerticalScroll(id="detail", can_focus=False):
                yield Static(Content(""), id="detail-text", markup=False)
        yield Keys()

    @property
    def rows(self) -> OptionList:
        return self.query_one(_Rows)

    @property
    def at(self) -> int | None:
        return self.rows.highlighted

    def list(self, rows: Sequence[Sequence[Styled]]) -> None:
        """Show these rows; the highlight stays where it was."""
        at = self.at or 0
        self.rows.clear_options()
        self.rows.add_options(Option(Content.assemble(*map(_harmless, row))) for row in rows)
        self.rows.highlighted = min(at, len(rows) - 1) if rows else None

    def say(self, text: str) -> None:
        self.query_one("#who", Static).update(harmless.line(text))

    def detail(self, lines: Sequence[str]) -> None:
        self.query_one("#detail-text", Static).update(harmless.said("\n".join(lines)))
        self.query_one("#detail", VerticalScroll).scroll_home(animate=False)

    def detail_of(self, ask: Callable[[], Sequence[str]], waiting: str = "") -> None:
        """Show what takes a moment to find out, unless another row is chosen by then."""
        self._asked += 1
        asked = self._asked
        if waiting:
            self.detail([waiting])
        self.do(ask, lambda lines: self.detail(lines) if asked == self._asked else None)

    def action_scroll_detail(self, pages: int) -> None:
        place = self.query_one("#detail", VerticalScroll)
        place.scroll_relative(y=pages * max(1, place.size.height - 1), animate=False)

    @work(thread=True, exit_on_error=False)
    def do(self, deed: Callable[[], Found], then: Callable[[Found], object]) -> None:
        """Something that takes time; what it fails with is told."""
        try:
            found = deed()
        except DialogRLError as e:
            self.app.call_from_thread(self._failed, str(e))
            return
        self.app.call_from_thread(then, found)

    def _failed(self, why: str) -> None:
        self.detail([why])
        self.notify(why, severity="error")


def _harmless(part: Styled) -> Styled:
    text, style = part
    return harmless.said(text).plain.replace("\n", " "), style
