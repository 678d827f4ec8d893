"""Small windows over the conversation: a line, a reply, tags, a yes. Escape leaves each of them without a change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, SelectionList, Static
from textual.widgets.selection_list import Selection

from dialog_rl.tui import harmless
from dialog_rl.tui.composer import Composer

Answer = TypeVar("Answer")


class Window(ModalScreen[Answer | None]):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Leave it")]
    DEFAULT_CLASSES = "window"


class AskLine(Window[str]):
    """One line of text."""

    def __init__(self, title: str, text: str = "") -> None:
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(harmless.line(self._title), classes="title", markup=False)
            yield Input(harmless.typed(self._text))
            yield Static("Enter keeps it, Esc leaves it", classes="hint", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(harmless.typed(event.value))


class AskReply(Window[str]):
    """A reply, in several lines if need be."""

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(harmless.line(self._title), classes="title", markup=False)
            yield Composer(harmless.typed(self._text), commands=())
            yield Static("Enter keeps it, ctrl+j breaks the line, Esc leaves it", classes="hint", markup=False)

    def on_mount(self) -> None:
        composer = self.query_one(Composer)
        composer.move_cursor(composer.document.end)

    def on_composer_sent(self, event: Composer.Sent) -> None:
        self.dismiss(event.text.strip())


class _Tags(SelectionList[str]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "screen.accept", "Keep", priority=True),
        Binding("j", "cursor_down", show=False),
        Binding("k", "cursor_up", show=False),
    ]


class AskTags(Window[tuple[str, ...]]):
    """Some of many tags."""

    def __init__(self, title: str, tags: Sequence[str], chosen: Sequence[str]) -> None:
        super().__init__()
        self._title, self._tags, self._chosen = title, tags, chosen

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(harmless.line(self._title), classes="title", markup=False)
            yield _Tags(
                *(Selection(harmless.line(tag.replace("_", " ")), tag, tag in self._chosen) for tag in self._tags)
            )
            yield Static("Space marks, Enter keeps, Esc leaves it", classes="hint", markup=False)

    def action_accept(self) -> None:
        chosen = self.query_one(_Tags).selected
        self.dismiss(tuple(tag for tag in self._tags if tag in chosen))


PUT_AWAY = "Put this conversation away? It is shown and learnt from no longer; what was said stays in the log."


class AskYes(Window[bool]):
    """Yes or no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "dismiss(True)", "Yes"),
        Binding("n", "dismiss(False)", "No"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(harmless.said(self._question), classes="title", markup=False)
            yield Static("y does it, n or Esc does not", classes="hint", markup=False)
