"""Kept conversations: searched, taken up, named, exported, put away."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from dialog_rl.chat.saved import Saved
from dialog_rl.chat.talk import Talks
from dialog_rl.episode import short
from dialog_rl.errors import DialogRLError
from dialog_rl.tui import harmless
from dialog_rl.tui.dialogs import PUT_AWAY, AskLine, AskYes
from dialog_rl.tui.errands import Errands
from dialog_rl.tui.keys import Keys


class _List(OptionList):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", show=False),
        Binding("k", "cursor_up", show=False),
        Binding("enter", "select", "Take up", id="saved_open"),
    ]


class SavedScreen(ModalScreen[Saved | None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search", id="saved_search", key_display="/"),
        Binding("r", "rename", "Name", id="saved_rename"),
        Binding("m", "export('md')", "Markdown", id="saved_markdown"),
        Binding("l", "export('json')", "JSON Lines", id="saved_json"),
        Binding("p", "export('pairs')", "Pairs", id="saved_pairs"),
        Binding("d,delete", "put_away", "Put away", id="saved_delete"),
        Binding("escape", "back", "Back"),
    ]

    def __init__(self, room: Talks, errands: Errands, words: str = "", *, here: str = "") -> None:
        """here: the conversation that the person comes from."""
        super().__init__(classes="window")
        self._room, self._errands, self._words, self._here = room, errands, words, here
        self._kept: list[Saved] = []
        self._found: list[Saved] = []

    def compose(self) -> ComposeResult:
        yield Static("Kept conversations", classes="title", markup=False)
        yield Input(harmless.typed(self._words), placeholder="Search", id="search")
        yield _List(id="found")
        yield Static(Content(""), id="saved-status", markup=False)
        yield Keys()

    async def on_mount(self) -> None:
        self.query_one(_List).focus()
        await self._look()

    async def _look(self) -> None:
        """Read what is kept: with words, further back than without."""
        try:
            self._kept = await self._errands.do(self._room.saved, self._words)
        except DialogRLError as e:
            self._tell(str(e))
            return
        self._list()

    def _list(self) -> None:
        """List what fits the words; the highlight stays where it was."""
        found = self.query_one(_List)
        at = found.highlighted or 0
        self._found = [saved for saved in self._kept if saved.contains(self._words)]
        found.clear_options()
        found.add_options([Option(_row(saved, here=saved.id == self._here)) for saved in self._found])
        found.highlighted = min(at, len(self._found) - 1) if self._found else None
        self._tell("" if self._found else "nothing fits these words" if self._words else "nothing is kept yet")

    def _tell(self, text: str) -> None:
        self.query_one("#saved-status", Static).update(harmless.line(text))

    def _highlighted(self) -> Saved | None:
        at = self.query_one(_List).highlighted
        return self._found[at] if at is not None and at < len(self._found) else None

    def on_input_changed(self, event: Input.Changed) -> None:
        self._words = event.value
        self._list()

    async def on_input_submitted(self) -> None:
        self.query_one(_List).focus()
        await self._look()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._found[event.option_index])

    def action_back(self) -> None:
        if isinstance(self.focused, Input):
            self.query_one(_List).focus()
        else:
            self.dismiss(None)

    def action_search(self) -> None:
        self.query_one(Input).focus()

    @work
    async def action_rename(self) -> None:
        saved = self._highlighted()
        name = await self.app.push_screen_wait(AskLine("What is it called?", saved.title)) if saved else None
        if saved and name is not None:
            await self._do(lambda: self._room.rename(saved.id, name))

    @work
    async def action_put_away(self) -> None:
        saved = self._highlighted()
        if saved and await self.app.push_screen_wait(AskYes(PUT_AWAY)):
            await self._do(lambda: self._room.put_away(saved.id))

    async def action_export(self, how: str) -> None:
        saved = self._highlighted()
        if saved is None:
            return
        try:
            path = await self._errands.do(self._room.export, saved, how)
        except DialogRLError as e:
            self._tell(str(e))
            return
        self._tell(f"written to {path}")

    async def _do(self, deed: Callable[[], None]) -> None:
        try:
            await self._errands.do(deed)
        except DialogRLError as e:
            self._tell(str(e))
            return
        await self._look()


def _row(saved: Saved, *, here: bool) -> Content:
    when = time.strftime("%d %b %H:%M", time.localtime(saved.started_at))
    turns = "1 turn" if saved.turns == 1 else f"{saved.turns} turns"
    rated = f"{saved.rated} rated" if saved.rated else ""
    state = "this one" if here else "broken off" if saved.open else ""
    about = ", ".join(part for part in (when, state, saved.pack, turns, rated, short(saved.version)) if part)
    title = harmless.line(saved.title or "(nothing was said)", 60).plain
    return Content.styled(f"{title}\n", "bold").append(
        Content.styled(f"{harmless.line(about).plain}\n", "not bold dim")
    )
