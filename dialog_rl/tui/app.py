"""The application in which one chats."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from textual.app import SystemCommand
from textual.command import Hit, Hits
from textual.screen import Screen
from textual.system_commands import SystemCommandsProvider

from dialog_rl.chat.commands import ON_SCREEN, listing
from dialog_rl.tui import house, place
from dialog_rl.tui.chat import ChatScreen
from dialog_rl.tui.desk import Desk
from dialog_rl.tui.help import HelpScreen, keys_of
from dialog_rl.tui.house import House
from dialog_rl.tui.sanely import PatientDriver

CHAT = "chat"
ABOUT = (
    "You are a customer; the card says who. Enter sends what you type, ctrl+j breaks the line, Esc stops the agent. "
    "ctrl+g and ctrl+n rate its last reply; Esc looks back, where single keys rate any of them. "
    "{} It is learnt from only if you let it: ctrl+l."
)


class Commands(SystemCommandsProvider):
    """What the palette offers, found by what it does as well as by its name."""

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name, told, obey, *_ in self.app.get_system_commands(self.screen):
            by_name, by_deed = matcher.match(name), matcher.match(told)
            if by_name or by_deed:
                yield Hit(by_name or by_deed / 2, matcher.highlight(name) if by_name else name, obey, help=told)


class DialogApp(House):
    DEFAULT_MODE = CHAT
    COMMANDS = {Commands}

    def __init__(self, desk: Desk, **options: Any) -> None:
        super().__init__(desk.preferences, **options)
        self.desk = desk
        self.chat = ChatScreen(desk)

    def get_default_screen(self) -> Screen[Any]:
        return self.chat

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

    def help_screen(self) -> HelpScreen:
        screen = self.chat
        places = (
            ("Everywhere", self),
            ("At the prompt", screen.composer, screen),
            ("Looking back", screen.review),
        )
        about = ABOUT.format(self.desk.privacy)
        return HelpScreen(keys_of(self, self.preferences.keys, *places), about, listing(ON_SCREEN))

    def close(self, code: int) -> str:
        """A person who leaves has ended the conversation; a signal has not."""
        return self.chat.close(end=code == 0)


_WITH_MORE = {"rate", "whole", "name", "theme", "help"}
"""Commands that need what follows them, or that the palette has elsewhere."""


def run(desk: Desk) -> tuple[int, str]:
    """Run it on this process's terminal, or in the browser that this process was started for.

    Returns the exit code and a last word. Raises what broke it.
    """
    return house.run(DialogApp(desk, driver_class=None if place.is_a_browser() else PatientDriver))
