"""The application: what every screen shares. Other screens join as modes beside "chat"."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.notifications import SeverityLevel
from textual.screen import Screen

from dialog_rl.chat.commands import ON_SCREEN
from dialog_rl.errors import DialogRLError
from dialog_rl.text import printable
from dialog_rl.tui.chat import ChatScreen
from dialog_rl.tui.desk import Desk
from dialog_rl.tui.harmless import Harmless
from dialog_rl.tui.help import HelpScreen, keys_of
from dialog_rl.tui.sanely import Ending, PatientDriver, Terminal

logger = logging.getLogger(__name__)
CHAT = "chat"
DEFAULT_THEME = "tokyo-night"


class DialogApp(App[str]):
    """Returns a last word for the person."""

    TITLE = "dialog_rl"
    CSS_PATH = "style.tcss"
    DEFAULT_MODE = CHAT
    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]]] = [(0, "-narrow"), (110, "-wide")]
    VERTICAL_BREAKPOINTS: ClassVar[list[tuple[int, str]]] = [(0, "-short"), (18, "-tall")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", "Help", id="help"),
        Binding("ctrl+q", "quit", "Quit", id="quit", show=False, priority=True),
    ]

    def __init__(self, desk: Desk, **options: Any) -> None:
        super().__init__(**options)
        self.desk = desk
        self.chat = ChatScreen(desk)
        self._harmless = Harmless()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.fault = ""
        """Why it could not go on, if it was not a fault of its own."""

    def get_default_screen(self) -> Screen[Any]:
        return self.chat

    def on_mount(self) -> None:
        self._loop = asyncio.get_running_loop()
        chosen = self.desk.preferences.theme
        self.theme = chosen if chosen in self.available_themes else DEFAULT_THEME
        self.theme_changed_signal.subscribe(self, lambda theme: self._choose_theme(theme.name))
        self.set_keymap(self.desk.preferences.keys)

    def _choose_theme(self, theme: str) -> None:
        try:
            self.desk.preferences.choose(theme=theme)
        except DialogRLError as e:
            self.notify(str(e), severity="warning")

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), self._harmless]

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        # Never as markup, whoever asks for it.
        super().notify(printable(message), title=printable(title), severity=severity, timeout=timeout, markup=False)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        if screen is self.chat:
            for command in ON_SCREEN:
                if command.name not in _WITH_MORE:
                    yield SystemCommand(command.name.capitalize(), command.help, self._order(command.name))
        yield SystemCommand("Theme", "other colours", self.action_change_theme)

    def _order(self, name: str) -> Any:
        async def obey() -> None:
            await self.chat.obey(f"/{name}")

        return obey

    def action_help(self) -> None:
        if not isinstance(self.screen, HelpScreen):
            screen = self.chat
            places = (
                ("Everywhere", self),
                ("At the prompt", screen.composer),
                ("", screen),
                ("Looking back", screen.review),
            )
            self.push_screen(HelpScreen(keys_of(self, self.desk.preferences.keys, *places)))

    async def action_quit(self) -> None:
        self.end(0)

    def end(self, code: int) -> None:
        """Keep everything and leave. A person who leaves has ended the conversation; a signal has not."""
        try:
            last_word = self.chat.close(end=code == 0)
        except DialogRLError as e:
            last_word, code = str(e), code or 1
        self.exit(last_word, return_code=code)

    def end_soon(self, code: int) -> None:
        """The same from a signal handler."""
        if self._loop is None:
            raise SystemExit(code)
        self._loop.call_soon_threadsafe(self.end, code)

    # Textual would print a traceback with everybody's words in it; the command that started us says it in one line.

    def _fatal_error(self) -> None:
        self._close_messages_no_wait()

    def panic(self, *renderables: Any) -> None:
        logger.error("the terminal failed: %s", renderables)
        self.fault = self.fault or "the terminal failed"
        self._return_code = 1
        self._close_messages_no_wait()


_WITH_MORE = {"rate", "whole", "name", "theme", "help"}
"""Commands that need what follows them, or that the palette has elsewhere."""


def run(desk: Desk) -> tuple[int, str]:
    """Run it on this process's terminal. Returns the exit code and a last word. Raises what broke it."""
    terminal = Terminal()
    app = DialogApp(desk, driver_class=PatientDriver)
    uninstall = Ending(terminal, app.end_soon).install()
    try:
        last_word = app.run()
    finally:
        uninstall()
        terminal.restore_modes()
    if app._exception is not None:
        raise app._exception
    return app.return_code or 0, last_word or app.fault
