"""The dashboard: a run as it goes on, seen from outside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from dialog_rl.errors import DialogRLError
from dialog_rl.online.seen import Alive, Seen, Watched
from dialog_rl.tui import harmless, house
from dialog_rl.tui.house import House
from dialog_rl.tui.keys import Keys
from dialog_rl.tui.panels import Contents, Panel, Shown
from dialog_rl.tui.preferences import Preferences
from dialog_rl.tui.sanely import PatientDriver

EVERY = 1.0
"""Seconds between two looks."""
LEAST = (30, 8)
"""Columns and lines below which nothing can be shown."""
GRID = (110, 30)
"""Columns and lines from which on all panels are shown together unless one is asked for."""
BESIDE = 76
"""Columns from which on the table of contents stands beside a single panel."""
_MARKS = {
    Alive.WAITING: ("○", "$text-warning"),
    Alive.RUNNING: ("●", "$text-success"),
    Alive.SILENT: ("?", "$text-warning"),
    Alive.ENDED: ("■", "$text-primary"),
    Alive.GONE: ("✗", "$text-error"),
}


class WatchScreen(Screen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,tab", "choose(1)", "Next", id="next", key_display="→"),
        Binding("left,shift+tab", "choose(-1)", "Before", id="before", key_display="←"),
        Binding("down", "below(1)", "Below", id="below", show=False),
        Binding("up", "below(-1)", "Above", id="above", show=False),
        Binding("enter,space", "zoom", "One/all", id="zoom", key_display="⏎"),
        Binding("j,pagedown", "scroll_notes(1)", "Scroll a list down", id="scroll-down", show=False),
        Binding("k,pageup", "scroll_notes(-1)", "Scroll a list up", id="scroll-up", show=False),
        *(Binding(str(n), f"pick({n - 1})", "Pick by number", id=f"pick-{n}", show=False) for n in range(1, 10)),
    ]

    def __init__(self, watched: Watched, first: Seen) -> None:
        super().__init__()
        self._watched, self.seen = watched, first
        self._chosen = self.shown[0].key
        self._grid: bool | None = None
        """What was asked for; None: by the size of the terminal."""
        self._looking = False

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (*self.seen.charts, *self.seen.notes)

    @property
    def chosen(self) -> str:
        """The key of the panel that is."""
        return self._chosen

    @property
    def grid(self) -> bool:
        """Whether all panels are shown together."""
        if self._grid is not None:
            return self._grid
        return self.size.width >= GRID[0] and self.size.height >= GRID[1]

    def compose(self) -> ComposeResult:
        with Horizontal(id="top"):
            yield Static(Content(""), id="where", markup=False)
            yield Static(Content(""), id="who", markup=False)
        with Horizontal(id="middle"):
            yield Contents(id="contents")
            with Container(id="panels"):
                yield from map(Panel, self.shown)
        yield Keys()
        yield Static("too small: {} columns and {} lines are needed".format(*LEAST), id="too-small", markup=False)

    async def on_mount(self) -> None:
        self._show_life()
        self._arrange()
        self.set_interval(EVERY, self._look_again)

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width < LEAST[0] or event.size.height < LEAST[1], "-too-small")
        self._show_life()
        self._arrange()

    # Following

    def _look_again(self) -> None:
        if not self._looking:
            self._looking = True
            self._look()

    @work(thread=True, exit_on_error=False)
    def _look(self) -> None:
        try:
            seen: Seen | DialogRLError = self._watched.look()
        except DialogRLError as e:
            seen = e
        self.app.call_from_thread(self._take, seen)

    async def _take(self, seen: Seen | DialogRLError) -> None:
        self._looking = False
        if isinstance(seen, DialogRLError):
            self._say(Content.styled("? ", "$text-warning").append(harmless.line(str(seen))))
        elif seen != self.seen:
            await self.show(seen)

    async def show(self, seen: Seen) -> None:
        """The run as it is now."""
        before = [panel.key for panel in self.shown]
        self.seen = seen
        now = {panel.key: panel for panel in self.shown}
        if before != [*now]:
            place = self.query_one("#panels")
            await place.remove_children()
            await place.mount(*map(Panel, self.shown))
            self._chosen = self._chosen if self._chosen in now else self.shown[0].key
        else:
            for panel in self.query(Panel):
                panel.show(now[panel.shown.key])
        self._show_life()
        self._arrange()

    def _show_life(self) -> None:
        seen = self.seen
        ours = Content.styled("dialog_rl  " if self.size.width >= BESIDE else "", "bold")
        self.query_one("#where", Static).update(ours.append(harmless.line(f"{seen.name} · {seen.progress}")))
        mark, style = _MARKS[seen.alive]
        self._say(Content.styled(f"{mark} {seen.alive}: ", style).append(harmless.line(seen.told)))

    def _say(self, text: Content) -> None:
        self.query_one("#who", Static).update(text)

    # Arranging

    def _arrange(self) -> None:
        """All together, or the chosen one alone."""
        panels = [*self.query(Panel)]
        if not panels:
            return
        grid, beside = self.grid, self.size.width >= BESIDE and self.size.height >= len(panels) + 4
        self.set_class(grid, "-grid")
        contents = self.query_one(Contents)
        contents.display = beside and not grid
        if contents.display:
            contents.show(self.shown, self._chosen)
        across = self._across(len(panels)) if grid else 1
        place = self.query_one("#panels")
        place.styles.grid_size_columns = across
        for number, panel in enumerate(panels):
            chosen = panel.shown.key == self._chosen
            panel.display = grid or chosen
            panel.set_class(chosen and grid, "chosen")
            panel.place("" if grid else f"{number + 1} of {len(panels)}")
            last = number == len(panels) - 1
            panel.styles.column_span = (across - number % across) if grid and last else 1

    def _across(self, panels: int) -> int:
        """How many panels stand side by side: as many as have room, and no fewer rows than leave them high enough."""
        fit = max(1, min(4, self.size.width // 36))
        return min(fit, 3) if panels <= 9 else fit

    def action_choose(self, by: int) -> None:
        keys = [panel.key for panel in self.shown]
        self._choose(keys[(keys.index(self._chosen) + by) % len(keys)])

    def action_below(self, rows: int) -> None:
        if not self.grid:
            self.action_choose(rows)
            return
        keys = [panel.key for panel in self.shown]
        place = keys.index(self._chosen) + rows * self._across(len(keys))
        if place >= 0:
            self._choose(keys[min(place, len(keys) - 1)])

    def action_pick(self, number: int) -> None:
        if number < len(self.shown):
            self._choose(self.shown[number].key)

    def action_zoom(self) -> None:
        self._grid = not self.grid
        self._arrange()

    def action_scroll_notes(self, lines: int) -> None:
        for panel in self._chosen_panels():
            panel.scroll(lines)

    def _chosen_panels(self) -> Iterator[Panel]:
        return (panel for panel in self.query(Panel) if panel.shown.key == self._chosen)

    def on_panel_chosen(self, message: Panel.Chosen) -> None:
        self._choose(message.key)

    def _choose(self, key: str) -> None:
        self._chosen = key
        self._arrange()


class WatchApp(House):
    CSS_PATH = ["house.tcss", "watch.tcss"]
    ABOUT = (
        "Dots are single updates, lines running means. What is shown is read from the run's files and its log; nothing "
        "is written, and the run goes on whether it is watched or not."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit", id="leave"),
        Binding("question_mark", "help", "Help", id="help-too", show=False),
    ]

    def __init__(self, watched: Watched, preferences: Preferences, **options: Any) -> None:
        """Looks once before anything is drawn: raises what that raises."""
        super().__init__(preferences, **options)
        self.watch_screen = WatchScreen(watched, watched.look())

    def get_default_screen(self) -> Screen[Any]:
        return self.watch_screen


def run(watched: Watched, preferences: Preferences) -> tuple[int, str]:
    """Show it on this process's terminal until the person leaves. Returns the exit code and a last word."""
    return house.run(WatchApp(watched, preferences, driver_class=PatientDriver))
