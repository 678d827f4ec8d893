"""Every key and every command, as they are bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from dialog_rl.tui import harmless


class HelpScreen(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1,q", "dismiss", "Back"),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]

    def __init__(
        self, keys: list[tuple[str, list[tuple[str, str]]]], about: str = "", orders: Sequence[str] = ()
    ) -> None:
        """keys: of each place its keys and what they do. orders: commands that can be typed, a line each."""
        super().__init__(classes="window")
        self._keys, self._about, self._orders = keys, about, orders

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box"):
            if self._about:
                yield Static(Content(self._about), classes="about", markup=False)
            for place, keys in self._keys:
                if not keys:
                    continue
                yield Static(harmless.line(place), classes="title", markup=False)
                width = max(len(key) for key, _ in keys)
                rows = (_row(key, what, width) for key, what in keys)
                yield Static(Content("\n").join(rows), classes="keys", markup=False)
            if self._orders:
                yield Static("Instead of a message", classes="title", markup=False)
                yield Static(Content("\n".join(self._orders)), markup=False)

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def action_scroll(self, lines: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)


def _row(key: str, what: str, width: int) -> Content:
    return Content.styled(f"{key:<{width}}  ", "$accent").append(harmless.line(what))


def keys_of(
    app: App[Any], chosen: Mapping[str, str], *places: tuple[Any, ...]
) -> list[tuple[str, list[tuple[str, str]]]]:
    """The keys of places, each a title and the widgets and screens that are there.

    chosen: those that somebody has bound otherwise, by the binding's id.
    """
    found: list[tuple[str, list[tuple[str, str]]]] = []
    for title, *nodes in places:
        rows: dict[str, list[str]] = {}
        for binding in (binding for node in nodes for _, binding in node._bindings):
            if binding.id and binding.description:
                shown = chosen.get(binding.id) or app.get_key_display(binding)
                rows.setdefault(binding.tooltip or binding.description, []).append(shown)
        found.append((title, [(" ".join(dict.fromkeys(keys)), what) for what, keys in rows.items()]))
    return found
