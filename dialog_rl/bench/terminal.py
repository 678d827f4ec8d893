"""A terminal to measure at: real bytes in through a pty, and what a person would see, with the time of every piece."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from dialog_rl.errors import DialogRLError
from dialog_rl.text import columns

PATIENCE = 120.0
"""Seconds after which what never came is an error."""
SIZE = (120, 40)
_CONTROL = re.compile(
    r"\x1b\[([0-9;?<>=$ ]*)([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]|\x1b[=>c78]|[\r\n]"
)
_BEGUN = re.compile(r"\x1b(?:\[[0-9;?<>=$ ]*|\][^\x07\x1b]*|[()])?\Z")
"""A sequence whose rest has not come yet."""
_ASKS_FOR_SYNC, _HAS_SYNC = b"\x1b[?2026$p", b"\x1b[?2026;2$y"


class NeverShown(DialogRLError):
    """What was waited for did not come to the screen."""


class Screen:
    """What stands where, of text alone: colours and modes are left out."""

    def __init__(self, width: int, height: int) -> None:
        self._width = width
        self._rows = [[" "] * width for _ in range(height)]
        self._row = self._column = 0

    @property
    def lines(self) -> list[str]:
        return ["".join(row).rstrip() for row in self._rows]

    def draw(self, text: str) -> None:
        at = 0
        for found in _CONTROL.finditer(text):
            self._write(text[at : found.start()])
            self._obey(found)
            at = found.end()
        self._write(text[at:])

    def _obey(self, found: re.Match[str]) -> None:
        if found.group() == "\r":
            self._column = 0
        elif found.group() == "\n":
            self._row += 1
        elif found.group(2) == "H":
            row, _, column = found.group(1).partition(";")
            self._row, self._column = int(row or 1) - 1, int(column or 1) - 1
        elif found.group(2) == "J" or found.group() == "\x1b[?1049h":
            self._rows = [[" "] * self._width for _ in self._rows]

    def _write(self, text: str) -> None:
        for char in text:
            wide = columns(char)
            if 0 <= self._row < len(self._rows) and self._column + wide <= self._width and wide:
                self._rows[self._row][self._column : self._column + wide] = [char, *[""] * (wide - 1)]
            self._column += wide


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
        width, height = SIZE
        self.screen = Screen(width, height)
        self.frames: list[float] = []
        """When something was drawn, by `time.perf_counter`."""
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._held = ""
        self.started = time.perf_counter()
        self.pid, self._handle = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(command[0], list(command), {**os.environ, "TERM": "xterm-256color", **(environment or {})})
        fcntl.ioctl(self._handle, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.close(self._handle)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def type(self, text: str) -> None:
        os.write(self._handle, text.encode())

    def look(self, seconds: float) -> bool:
        """Wait for something to be drawn, at most so long; whether something was."""
        if not select.select([self._handle], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._handle, 1 << 16)
        except OSError:
            data = b""
        if not data:
            raise NeverShown("the program has ended:\n" + "\n".join(self.screen.lines))
        if _ASKS_FOR_SYNC in data:
            os.write(self._handle, _HAS_SYNC)
        self.frames.append(time.perf_counter())
        text = self._held + self._decode(data)
        begun = _BEGUN.search(text)
        self._held = text[begun.start() :] if begun else ""
        self.screen.draw(text[: begun.start()] if begun else text)
        return True

    def until(self, holds: Callable[[list[str]], object], what: str) -> float:
        """Look until it holds of the lines on the screen; the moment, by `time.perf_counter`. Raises NeverShown."""
        deadline = time.perf_counter() + PATIENCE
        while not holds(self.screen.lines):
            if time.perf_counter() > deadline:
                raise NeverShown(f"waited in vain for {what}:\n" + "\n".join(self.screen.lines))
            self.look(0.5)
        return self.frames[-1] if self.frames else time.perf_counter()

    def until_shown(self, text: str) -> float:
        return self.until(lambda lines: any(text in line for line in lines), repr(text))

    def cpu(self) -> float:
        """Seconds of CPU that the program has used, all its threads together; NaN where the system does not tell."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return float("nan")
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
