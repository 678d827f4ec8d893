"""Logged episodes: found in a list that grows as it is read, and opened one by one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from dialog_rl.browsing.pages import Page, Rated, Row, Wanted
from dialog_rl.episode import StopReason, short
from dialog_rl.errors import DialogRLError
from dialog_rl.text import fit
from dialog_rl.tui import harmless, house
from dialog_rl.tui.browsed import Browsed
from dialog_rl.tui.dialogs import AskLine
from dialog_rl.tui.house import House
from dialog_rl.tui.keys import Keys
from dialog_rl.tui.preferences import Preferences
from dialog_rl.tui.sanely import PatientDriver
from dialog_rl.tui.stepping import EpisodeScreen

NEAR = 10
"""Rows from the end of what has been read at which the next page is."""
_MARKS = {True: ("✓", "$text-success"), False: ("✗", "$text-error"), None: ("·", harmless.MUTED)}


class _Rows(OptionList):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", show=False),
        Binding("k", "cursor_up", show=False),
        Binding("enter", "select", "Open", id="open"),
    ]


class BrowseScreen(Screen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "ask('text')", "Search", id="search", key_display="/"),
        Binding("s", "success", "Success", id="success"),
        Binding("r", "rated", "Rated", id="rated"),
        Binding("e", "ended", "Ended", id="ended"),
        Binding("p", "ask('pack')", "Pack", id="pack"),
        Binding("v", "ask('policy')", "Version", id="version"),
        Binding("x", "clear", "All", id="all"),
    ]

    def __init__(self, browsed: Browsed, wanted: Wanted) -> None:
        super().__init__()
        self.browsed, self.wanted = browsed, wanted
        self.rows: list[Row] = []
        self._next: int | None = None
        self._more, self._reading, self._round = True, False, 0
        self._looked = 0
        self._total: int | None = None

    def compose(self) -> ComposeResult:
        with Horizontal(id="top"):
            yield Static(Content(""), id="where", markup=False)
            yield Static(Content(""), id="who", markup=False)
        yield Static(Content(""), id="columns", markup=False)
        yield _Rows(id="rows")
        yield Keys()

    def on_mount(self) -> None:
        self.query_one(_Rows).focus()
        self.look_anew()

    def on_resize(self) -> None:
        rows = self.query_one(_Rows)
        at = rows.highlighted
        rows.clear_options()
        rows.add_options([Option(self._told(row)) for row in self.rows])
        rows.highlighted = at
        head = ("", "wanted", "turns", "ended", "version", "pack", "episode")
        self.query_one("#columns", Static).update(Content.styled("  " + self._columns(head), harmless.MUTED))

    # Reading

    def look_anew(self) -> None:
        self.rows, self._next, self._more, self._looked, self._total = [], None, True, 0, None
        self._round += 1
        self._reading = False
        self.query_one(_Rows).clear_options()
        self._read()

    def _read(self) -> None:
        if self._more and not self._reading:
            self._reading = True
            self._say()
            self._read_page(self._round, self.wanted, self._next, self._total is None)

    @work(thread=True, exit_on_error=False)
    def _read_page(self, round_: int, wanted: Wanted, before: int | None, count: bool) -> None:
        found: tuple[Page, int | None] | DialogRLError
        try:
            total = self.browsed.count(wanted) if count else None
            found = self.browsed.page(wanted, before), total
        except DialogRLError as e:
            found = e
        self.app.call_from_thread(self._take, round_, found)

    def _take(self, round_: int, found: tuple[Page, int | None] | DialogRLError) -> None:
        if round_ != self._round:
            return
        self._reading = False
        if isinstance(found, DialogRLError):
            self._more = False
            self.notify(str(found), severity="error")
            return
        page, total = found
        self._total = self._total if total is None else total
        self.rows += page.rows
        self._next, self._more, self._looked = page.next, page.next is not None, self._looked + page.looked
        rows = self.query_one(_Rows)
        rows.add_options([Option(self._told(row)) for row in page.rows])
        if rows.highlighted is None and self.rows:
            rows.highlighted = 0
        self._say()
        if (rows.highlighted or 0) + NEAR >= len(self.rows):
            self._read()

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if event.option_index + NEAR >= len(self.rows):
            self._read()
        self._say()

    def _say(self) -> None:
        at = self.query_one(_Rows).highlighted
        place = f"{at + 1} of " if at is not None else ""
        known = f"{self._total:,}" if self._total is not None else "…"
        if self.wanted.by_looking:
            known = f"{len(self.rows):,} found, {self._looked:,} of {known} looked at"
        state = f"{place}{known}" if self.rows or self._reading else "no episodes that fit"
        self.query_one("#who", Static).update(harmless.line(state))
        name = Path(self.browsed.name).parent.name or self.browsed.name
        self.query_one("#where", Static).update(harmless.line(f"{name} · {told(self.wanted)}"))

    # A row

    def _told(self, row: Row) -> Content:
        mark, style = _MARKS[row.success]
        rated = "" if row.rating is None else " ▲" if row.rating > 0 else " ▼" if row.rating < 0 else " ="
        broken = f" !{row.violations}" if row.violations else ""
        goal = (row.goal or row.scenario).replace("_", " ") + rated + broken
        version = ", ".join(short(one) for one in row.versions)
        cells = ("", goal, str(row.turns), row.stop.replace("_", " "), version, row.pack, row.id)
        return Content.styled(f"{mark} ", style).append(Content(self._columns(cells)))

    def _columns(self, cells: tuple[str, ...]) -> str:
        """Cells as wide as there is room for: what is wanted takes what is left."""
        room = self.size.width - 6
        widths = {2: 5, 3: 12}
        widths |= {4: 12} if room >= 65 else {}
        widths |= {5: 10} if room >= 75 else {}
        widths |= {6: 26} if room >= 109 else {}
        goal = max(8, room - sum(width + 1 for width in widths.values()))
        return " ".join([fit(cells[1], goal), *(fit(cells[n], width) for n, width in widths.items())])

    # Filters

    def want(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.look_anew()

    def action_success(self) -> None:
        self.want(replace(self.wanted, success={None: True, True: False, False: None}[self.wanted.success]))

    def action_rated(self) -> None:
        kinds = [None, *Rated]
        rated = kinds[(kinds.index(self.wanted.rated) + 1) % len(kinds)]
        asked = None if rated is None else rated is not Rated.NONE
        self.want(replace(self.wanted, rated=rated, query=replace(self.wanted.query, rated=asked)))

    def action_ended(self) -> None:
        kinds = [None, *StopReason]
        stop = kinds[(kinds.index(self.wanted.query.stop) + 1) % len(kinds)]
        self.want(replace(self.wanted, query=replace(self.wanted.query, stop=stop)))

    @work
    async def action_ask(self, field: str) -> None:
        before = getattr(self.wanted.query, field) or ""
        answer = await self.app.push_screen_wait(AskLine(_ASKED[field], before))
        if answer is not None and answer != before:
            self.want(replace(self.wanted, query=replace(self.wanted.query, **{field: answer or None})))

    def action_clear(self) -> None:
        self.want(Wanted())

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self._open(self.rows[event.option_index].id)

    @work(thread=True, exit_on_error=False)
    def _open(self, episode_id: str) -> None:
        try:
            opened = self.browsed.open(episode_id)
        except DialogRLError as e:
            self.app.call_from_thread(self.notify, str(e), severity="error")
            return
        self.app.call_from_thread(self.app.push_screen, EpisodeScreen(self.browsed, opened))


_ASKED = {
    "text": "What occurs in it? A goal, a customer, anything that was said",
    "pack": "Which pack?",
    "policy": "Which version spoke? The beginning of its id is enough",
}


def told(wanted: Wanted) -> str:
    """The filters in words."""
    query = wanted.query
    parts = [
        {True: "served", False: "not served", None: ""}[wanted.success],
        {None: "", Rated.ANY: "rated", Rated.NONE: "not rated"}.get(wanted.rated, f"rated {wanted.rated}"),
        f"ended: {query.stop}" if query.stop else "",
        f"pack {query.pack}" if query.pack else "",
        f"by {query.policy}" if query.policy else "",
        f"split {query.split}" if query.split else "",
        f"“{query.text}”" if query.text else "",
    ]
    return ", ".join(part for part in parts if part) or "all episodes"


class BrowseApp(House):
    CSS_PATH = ["house.tcss", "browse.tcss"]
    ABOUT = "✓ was served, ✗ was not. ▲ and ▼: what people thought of it. !2: two rules were broken."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit", id="leave"),
        Binding("question_mark", "help", "Help", id="help-too", show=False),
    ]

    def __init__(self, browsed: Browsed, wanted: Wanted, preferences: Preferences, **options: Any) -> None:
        super().__init__(preferences, **options)
        self.browse_screen = BrowseScreen(browsed, wanted)

    def get_default_screen(self) -> Screen[Any]:
        return self.browse_screen


def run(browsed: Browsed, wanted: Wanted, preferences: Preferences) -> tuple[int, str]:
    """Show it on this process's terminal until the person leaves. Returns the exit code and a last word."""
    return house.run(BrowseApp(browsed, wanted, preferences, driver_class=PatientDriver))
