"""What every application on the terminal shares: colours, keys, nothing that steers the terminal, an orderly end."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Sequence
from typing import Any, ClassVar

from textual import messages
from textual.app import App
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.notifications import SeverityLevel

from dialog_rl.errors import DialogRLError
from dialog_rl.text import printable
from dialog_rl.tui.harmless import Harmless
from dialog_rl.tui.help import HelpScreen, keys_of
from dialog_rl.tui.preferences import Preferences
from dialog_rl.tui.sanely import Ending, Terminal

logger = logging.getLogger(__name__)
DEFAULT_THEME = "tokyo-night"
NARROW = 110
"""Columns below which things that may stand side by side stand one above the other."""
HUNG_UP = 128 + signal.SIGHUP


class House(App[str]):
    """Returns a last word for the person."""

    TITLE = "dialog_rl"
    ABOUT: ClassVar[str] = ""
    """What the help says before it tells the keys."""
    CSS_PATH = ["house.tcss", "style.tcss"]
    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]]] = [(0, "-narrow"), (NARROW, "-wide")]
    VERTICAL_BREAKPOINTS: ClassVar[list[tuple[int, str]]] = [(0, "-short"), (18, "-tall")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", "Help", id="help"),
        Binding("ctrl+q", "quit", "Quit", id="quit", show=False, priority=True),
    ]

    def __init__(self, preferences: Preferences, **options: Any) -> None:
        super().__init__(**options)
        self.preferences = preferences
        self._harmless = Harmless()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.fault = ""
        """Why it could not go on, if it was not a fault of its own."""

    # What each application says of itself

    def close(self, code: int) -> str:
        """Keep what is to be kept; a last word for the person. Raises DialogRLError."""
        return ""

    def help_screen(self) -> HelpScreen:
        """Every key, as it is bound where the person is."""
        places = (("Everywhere", self), ("Here", self.screen))
        return HelpScreen(keys_of(self, self.preferences.keys, *places), self.ABOUT)

    # The same for all

    def on_mount(self) -> None:
        self._loop = asyncio.get_running_loop()
        chosen = self.preferences.theme
        self.theme = chosen if chosen in self.available_themes else DEFAULT_THEME
        self.theme_changed_signal.subscribe(self, lambda theme: self._choose_theme(theme.name))
        self.set_keymap(self.preferences.keys)

    def _choose_theme(self, theme: str) -> None:
        try:
            self.preferences.choose(theme=theme)
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

    def action_help(self) -> None:
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(self.help_screen())

    async def action_quit(self) -> None:
        self.end(0)

    def end(self, code: int) -> None:
        """Keep everything and leave: 0 if the person leaves, else a signal."""
        try:
            last_word = self.close(code)
        except DialogRLError as e:
            last_word, code = str(e), code or 1
        self.exit(last_word, return_code=code)

    def end_soon(self, code: int) -> None:
        """The same from a signal handler."""
        if self._loop is None:
            raise SystemExit(code)
        self._loop.call_soon_threadsafe(self.end, code)

    def on_exit_app(self, message: messages.ExitApp) -> None:
        """A browser that went away ends it as a terminal does."""
        if not self._exit:
            message.prevent_default()
            self.end(HUNG_UP)

    # Textual would print a traceback with everybody's words in it; the command that started us says it in one line.

    def _fatal_error(self) -> None:
        self._close_messages_no_wait()

    def panic(self, *renderables: Any) -> None:
        logger.error("the terminal failed: %s", renderables)
        self.fault = self.fault or "the terminal failed"
        self._return_code = 1
        self._close_messages_no_wait()


def run(app: House) -> tuple[int, str]:
    """Run it on this process's terminal. Returns the exit code and a last word. Raises what broke it."""
    terminal = Terminal()
    uninstall = Ending(terminal, app.end_soon).install()
    try:
        last_word = app.run()
    finally:
        uninstall()
        terminal.restore_modes()
    if app._exception is not None:
        raise app._exception
    return app.return_code or 0, last_word or app.fault
