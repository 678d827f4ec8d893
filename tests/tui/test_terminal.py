"""The application on a real terminal: what the keys really send, and that it is left as it was found.

DIALOG_RL_FULL=1 kills it at twenty points of a turn with each signal; without it, at a few.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dialog_rl.episode_log.log import EpisodeLog, OpenConversation
from tests.chat.scripted import db
from tests.tui.hostile import FORBIDDEN
from tests.tui.tmux import Tmux

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux for a terminal")

POINTS = 20 if os.environ.get("DIALOG_RL_FULL") else 2
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
REPLY = " ".join(f"word{n}" for n in range(20))


@contextmanager
def terminal(folder: Path, *lines: str, size: tuple[int, int] = (80, 24)) -> Iterator[Tmux]:
    with Tmux(folder, *lines, size=size) as there:
        there.until_shown("^g Good")
        there.until_shown("v1")
        yield there


def only_open(folder: Path) -> OpenConversation:
    with EpisodeLog.open(db(folder)) as log:
        (found,) = log.open_conversations()
        return found


def test_a_conversation_by_real_keys(tmp_path: Path) -> None:
    with terminal(tmp_path, "Hello, what can I do?", "one two three", "Done.") as there:
        there.open()
        there.bytes("hi 你好".encode())
        there.bytes(b"\n")  # ctrl+j
        there.bytes(b"second line")
        there.until_shown("second line")
        there.bytes(b"\r")
        there.until_shown("Hello, what can I do?")
        there.bytes(b"\x07")  # ctrl+g
        there.until_shown("▲ good")
        (tmp_path / "open").unlink()
        there.bytes(b"again\x1b\r")  # alt+enter: to a terminal it is Enter
        there.go(2)
        there.until_shown("one two")
        there.bytes(b"\x1b")
        there.until_shown("stopped: Enter asks again")
        there.open()
        there.bytes(b"\r")
        there.until_shown("one two three")
        there.bytes(b"\x1b")
        there.until_shown("1–5 Rate")
        there.bytes(b"k")
        there.bytes(b"2")
        there.until_shown("★★☆☆☆")
        there.bytes(b"\x1b")
        there.until_shown("^g Good")
        there.bytes(b"\x11")  # ctrl+q
        there.until_ended()
        there.until_shown("EXIT 0")
        assert there.as_it_was_found and "is kept in" in there.screen
    with EpisodeLog.open(db(tmp_path)) as log:
        (episode,) = (logged.episode for logged in log.episodes())
        assert [turn.user.text for turn in episode.turns] == ["hi 你好\nsecond line", "again", ""]
        assert [(r.turn, r.value) for r in log.ratings(episode.episode_id)] == [(0, -0.5)]


def test_what_is_typed_fast_arrives_in_order(tmp_path: Path) -> None:
    with terminal(tmp_path, "yes") as there:
        there.open()
        there.bytes(b"first line\nsecond\x7fx\rnext")
        there.until_shown("yes")
        there.until_shown("next")
        assert only_open(tmp_path).episode.turns[0].user.text == "first line\nseconx"


def test_pasted_text_keeps_its_lines_and_loses_what_steers(tmp_path: Path) -> None:
    with terminal(tmp_path, "yes") as there:
        there.open()
        there.bytes(b"\x1b[200~one\rtwo\x1b[2J\xc2\x9b31m three\x1b[201~")
        there.until_shown("three")
        there.bytes(b"\r")
        there.until_shown("yes")
        said = only_open(tmp_path).episode.turns[0].user.text
        assert {"one", "two", "three"} <= {*said.replace("31m", "").replace("[2J", " ").replace("one", " one ").split()}
        assert not FORBIDDEN.search(said)


@pytest.mark.parametrize("point", range(0, 20, max(1, 20 // POINTS)))
@pytest.mark.parametrize("number", SIGNALS, ids=lambda s: s.name)
def test_a_signal_at_any_point_leaves_the_terminal_as_it_was_and_the_message_saved(
    tmp_path: Path, number: signal.Signals, point: int
) -> None:
    with terminal(tmp_path, REPLY) as there:
        there.bytes(b"where is my parcel?\r")
        there.go(point)
        there.until_shown(f"word{point - 1}" if point else "the agent is speaking")
        os.kill(there.pid, number)
        there.until_ended()
        there.until_shown(f"EXIT {128 + number}")
        assert there.as_it_was_found, there.screen
    found = only_open(tmp_path)
    assert found.unanswered is not None and found.unanswered.text == "where is my parcel?"


@pytest.mark.parametrize(
    "keys", [b"half a sen", b"\x1b", b"\x13", b"\x10", b"\x1bOP"], ids=["typing", "review", "saved", "palette", "help"]
)
def test_a_signal_finds_any_screen_ready(tmp_path: Path, keys: bytes) -> None:
    with terminal(tmp_path, "yes") as there:
        before = there.screen
        there.bytes(keys)
        there.until(lambda: there.screen != before)
        os.kill(there.pid, signal.SIGTERM)
        there.until_ended()
        there.until_shown("EXIT 143")
        assert there.as_it_was_found


def test_a_terminal_that_goes_away_ends_the_program_with_everything_saved(tmp_path: Path) -> None:
    with terminal(tmp_path, REPLY) as there:
        there.bytes(b"where is my parcel?\r")
        there.go(3)
        there.until_shown("word2")
        pid = there.pid
        there.hang_up()
        deadline = time.monotonic() + 20
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not Path(f"/proc/{pid}").exists()
    found = only_open(tmp_path)
    assert found.unanswered is not None and found.unanswered.text == "where is my parcel?"


def test_a_conversation_killed_without_warning_goes_on(tmp_path: Path) -> None:
    with terminal(tmp_path, "to begin with", REPLY) as there:
        there.open()
        there.bytes(b"first\r")
        there.until_shown("to begin with")
        (tmp_path / "open").unlink()
        there.bytes(b"second\r")
        there.go(2)
        there.until_shown("word1")
        os.kill(there.pid, signal.SIGKILL)
    (tmp_path / "resume").touch()
    (tmp_path / "done").unlink(missing_ok=True)
    with terminal(tmp_path, "and then") as there:
        there.until_shown("not answered yet")
        assert "first" in there.screen and "to begin with" in there.screen
        there.open()
        there.bytes(b"\r")
        there.until_shown("and then")
    assert [turn.reply for turn in only_open(tmp_path).episode.turns] == ["to begin with", "and then"]


def test_bytes_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    with terminal(tmp_path, "yes") as there:
        there.open()
        there.bytes(b"\xff\xfe\x9b")
        time.sleep(0.3)  # so that they are read by themselves; too soon would only test less
        there.bytes(b"hi\r")
        there.until_shown("yes")


def test_it_survives_a_storm_of_sizes(tmp_path: Path) -> None:
    with terminal(tmp_path, "yes, all is well") as there:
        there.open()
        for width, height in ((20, 5), (200, 60), (50, 12), (1, 1), (80, 24), (31, 9), (80, 24)):
            there._tmux("resize-window", "-x", str(width), "-y", str(height))  # noqa: SLF001
        there.bytes(b"hi\r")
        there.until_shown("yes, all is well")
        there.bytes(b"\x11")
        there.until_shown("EXIT 0")
        assert there.as_it_was_found
