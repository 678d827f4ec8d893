"""Where one types: Enter sends, ctrl+j breaks the line, and it grows with what is in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual import events
from textual.binding import Binding
from textual.message import Message
from textual.widgets import TextArea

from dialog_rl.chat.commands import ON_SCREEN
from dialog_rl.tui.harmless import typed

ON_SCREEN_NAMES = tuple(command.name for command in ON_SCREEN)


class Composer(TextArea):
    BINDINGS = [
        Binding("enter", "send", "Send", id="send", show=False),
        # alt+enter arrives as plain enter on most terminals, so it can only send; ctrl+j breaks the line on every one.
        Binding("ctrl+j,shift+enter", "break_line", "New line", id="newline", show=False),
        Binding("tab", "complete", "Complete a command", id="complete", show=False),
        Binding("pageup", "page(-1)", "Scroll up", id="page_up", show=False),
        Binding("pagedown", "page(1)", "Scroll down", id="page_down", show=False),
    ]

    @dataclass
    class Sent(Message):
        composer: Composer
        text: str

    @dataclass
    class Recalled(Message):
        """The person wants the last message back, to say it otherwise."""

        composer: Composer

    @dataclass
    class Paged(Message):
        """What is above is to be scrolled by a page."""

        pages: int

    def __init__(
        self, text: str = "", *, placeholder: str = "", id: str | None = None, commands: Iterable[str] = ON_SCREEN_NAMES
    ) -> None:
        """commands: what may follow a slash, for who types the beginning of it."""
        super().__init__(text, id=id, soft_wrap=True, tab_behavior="focus", placeholder=placeholder, compact=True)
        self.highlight_cursor_line = False
        self._commands = tuple(commands)

    def put(self, text: str) -> None:
        """Replace what is typed, with the cursor at its end."""
        self.load_text(typed(text))
        self.move_cursor(self.document.end)

    def give_back(self, text: str) -> None:
        """What was sent and could not be taken; what has been typed since stays behind it."""
        self.put(f"{text}\n{self.text}" if self.text else text)

    def action_send(self) -> None:
        # Emptied here and not by who takes it: what is typed next must not be lost with it.
        text = self.text
        self.clear()
        self.post_message(self.Sent(self, text))

    def action_break_line(self) -> None:
        self.insert("\n")

    def action_page(self, pages: int) -> None:
        self.post_message(self.Paged(pages))

    def action_complete(self) -> None:
        if self.suggestion:
            self.insert(self.suggestion)
        else:
            self.screen.focus_next()

    def action_cursor_up(self, select: bool = False) -> None:
        if not self.text and not select:
            self.post_message(self.Recalled(self))
        else:
            super().action_cursor_up(select)

    def update_suggestion(self) -> None:
        """The rest of a command's name, while one is being typed."""
        text = self.text
        names = self._commands if text.startswith("/") else ()
        found = [name for name in names if len(text) > 1 and name.startswith(text[1:]) and name != text[1:]]
        self.suggestion = found[0][len(text) - 1 :] if found and self.cursor_at_end_of_text else ""

    async def _on_key(self, event: events.Key) -> None:
        """Bound keys act here, in the order in which they were typed.

        Textual looks a binding up once the key has bubbled to the application. By then what was typed after it may
        stand in the text already: somebody quick would send the first word of the next message.
        """
        if event.is_printable:
            return
        bound = self.screen.active_bindings.get(event.key)
        if bound is not None and bound.node is self:
            event.stop()
            event.prevent_default()
            await self.run_action(bound.binding.action)
        elif event.key == "enter":
            event.prevent_default()

    def _on_paste(self, event: events.Paste) -> None:
        event.text = typed(event.text)
