"""The application's end of a conversation in a browser: pipes to the web server instead of a terminal."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from textual import messages
from textual.drivers.web_driver import WebDriver


class BrowserDriver(WebDriver):
    """A web server that is gone ends the application; Textual's own driver would wait for it without end."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._write = self._send

    def _send(self, data: bytes) -> int:
        with contextlib.suppress(BrokenPipeError):
            return os.write(self.fileno, data)
        return 0

    def run_input_thread(self) -> None:
        super().run_input_thread()
        if not self.exit_event.is_set():
            self._app.post_message(messages.ExitApp())
