"""The dashboard by real bytes: it follows the file, and leaves the terminal as it found it."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dialog_rl.online import training_record
from tests.online.runs import record, run
from tests.tui.tmux import Tmux

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux for a terminal")


@contextmanager
def terminal(folder: Path) -> Iterator[Tmux]:
    run(folder / "r", 2)
    with Tmux(folder, module="tests.tui.watched_run") as there:
        there.until_shown("update 2 of 10")
        yield there


def test_it_follows_a_run_by_real_keys_and_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    with terminal(tmp_path) as there:
        training_record.append(tmp_path / "r", record(3))
        there.until_shown("update 3 of 10")
        there.bytes(b"\x1b[C")  # right
        there.until_shown("▸ reward by component")
        there.bytes(b"\x1b[Z")  # shift+tab
        there.until_shown("▸ success")
        there.bytes(b"\r")
        there.until_shown("─ what happened")
        there.bytes(b"q")
        there.until_ended()
        there.until_shown("EXIT 0")
        assert there.as_it_was_found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda s: s.name)
def test_a_signal_leaves_the_terminal_as_it_was(tmp_path: Path, number: signal.Signals) -> None:
    with terminal(tmp_path) as there:
        os.kill(there.pid, number)
        there.until_ended()
        there.until_shown(f"EXIT {128 + number}")
        assert there.as_it_was_found
