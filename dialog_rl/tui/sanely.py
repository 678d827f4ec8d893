"""However it ends, the terminal is left as it was found: TERM and HUP would leave it raw, in the alternate screen."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from textual.drivers.linux_driver import LinuxDriver

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
PATIENCE = 3.0
"""Seconds that an orderly end may take after a signal."""
# Leaves: bracketed paste, in-band resize, mouse reports, kitty keys, focus reports, alternate screen; shows the cursor.
_RESET = (
    b"\x1b[?2004l\x1b[?7h\x1b[?2048l\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l"
    b"\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?1004l\x1b[0m"
)


class Terminal:
    """The terminal as it was found, to be put back."""

    def __init__(self, handle: int | None = None) -> None:
        self._handle = sys.__stdin__.fileno() if handle is None and sys.__stdin__ is not None else handle
        self._found: list[Any] | None = None
        if self._handle is not None and os.isatty(self._handle):
            with contextlib.suppress(termios.error):
                self._found = termios.tcgetattr(self._handle)

    def restore(self) -> None:
        """Put it back. Harmless if nothing is to be put back, or nobody is there any more."""
        if self._found is not None:
            with contextlib.suppress(OSError):
                os.set_blocking(2, False)
                os.write(2, _RESET)
                os.set_blocking(2, True)
        self.restore_modes()

    def restore_modes(self) -> None:
        """Only how the kernel treats what is typed."""
        if self._found is not None and self._handle is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._handle, termios.TCSANOW, self._found)


class PatientDriver(LinuxDriver):
    """Bytes that are no text are passed over; Textual's reader would die of them."""

    def run_input_thread(self) -> None:
        while not self.exit_event.is_set():
            try:
                super().run_input_thread()
            except UnicodeDecodeError:
                continue


class Ending:
    """Turns signals into an orderly end, and one that does not come, or is asked for twice, into an end at once."""

    def __init__(self, terminal: Terminal, leave: Callable[[int], None], *, patience: float = PATIENCE) -> None:
        """leave: begins the orderly end with an exit code; called in the main thread, between any two instructions."""
        self._terminal, self._leave, self._patience = terminal, leave, patience
        self._impatience: threading.Timer | None = None
        """Runs from the first signal on."""

    def install(self) -> Callable[[], None]:
        """Listen to the signals. Returns what stops listening."""
        before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}

        def uninstall() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)
            # The impatience goes on: an end that hangs behind a terminal that is gone must come all the same.

        return uninstall

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._impatience is not None:
            self.at_once(number)
            return
        self._impatience = threading.Timer(self._patience, self.at_once, (number,))
        self._impatience.daemon = True
        self._impatience.start()
        self._leave(128 + number)

    def at_once(self, number: int) -> None:
        """No ceremony: what was said is in the log already."""
        self._terminal.restore()
        os._exit(128 + number)
