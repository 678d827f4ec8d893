"""A terminal of one's own: real bytes in, a real screen out."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
WAIT = 60.0
"""Seconds after which what never came is a failure."""


class Tmux:
    """One pane, in which a command runs, and a shell after it that says how it ended and what it left."""

    def __init__(
        self, folder: Path, *arguments: str, size: tuple[int, int] = (80, 24), module: str = "tests.tui.scripted_chat"
    ) -> None:
        """module: what is run, with the folder and the arguments."""
        self.folder = folder
        self._name = f"dialog-rl-{uuid.uuid4().hex[:8]}"
        command = shlex.join([sys.executable, "-m", module, str(folder), *arguments])
        before, after = folder / "stty-before", folder / "stty-after"
        script = f"stty -a > {before}; {command}; code=$?; stty -a > {after}; echo; echo EXIT $code"
        script += f"; touch {folder}/done; cat"
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(size[0]), "-y", str(size[1]), "sh", "-c", script)

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self._name, *arguments], capture_output=True, cwd=ROOT, timeout=WAIT, check=False
        )
        return done.stdout.decode()

    def __enter__(self) -> Tmux:
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()

    def hang_up(self) -> None:
        """The terminal goes away."""
        self._tmux("kill-server")

    def keys(self, *keys: str) -> None:
        """Keys by tmux's names, or text."""
        self._tmux("send-keys", *keys)

    def bytes(self, data: bytes) -> None:
        """Bytes as a terminal would send them."""
        self._tmux("send-keys", "-H", *(f"{byte:02x}" for byte in data))

    @property
    def screen(self) -> str:
        return self._tmux("capture-pane", "-p")

    @property
    def modes(self) -> str:
        """Alternate screen, mouse reports, cursor: "0 0 1" is a terminal at rest."""
        return self._tmux("display", "-p", "#{alternate_on} #{mouse_any_flag} #{cursor_flag}").strip()

    def until(self, holds: Callable[[], object], what: str = "") -> None:
        deadline = time.monotonic() + WAIT
        while not holds():
            assert time.monotonic() < deadline, f"waited in vain for {what}:\n{self.screen}"
            time.sleep(0.02)

    def until_shown(self, text: str) -> None:
        self.until(lambda: text in self.screen, text)

    def until_ended(self) -> None:
        self.until((self.folder / "done").exists, "the end")

    @property
    def as_it_was_found(self) -> bool:
        before, after = (self.folder / f"stty-{when}" for when in ("before", "after"))
        return before.read_text() == after.read_text() and self.modes == "0 0 1"

    def go(self, pieces: int) -> None:
        """Let the voice say so many more pieces."""
        with (self.folder / "go").open("a") as file:
            file.write("x" * pieces)

    def open(self) -> None:
        """Let the voice say everything."""
        (self.folder / "open").touch()

    @property
    def pid(self) -> int:
        return int((self.folder / "pid").read_text())
