"""Measuring the chat from outside: the instrument itself, and that a round of it finds what it looks for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dialog_rl.bench import chat_figures, scripted_chat, terminal
from dialog_rl.bench.terminal import NeverShown, Screen, Terminal
from dialog_rl.errors import ConfigError
from dialog_rl.tui.speech import RICH


def test_a_screen_shows_what_was_drawn_where_it_was_drawn() -> None:
    screen = Screen(12, 3)
    screen.draw("\x1b[?1049h\x1b[2;3H\x1b[1;31mred\x1b[0m\x1b]0;title\x07\x1b[1;1H退款x\x1b[3;11Hcut off")
    assert screen.lines == ["退款x", "  red", "          cu"]
    screen.draw("\x1b[2;4H-")
    assert screen.lines[1] == "  r-d"


def test_sequences_and_characters_that_come_in_pieces_are_put_together(tmp_path: Path) -> None:
    program = (
        "import os,time\nfor b in 'a\\x1b[3;1Hé'.encode():\n os.write(1, bytes([b])); time.sleep(0.01)\ntime.sleep(60)"
    )
    with Terminal([sys.executable, "-c", program], tmp_path) as there:
        there.until_shown("é")
        assert there.screen.lines[0] == "a" and there.screen.lines[2] == "é" and there.cpu() >= 0


def test_what_never_comes_is_said_with_the_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "PATIENCE", 0.3)
    with Terminal(["sh", "-c", "echo something else; sleep 60"], tmp_path) as there:
        with pytest.raises(NeverShown, match="(?s)waited in vain.*something else"):
            there.until_shown("what is wanted")
    monkeypatch.setattr(terminal, "PATIENCE", 60.0)
    with Terminal(["true"], tmp_path) as there, pytest.raises(NeverShown, match="has ended"):
        there.until_shown("what is wanted")


def test_a_spread_is_taken_from_ordered_figures() -> None:
    assert chat_figures.spread([3.0, 1.0, 2.0]) == {"min": 1.0, "median": 2.0, "p95": 3.0}
    assert chat_figures.spread([float(n) for n in range(100)])["p95"] == 95.0


def test_long_replies_are_as_long_as_they_say_and_too_long_for_markdown() -> None:
    for kind in ("plain", "markdown"):
        reply = scripted_chat.long_reply(kind)
        assert len(reply) == 100_000 > RICH and reply.endswith(scripted_chat.LAST)


def test_a_command_that_does_not_last_is_an_error() -> None:
    with pytest.raises(ConfigError, match="ended with 1 before"), chat_figures._running("false") as lasts:  # noqa: SLF001
        while True:
            lasts()


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_a_round_finds_every_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_figures, "KEYS", 3)
    told = chat_figures.bench_chat(repeats=1, log=Path("chat/episodes.db"), progress=lambda remark: None)
    assert {*chat_figures.AIMS} < {*told["figures"]}
    assert all(figure["wall"]["min"] > 0 for figure in told["figures"].values())
    assert len(chat_figures.lines(told)) == len(told["figures"]) + 1
