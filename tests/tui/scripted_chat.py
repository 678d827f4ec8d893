"""The application on a real terminal, with a scripted voice: python -m tests.tui.scripted_chat FOLDER LINE …

Every byte in FOLDER/go lets the voice say one more piece; a file FOLDER/open lets it say all.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from dialog_rl.chat.room import ChatRoom
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.tui import app
from dialog_rl.tui.desk import Desk
from tests.chat.scripted import Gate, ScriptedVoices, db, stage


class FileGate(Gate):
    """Opened from outside."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder, self._said = folder, 0

    def wait_for_turn(self, cancelled: Callable[[], bool]) -> None:
        go = self._folder / "go"
        while not cancelled() and not (self._folder / "open").exists():
            if go.exists() and go.stat().st_size > self._said:
                self._said += 1
                return
            time.sleep(0.005)


def main(folder: Path, lines: list[str]) -> int:
    voices = ScriptedVoices(*lines, gate=FileGate(folder))
    (folder / "pid").write_text(str(os.getpid()))
    with EpisodeLog.open(db(folder)) as log:
        room = ChatRoom(folder, log, voices, stage)
        first = room.take_up(room.find("last")) if (folder / "resume").exists() else room.new("retail", 1)
        code, last_word = app.run(Desk(room=room, first=first, prepare=voices.current))
    print(last_word)  # noqa: T201
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
