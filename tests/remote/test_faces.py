"""Every face over a service: line by line, and on the whole screen."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from dialog_rl.chat.talk import Talk, Talks
from dialog_rl.cli import plain_chat, remote_chat
from dialog_rl.errors import ConfigError
from dialog_rl.remote.room import RemoteRoom
from dialog_rl.remote.service import Service as Remote
from dialog_rl.tui.app import DialogApp
from dialog_rl.tui.preferences import Preferences
from tests.chat.scripted import ScriptedVoices
from tests.cli.conftest import Run, home, run  # noqa: F401  fixtures
from tests.serve.service import opened
from tests.tui.desk import Shown
from tests.tui.desk import run as play


def begun(room: Talks) -> Talk:
    return room.new("retail", 1)


def test_a_conversation_line_by_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = ["/learn on", "hi", "/good", "/comment fine", "/rewards", "/quit"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in typed)))
    with opened(tmp_path, ScriptedVoices("good day")) as (client, service):
        plain_chat.converse_all(RemoteRoom(tmp_path, Remote(client.url)), begun, learn=False)
        (logged,) = service.room.log.episodes()
        (rating,) = service.room.log.ratings(logged.episode.episode_id)
    out, err = capsys.readouterr()
    assert "You are a customer of" in out and "agent> good day" in out and "ended: user_left" in out
    assert "may be learnt from" in err and f"is kept in {client.url}" in err and "no rewards are at hand" in err
    assert (rating.value, rating.comment) == (1.0, "fine")


def test_a_conversation_on_the_whole_screen(tmp_path: Path) -> None:
    voices = ScriptedVoices("good day", "good bye")

    async def scene() -> None:
        with opened(tmp_path, voices) as (client, service):
            room = RemoteRoom(tmp_path, Remote(client.url))
            app = DialogApp(remote_chat.desk(room, room.new("retail", 1), Preferences()))
            async with app.run_test(size=(100, 30)) as pilot:
                there = Shown(app, pilot, voices, service.room.log)
                await there.until(lambda: there.chat.ready)
                assert client.url in there.text("#welcome")
                await there.say("hi")
                await there.press("ctrl+g")
                await there.until(lambda: there.ratings())
                await there.press("ctrl+r")
                await there.until(lambda: "one answer is made" in " ".join(there.toasts))
                await there.chat._look_at_receipts()
                assert "ctrl+l allows it" in next(iter(there.chat._receipts.values()))
                await there.say("bye")
                await there.press("ctrl+q")
            (logged,) = service.room.log.episodes()
            assert [turn.reply for turn in logged.episode.turns if turn.steps] == ["good day", "good bye"]

    play(scene)


def test_nobody_there_is_one_line_and_an_exit_code(run: Run) -> None:  # noqa: F811
    outcome = run("chat", "--plain", "--url", "http://127.0.0.1:1")
    assert outcome.code == 1 and "http://127.0.0.1:1" in outcome.error()


def test_who_chooses_a_service_cannot_choose_its_version(run: Run) -> None:  # noqa: F811
    outcome = run("chat", "--plain", "--url", "http://127.0.0.1:1", "--version", "base")
    assert outcome.code == 2 and "the service's choice" in outcome.error()


@pytest.mark.parametrize("content", ["", "two words"])
def test_a_key_file_holds_the_key_and_nothing_else(tmp_path: Path, content: str) -> None:
    (tmp_path / "key").write_text(content)
    with pytest.raises(ConfigError, match="nothing else"):
        remote_chat.read_key(tmp_path / "key")
