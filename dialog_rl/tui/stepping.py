"""One logged episode turn by turn, and beside it how another version would have spoken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, TypeVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from dialog_rl.browsing.closely import Closely, StepClosely
from dialog_rl.browsing.comparison import Beside, Replay
from dialog_rl.browsing.standing_in import StandIn
from dialog_rl.browsing.stepping import Line, Opened, TurnShown
from dialog_rl.episode import short
from dialog_rl.errors import DialogRLError
from dialog_rl.text import fit
from dialog_rl.tui import harmless
from dialog_rl.tui.browsed import Browsed
from dialog_rl.tui.dialogs import AskLine
from dialog_rl.tui.house import NARROW
from dialog_rl.tui.keys import Keys
from dialog_rl.tui.rows import row
from dialog_rl.tui.standing_in import StandInScreen

Found = TypeVar("Found")


class EpisodeScreen(Screen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "step(1)", "Turn", id="turn-next", key_display="j/k"),
        Binding("k,up", "step(-1)", "Turn before", id="turn-before", show=False),
        Binding("n", "point(1)", "Fault", id="fault-next"),
        Binding("N,b", "point(-1)", "Fault before", id="fault-before", show=False),
        Binding("t", "tokens", "Tokens", id="tokens"),
        Binding("d", "compare", "Compare", id="compare"),
        Binding("w", "keep", "Scenario", id="keep"),
        Binding("c", "go_on", "Be customer", id="go-on"),
        Binding("a", "stand_in", "Be agent", id="stand-in"),
        Binding("home", "step(-1000000)", "First turn", id="turn-first", show=False),
        Binding("end", "step(1000000)", "Last turn", id="turn-last", show=False),
        Binding("escape", "back", "Back", id="back"),
    ]

    def __init__(self, browsed: Browsed, opened: Opened) -> None:
        super().__init__()
        self.browsed, self.opened = browsed, opened
        self.turn = 0
        """The one that is chosen."""
        self.closely: Closely | None = None
        self.tokens = False
        """Whether the chosen turn's tokens are shown."""

    @property
    def id_shown(self) -> str:
        return self.opened.episode.episode_id

    def compose(self) -> ComposeResult:
        with Horizontal(id="top"):
            yield Static(Content(""), id="where", markup=False)
            yield Static(Content(""), id="who", markup=False)
        with VerticalScroll(id="turns", can_focus=False):
            yield from (Static(Content(""), classes="turn", markup=False) for _ in self.opened.turns)
            yield Static(harmless.said("\n".join(self.opened.verdict)), id="verdict", markup=False)
        yield Keys()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        """Every turn, the chosen one marked, and it brought into sight."""
        for widget, turn in zip(self.query(".turn").results(Static), self.opened.turns, strict=True):
            chosen = turn.number == self.turn
            widget.set_class(chosen, "chosen")
            widget.update(Content("\n").join(self._rows(turn, chosen=chosen)))
            if chosen:
                self.call_after_refresh(widget.scroll_visible, animate=False)
        episode, faults = self.opened.episode, len(self._points())
        by = ", ".join(short(version) for version in episode.policy_versions)
        self.query_one("#where", Static).update(harmless.line(f"{self.id_shown} · {episode.pack} · {by}"))
        told = "no faults" if not faults else "1 turn with faults" if faults == 1 else f"{faults} turns with faults"
        place = f"turn {self.turn} of 0–{len(self.opened.turns) - 1}" if self.opened.turns else "no turns"
        self.query_one("#who", Static).update(harmless.line(f"{place} · {told}"))

    def _rows(self, turn: TurnShown, *, chosen: bool) -> Iterator[Content]:
        yield from (row(line, self.size.width - 7) for line in turn.lines)
        for why in (*(point.why for point in turn.points if not point.rated), *self._cost(turn.number)):
            yield Content.styled("       !  ", "$text-error").append(harmless.line(why))
        for opinion in turn.opinions:
            yield Content.styled("       ★  ", "$text-warning").append(harmless.line(opinion))
        if chosen and self.tokens and self.closely is not None:
            for step in self.closely.turns[turn.number]:
                yield from closely(step)
            yield Content.styled(harmless.line(self.closely.told).plain, harmless.MUTED)

    def _cost(self, number: int) -> Iterator[str]:
        return (point.why for point in (self.closely.drops if self.closely else ()) if point.turn == number)

    def _points(self) -> list[int]:
        """The turns somebody who looks for mistakes would stop at."""
        drops = self.closely.drops if self.closely is not None else ()
        return sorted({point.turn for point in (*self.opened.points, *drops)})

    # Stepping

    def action_step(self, by: int) -> None:
        self.turn = max(0, min(len(self.opened.turns) - 1, self.turn + by))
        self._draw()

    def action_point(self, direction: int) -> None:
        ahead = [turn for turn in self._points() if (turn - self.turn) * direction > 0]
        if ahead:
            self.action_step((min if direction > 0 else max)(ahead) - self.turn)
        else:
            self.notify("no fault after this turn" if direction > 0 else "no fault before this turn")

    def action_back(self) -> None:
        self.dismiss(None)

    # What takes its time

    def action_tokens(self) -> None:
        self.tokens = not self.tokens
        if self.tokens and self.closely is None:
            self.notify("reading tokens and values; the model may have to be loaded first …")
            self._do(lambda: self.browsed.close_up(self.id_shown), self._take_closely)
        self._draw()

    def _take_closely(self, found: Closely) -> None:
        self.closely = found
        self._draw()

    @work
    async def action_compare(self) -> None:
        title = "Which version is to speak to the same customer? Nothing: the logged words once more"
        version = await self.app.push_screen_wait(AskLine(title))
        if version is not None:
            self.notify(f"{version or 'it is played again'}: speaking …")
            self._do(lambda: self.browsed.again(self.id_shown, version.strip()), self._compare)

    def _compare(self, done: Replay) -> None:
        self.app.push_screen(ComparisonScreen(done))

    def action_keep(self) -> None:
        self._do(lambda: self.browsed.keep(self.id_shown), lambda path: self.notify(f"written to {path}"))

    def action_go_on(self) -> None:
        self.browsed.go_on(self.id_shown, self.turn)
        self.app.exit(return_code=0)

    def action_stand_in(self) -> None:
        self._do(lambda: self.browsed.stand_in(self.id_shown, self.turn), self._take_place)

    def _take_place(self, stand_in: StandIn) -> None:
        self.app.push_screen(StandInScreen(self.browsed, stand_in))

    @work(thread=True, exit_on_error=False)
    def _do(self, deed: Callable[[], Found], then: Callable[[Found], None]) -> None:
        try:
            found = deed()
        except DialogRLError as e:
            self.app.call_from_thread(self.notify, str(e), severity="error")
            return
        self.app.call_from_thread(then, found)


