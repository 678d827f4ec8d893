"""Plugins: which there are, what they offer and may do, which of them are loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.screen import Screen

from dialog_rl.plugins.manifest import Manifest
from dialog_rl.text import fit
from dialog_rl.tui import house
from dialog_rl.tui.dialogs import AskYes
from dialog_rl.tui.house import House
from dialog_rl.tui.panes import Panes, Styled
from dialog_rl.tui.preferences import Preferences
from dialog_rl.tui.sanely import PatientDriver

TRUSTING = "Let {} run inside the program? It can then do whatever you can."


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What the screen shows and does, by whoever can. All of it may raise DialogRLError."""

    read: Callable[[], Sequence[Manifest]]
    """Every plugin, as it is now; none is run for it."""
    show: Callable[[Manifest], Sequence[str]]
    check: Callable[[str], Sequence[str]]
    """Load a plugin anew and check what it offers; what came of it, a line each."""
    decide: Callable[[str, str], str]
    """disable, enable, trust or distrust one; what follows."""


class PluginsScreen(Panes):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "disable", "Disable", id="plugin-disable"),
        Binding("t", "trust", "Trust", id="plugin-trust"),
        Binding("enter,c", "check", "Reload and check", id="plugin-check"),
        Binding("r", "read", "Read again", id="plugins-read"),
    ]

    def __init__(self, installed: Installed) -> None:
        super().__init__("plugins")
        self.installed = installed
        self.found: Sequence[Manifest] = ()

    def on_mount(self) -> None:
        self.rows.focus()
        self.action_read()

    def action_read(self) -> None:
        self.say("reading …")
        self.do(self.installed.read, self._take)

    def _take(self, found: Sequence[Manifest]) -> None:
        self.found = found
        self.list([_told(manifest) for manifest in found])
        wrong = sum(bool(manifest.problem) for manifest in found)
        self.say(f"{len(found)} installed" + (f", {wrong} with something wrong" if wrong else ""))

    def _chosen(self) -> Manifest | None:
        return self.found[self.at] if self.at is not None and self.at < len(self.found) else None

    def on_option_list_option_highlighted(self) -> None:
        manifest = self._chosen()
        if manifest is not None:
            self.detail(self.installed.show(manifest))

    def on_option_list_option_selected(self) -> None:
        self.action_check()

    def action_check(self) -> None:
        manifest = self._chosen()
        if manifest is not None:
            self.detail_of(lambda: self.installed.check(manifest.name), f"{manifest.name} is loaded and checked …")

    def action_disable(self) -> None:
        manifest = self._chosen()
        if manifest is not None:
            self._decide(manifest.name, "enable" if manifest.status == "disabled" else "disable")

    @work
    async def action_trust(self) -> None:
        manifest = self._chosen()
        if manifest is None:
            return
        if manifest.status == "built in":
            self.notify(f"{manifest.name} comes with the program and runs inside it")
        elif manifest.status == "trusted":
            self._decide(manifest.name, "distrust")
        elif await self.app.push_screen_wait(AskYes(TRUSTING.format(manifest.name))):
            self._decide(manifest.name, "trust")

    def _decide(self, name: str, what: str) -> None:
        self.do(lambda: self.installed.decide(name, what), self._decided)

    def _decided(self, told: str) -> None:
        self.notify(told)
        self.action_read()


def _told(manifest: Manifest) -> Sequence[Styled]:
    mark = ("✗ ", "$text-error") if manifest.problem else ("  ", "")
    return mark, (f"{fit(manifest.name, 22)} ", "bold"), (manifest.status, "")


class PluginsApp(House):
    CSS_PATH = ["house.tcss", "browse.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit", id="leave"),
        Binding("question_mark", "help", "Help", id="help-too", show=False),
    ]

    def __init__(self, installed: Installed, preferences: Preferences, **options: Any) -> None:
        super().__init__(preferences, **options)
        self.plugins_screen = PluginsScreen(installed)

    def get_default_screen(self) -> Screen[Any]:
        return self.plugins_screen


def run(installed: Installed, preferences: Preferences) -> tuple[int, str]:
    """Show them on this process's terminal until the person leaves. Returns the exit code and a last word."""
    return house.run(PluginsApp(installed, preferences, driver_class=PatientDriver))
