"""Writing a reward while chatting: what it says of the last turn, and the file taken up anew as it is saved."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dialog_rl.chat.session import ChatSession
from dialog_rl.cli import plain_chat
from dialog_rl.cli.live_rewards import RewardsAtHand
from dialog_rl.config import Settings
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.plugins.loading import load_plugins
from tests.chat.scripted import Line, ScriptedVoices, db, setting

CODE = """
from dialog_rl import hookimpl


class Mine:
    def score(self, episodes):
        return [{value} for e in episodes]


@hookimpl
def register_rewards(register):
    register("mine", Mine)
"""
SETTINGS = Settings.model_validate(
    {
        "rewards": [{"use": "turn_cost", "options": {"turn": 0.25}}, {"use": "human_rating"}],
        "train": {"version": "nobody"},
    }
)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EpisodeLog]:
    with EpisodeLog.open(db(tmp_path)) as log:
        yield log


@pytest.fixture
def chat(
    log: EpisodeLog, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """A chat with a reward in a file, while one types: a callable among what is typed is called instead."""

    def run(*typed: str | Callable[[], Any], replies: tuple[Line, ...]) -> str:
        waiting = list(typed)

        class Keyboard(io.StringIO):
            def readline(self, *_: Any) -> str:
                while waiting and callable(waiting[0]):
                    waiting.pop(0)()  # pyright: ignore[reportCallIssue]
                return f"{waiting.pop(0)}\n" if waiting else ""

        monkeypatch.setattr(sys, "stdin", Keyboard())
        session = ChatSession(log, ScriptedVoices(*replies), setting(), rater="ann")
        with (
            load_plugins(files=[tmp_path / "mine.py"]) as plugins,
            RewardsAtHand(SETTINGS, plugins, db(tmp_path)) as rewards,
        ):
            plain_chat.converse(session, rewards)
        out, err = capsys.readouterr()
        return out + err

    (tmp_path / "mine.py").write_text(CODE.format(value="1"))
    return run


def test_the_last_turns_rewards_are_shown_with_their_reasons(chat: Callable[..., str]) -> None:
    shown = chat("/rewards", "hi", "/rewards", "/good", "/rewards", "/quit", replies=("hello",))
    assert "there is no reply yet" in shown
    assert "turn_cost: -0.25 for this turn, -0.25 so far (1 turns, 0 calls, 0 errors)" in shown
    assert "human_rating: nothing to say (nobody rated it)" in shown
    assert "human_rating: +1 for this turn, +1 so far (1 raters)" in shown
    assert "mine: +0 for this turn, +1 so far" in shown


def test_a_saved_file_counts_from_the_next_turn_on(chat: Callable[..., str], tmp_path: Path) -> None:
    def save(value: str) -> Callable[[], Any]:
        return lambda: (tmp_path / "mine.py").write_text(CODE.format(value=value))

    shown = chat("hi", save("2"), "and?", "/rewards", save("3 +"), "so?", "/rewards", "/quit", replies=("a", "b", "c"))
    assert "mine.py: taken up anew: mine" in shown and shown.count("mine: +0 for this turn, +2 so far") == 2
    assert "SyntaxError" in shown and "what was loaded before goes on" in shown
    assert shown.count("what was loaded before goes on") == 1


def test_reload_takes_the_file_up_at_once(chat: Callable[..., str], tmp_path: Path) -> None:
    def save() -> None:
        (tmp_path / "mine.py").write_text(CODE.format(value="7"))

    shown = chat("hi", save, "/reload", "/rewards", "/quit", replies=("a",))
    assert "taken up anew" in shown and "+7 so far" in shown


def test_both_commands_stand_in_the_help(chat: Callable[..., str]) -> None:
    shown = chat("/help", "/quit", replies=())
    assert "/rewards" in shown and "/reload" in shown


def test_without_a_file_there_is_nothing_to_reload(tmp_path: Path) -> None:
    with load_plugins() as plugins, RewardsAtHand(SETTINGS, plugins, db(tmp_path)) as rewards:
        assert rewards.before_turn() == ()
        assert rewards.reload() == ["no plugin was loaded from a file: --plugin FILE does that"]
