"""Logged conversations as demonstrations: which may be learnt from, which are held out, how they are mixed in."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from pathlib import Path

import pytest

from dialog_rl.episode import Episode, StopReason
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.errors import ConfigError
from dialog_rl.lm.demonstrations import Demonstration
from dialog_rl.online.dialogues import dialogues_of, mixed
from dialog_rl.testing.episodes import garbled, make_episode


def talk(number: int, **facts: object) -> Episode:
    return make_episode(
        ("where is it?", f"On its way, {number}."), episode_id=f"talk-{number}", **{"simulator": "recorded", **facts}
    )


def said(demonstrations: Iterable[Demonstration]) -> list[str]:
    """What the agent says in each: enough to tell them apart."""
    return [one.messages[-1].text for one in demonstrations]


def log_of(folder: Path, *episodes: Episode) -> Path:
    with EpisodeLog.open(folder / "log.db") as log:
        log.append_many(episodes)
    return folder / "log.db"


def test_one_conversation_in_ten_is_held_out_and_stays_so_when_the_log_grows(tmp_path: Path) -> None:
    few = dialogues_of([log_of(tmp_path, *map(talk, range(100)))])
    many = dialogues_of([log_of(tmp_path, *map(talk, range(100, 300)))])
    assert 4 <= len(few.held_out) <= 20 and len(few.learned) + len(few.held_out) == 100
    assert set(said(few.held_out)) <= set(said(many.held_out))


def test_nobody_is_learnt_from_who_has_not_agreed_to_it(tmp_path: Path) -> None:
    with EpisodeLog.open(tmp_path / "log.db") as log:
        log.append_many([talk(0, simulator="person"), talk(1, simulator="person"), talk(2), talk(3)])
        log.consent("talk-1", train=True)
        log.consent("talk-2", train=False)
    found = dialogues_of([tmp_path / "log.db"])
    assert set(said(found.learned + found.held_out)) == {"On its way, 1.", "On its way, 3."}
    assert found.left_out == {"a person who has not agreed to it": 2}


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"stop": StopReason.MAX_TURNS}, "broken off"),
        ({"scenario": {"success": {"communicate": [{"any_of": ["54.04"]}]}}}, "its goal was not reached"),
    ],
)
def test_what_went_wrong_is_not_learnt_and_told(tmp_path: Path, facts: dict[str, object], why: str) -> None:
    found = dialogues_of([log_of(tmp_path, talk(0), talk(1, **facts))])
    assert found.left_out == {why: 1}


def test_a_log_of_nothing_that_can_be_learnt_is_an_error_that_says_why(tmp_path: Path) -> None:
    where = log_of(tmp_path, make_episode(("hello?", garbled("x"))))
    with pytest.raises(ConfigError, match="nothing to learn from in .*log.db: 1: nothing in it that can be said again"):
        dialogues_of([where])


def test_what_a_logged_conversation_was_worth_is_not_known(tmp_path: Path) -> None:
    (only,) = dialogues_of([log_of(tmp_path, talk(0))]).learned
    assert math.isnan(only.episode_return)


def test_a_share_of_what_is_learnt_are_dialogues_round_after_round(tmp_path: Path) -> None:
    dialogues = dialogues_of([log_of(tmp_path, *map(talk, range(20)))]).learned
    own = itertools.repeat(dialogues[0])
    drawn = list(itertools.islice(mixed(own, dialogues[1:], share=0.25, seed=1), 1000))
    others = said(d for d in drawn if d is not dialogues[0])
    assert len(others) / 1000 == pytest.approx(0.25, abs=0.05)
    rounds = len(dialogues) - 1
    assert len(set(others[:rounds])) == rounds == len(set(others[rounds : 2 * rounds]))


def test_a_share_of_one_is_dialogues_alone(tmp_path: Path) -> None:
    dialogues = dialogues_of([log_of(tmp_path, *map(talk, range(20)))]).learned
    drawn = itertools.islice(mixed(iter(()), dialogues, share=1, seed=1), 50)
    assert set(said(drawn)) <= set(said(dialogues))
