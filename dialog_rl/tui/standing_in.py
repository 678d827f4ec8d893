"""In the agent's place: the customer says something, the person answers or calls a tool, the customer answers that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from dialog_rl.browsing.standing_in import StandIn, usage
from dialog_rl.errors import DialogRLError
from dialog_rl.tui import harmless
from dialog_rl.tui.browsed import Browsed
from dialog_rl.tui.composer import Composer
from dialog_rl.tui.dialogs import AskLine
from dialog_rl.tui.keys import Keys
from dialog_rl.tui.rows import row

CHAMPION = "champion"


class StandInScreen(Screen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+t", "tools", "Tools", id="stand-in-tools"),
        Binding("ctrl+b", "hand_back", "Hand back", id="hand-back"),
        Binding("escape", "leave", "Leave", id="stand-in-leave"),
    ]

    def __init__(self, browsed: Browsed, stand_in: StandIn) -> None:
        super().__init__()
        self.browsed, self.stand_in = browsed, stand_in
        self._acted = self._busy = False

    def compose(self) -> ComposeResult:
        with Horizontal(id="top"):
            yield Static(Content(""), id="where", markup=False)
            yield Static(Content(""), id="who", markup=False)
        with VerticalScroll(id="turns", can_focus=False):
            yield Static(Content(""), id="said", markup=False)
            yield Static(Content(""), id="verdict", markup=False)
        yield Static(Content(""), id="tools", markup=False)
        yield Composer(placeholder="Answer the customer, or call: /tool argument=value", commands=self.stand_in.tools)
        yield Keys()

    def on_mount(self) -> None:
        usages = (usage(name, arguments) for name, arguments in self.stand_in.tools.items())
        tools = self.query_one("#tools", Static)
        tools.update(harmless.said("\n".join(usages)))
        tools.display = self.size.height >= 30
        self.query_one(Composer).focus()
        self.query_one(VerticalScroll).anchor()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        self.query_one("#said", Static).update(Content("\n").join(self._rows()))
        self.query_one("#verdict", Static).update(harmless.said("\n".join(self.stand_in.verdict())))
        self.query_one(Composer).display = not self.stand_in.ended
        place = f"{self.stand_in.origin} from turn {self.stand_in.turn} on · you are the agent"
        self.query_one("#where", Static).update(harmless.line(place))
        state = "it has ended" if self.stand_in.ended else "it goes on by itself …" if self._busy else "your turn"
        self.query_one("#who", Static).update(harmless.line(state))

    def _rows(self) -> Iterator[Content]:
        before = 0
        for number, line in self.stand_in.lines():
            if number != before:
                yield Content("")
            before = number
            yield row(line, self.size.width - 5)

    def on_composer_sent(self, event: Composer.Sent) -> None:
        text = event.text.strip()
        if not text or self._busy:
            event.composer.give_back(event.text)
            return
        stand_in = self.stand_in
        deed = (lambda: stand_in.call(text[1:])) if text.startswith("/") else (lambda: stand_in.say(text))
        self._do(deed, lambda: self._failed_with(text))

    def _failed_with(self, text: str) -> None:
        self.query_one(Composer).give_back(text)

    def action_tools(self) -> None:
        tools = self.query_one("#tools", Static)
        tools.display = not tools.display

    @work
    async def action_hand_back(self) -> None:
        if self.stand_in.ended or self._busy:
            return
        version = await self.app.push_screen_wait(AskLine("Which version is to do the rest?", CHAMPION))
        if version:
            self._do(lambda: self.browsed.hand_back(self.stand_in, version.strip()), lambda: None)

    def _do(self, deed: Callable[[], object], otherwise: Callable[[], None]) -> None:
        self._busy = True
        self._draw()
        self._deed(deed, otherwise)

    @work(thread=True, exit_on_error=False)
    def _deed(self, deed: Callable[[], object], otherwise: Callable[[], None]) -> None:
        wrong = ""
        try:
            deed()
        except DialogRLError as e:
            wrong = str(e)
        self.app.call_from_thread(self._done, wrong, otherwise)

    def _done(self, wrong: str, otherwise: Callable[[], None]) -> None:
        self._busy = False
        if wrong:
            self.notify(wrong, severity="error")
            otherwise()
        else:
            self._acted = True
        self._draw()

    def action_leave(self) -> None:
        """What was done is logged; who has done nothing leaves nothing."""
        if self._busy:
            self.notify("it still goes on by itself")
            return
        if self._acted:
            self._keep()
        self.dismiss(None)

    def _keep(self) -> None:
        try:
            self.notify(f"kept: {self.browsed.log_stand_in(self.stand_in)}", timeout=10)
        except DialogRLError as e:
            self.notify(str(e), severity="error", timeout=10)