class _Side(Static):
    """One turn as it went one time."""

    def __init__(self, title: str, said: Sequence[Line], *, same: bool) -> None:
        super().__init__(Content(""), markup=False)
        self._title, self._said, self.same = title, said, same

    def arrange(self, width: int, *, narrow: bool) -> None:
        """narrow: it stands above or below the other one, and must say which it is."""
        titled = narrow and not self.same
        title = [Content.styled(harmless.line(self._title).plain, harmless.MUTED)] if titled else []
        ended = [Content.styled("(it had ended)", harmless.MUTED)]
        said = [row(line, width) for line in self._said] or ended
        self.update(Content("\n").join([*title, *said]))


class ComparisonScreen(Screen[None]):
    """Both ways it went, from the first turn that differs; j and k go through the turns."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll(1)", "Down", id="compare-down", key_display="j"),
        Binding("k,up", "scroll(-1)", "Up", id="compare-up", key_display="k"),
        Binding("escape", "dismiss", "Back", id="compare-back"),
    ]

    def __init__(self, done: Replay) -> None:
        super().__init__()
        self.done = done

    def compose(self) -> ComposeResult:
        with Horizontal(id="top"):
            yield Static(harmless.line(self.done.logged.episode_id), id="where", markup=False)
            yield Static(harmless.line(self._found()), id="who", markup=False)
        yield Horizontal(*(Static(harmless.line(title), markup=False) for title in self._titles()), id="titles")
        with VerticalScroll(id="turns"):
            yield from (self._pair(turn) for turn in self.done.turns)
            both = ("\n".join(verdict) for verdict in self.done.verdicts)
            yield Horizontal(*(Static(harmless.said(verdict), markup=False) for verdict in both), classes="pair")
        yield Keys()

    def on_mount(self) -> None:
        place = self.query_one(VerticalScroll)
        place.focus()
        differs = self.done.first_difference
        if differs is not None:
            pair = list(self.query(".pair"))[differs]
            self.call_after_refresh(place.scroll_to_widget, pair, top=True, animate=False)

    def _found(self) -> str:
        by = self.done.spoken_by or "the logged words"
        if self.done.first_difference is not None:
            return f"turn {self.done.first_difference} is the first that differs with {by}"
        return f"the same again with {by}" + ("" if self.done.identical else ", in words; ids or log-probs differ")

    def _pair(self, turn: Beside) -> Horizontal:
        said = zip(self._titles(), (turn.logged, turn.again), strict=True)
        sides = [_Side(title, lines, same=turn.same) for title, lines in said]
        return Horizontal(*sides, classes="pair" if turn.same else "pair differs")

    def _titles(self) -> tuple[str, str]:
        return "as logged", f"with {self.done.spoken_by or 'the logged words'}"

    def on_resize(self) -> None:
        narrow = self.size.width < NARROW
        self.query_one("#titles").display = not narrow
        for number, side in enumerate(self.query(_Side)):
            side.arrange(self.size.width - 5 if narrow else self.size.width // 2 - 4, narrow=narrow)
            side.display = not (narrow and side.same and number % 2)

    def action_scroll(self, lines: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)


def closely(step: StepClosely) -> Iterator[Content]:
    """A step's tokens, a line each."""
    paid = "" if step.reward is None else f"paid {step.reward:+.3g}"
    yield Content.styled(f"{fit('token', 16)}  log-prob   value  advantage  {paid}", harmless.MUTED)
    for token in step.tokens:
        figures = (_figure(token.logprob, 8), _figure(token.value, 6), _figure(token.advantage, 9))
        yield Content(f"{fit(token.text.replace(' ', '␣') or '∅', 16)}  {'  '.join(figures)}")


def _figure(value: float | None, width: int) -> str:
    return f"{'–' if value is None else f'{value:.2f}':>{width}}"
