"""The scripted application in browsers: python -m tests.tui.scripted_web FOLDER SESSIONS LINE …

FOLDER/address says where. Every browser has the same FOLDER, so one after the other.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dialog_rl.tui import web


def command(folder: Path, *lines: str) -> list[str]:
    return [sys.executable, "-m", "tests.tui.scripted_chat", str(folder), *lines]


def main(folder: Path, sessions: int, lines: list[str]) -> None:
    def ready(address: str) -> None:
        (folder / "address.new").write_text(address)
        (folder / "address.new").rename(folder / "address")

    web.serve(command(folder, *lines), port=0, sessions=sessions, title="test", ready=ready)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
