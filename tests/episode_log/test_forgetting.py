"""What is forgotten is nowhere any more; everything else is as it was."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from dialog_rl import faults
from dialog_rl.episode import Message, Rating, Role, StopReason
from dialog_rl.episode_log import learning
from dialog_rl.episode_log.forgetting import forget, related
from dialog_rl.episode_log.learning import Chosen, Plan, Used
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.episode_log.records import Kind
from dialog_rl.errors import EpisodeLogError

from . import made

CANARY = "my-secret-canary-7391"


def secret(log: EpisodeLog, episode_id: str = "e1", note: str = "") -> None:
    """A live conversation that holds the canary in what was said and thought of it."""
    turn = replace(made.turn(CANARY), user=Message(role=Role.USER, text=CANARY))
    episode = replace(made.episode(episode_id), turns=(turn,), note=note)
    log.begin(replace(episode, turns=(), stop=StopReason.ABORTED))
    log.user_said(episode_id, 0, turn.user)
    log.answered(episode_id, 0, turn)
    log.append(episode, run="chat")
    log.rate(Rating(episode_id=episode_id, rater="ann", turn=0, value=1.0, comment=CANARY), event_id=f"{episode_id}-r")


def planned(log: EpisodeLog, *ids: str) -> None:
    chosen = tuple(Chosen(episode_id=name, ratings=(f"rating:{name}-r",)) for name in ids)
    learning.tell(log, Plan(run="learn", update=1, horizon=9, why="x", start="update:0", episodes=chosen))
    learning.tell(log, *(Used(run="learn", update=1, episode_id=name) for name in ids))


def test_a_forgotten_conversation_is_gone_with_all_that_was_said_of_it(log: EpisodeLog):
    secret(log, "e1")
    secret(log, "e2")
    planned(log, "e1", "e2")
    found = forget(log, ["e1"])
    assert found.episodes == ("e1",) and found.updates == (("learn", 1),)
    assert not list(log.events_of("e1")) and "e1" not in log
    assert log.get("e2").turns[0].user.text == CANARY and len(log.ratings("e2")) == 1
    plan = learning.plan_of(log, "learn", 1)
    assert plan is not None and [one.episode_id for one in plan.episodes] == ["e2"]
    log.check()


def test_no_byte_of_it_stays_on_disk(tmp_path: Path):
    with EpisodeLog.open(tmp_path / "log.sqlite") as log:
        log.append_many([made.episode(f"other-{n}", seed=n) for n in range(40)])
        for number in range(20):
            secret(log, f"e{number}")
        log.append_many([made.episode(f"more-{n}", seed=n) for n in range(40)])
        (tmp_path / "log.sqlite.schema-1").write_text(CANARY)
        assert CANARY.encode() in (tmp_path / "log.sqlite").read_bytes()
        forget(log, [f"e{n}" for n in range(20)])
        assert log.count() == 80
    for path in tmp_path.rglob("*"):
        assert CANARY.encode() not in path.read_bytes(), path
    with sqlite3.connect(tmp_path / "log.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_raters_opinions_are_gone_and_the_conversations_stay(log: EpisodeLog):
    for name in ("e1", "e2"):
        log.append(made.episode(name))
        for rater in ("ann", "bob"):
            log.rate(Rating(episode_id=name, rater=rater, turn=0, value=1.0), event_id=f"{name}-{rater}")
    found = forget(log, [], raters=["ann"])
    assert found.ratings == 2 and [r.rater for n in ("e1", "e2") for r in log.ratings(n)] == ["bob", "bob"]
    assert log.count() == 2


def test_the_log_goes_on_after_it(log: EpisodeLog):
    secret(log)
    before = log.last_seq()
    forget(log, ["e1"])
    (told,) = log.events(since=before)
    assert told.kind == Kind.FORGOTTEN and told.document == {"conversations": 1, "ratings": 0, "updates": []}
    assert log.append(made.episode("e2")) == before + 2


def test_forgetting_again_is_harmless(log: EpisodeLog):
    secret(log)
    forget(log, ["e1"])
    assert forget(log, ["e1"]).updates == ()
    assert log.check().episodes == 0


def test_what_branched_off_repeats_the_same_words_and_goes_too(log: EpisodeLog):
    secret(log, "a", note="went on as b from turn 1")
    secret(log, "b", note="goes on from a, turn 1")
    secret(log, "c", note="goes on from b, turn 2")
    secret(log, "d")
    assert set(related(log, ["b"])) == {"a", "b", "c"} and related(log, ["d"]) == ("d",)
    with pytest.raises(EpisodeLogError, match="no conversation 'x'"):
        related(log, ["x"])


@pytest.mark.parametrize("label", ["log.forget.before_commit", "log.forget.committed"])
def test_forgetting_that_was_cut_off_can_be_done_again(tmp_path: Path, label: str):
    with EpisodeLog.open(tmp_path / "log.sqlite") as log:
        secret(log)
        planned(log, "e1")
        faults.arm(f"{label}:1:raise")
        try:
            with pytest.raises(faults.InjectedFault):
                forget(log, ["e1"])
        finally:
            faults.disarm()
        forget(log, ["e1"])
        told = [event.document["updates"] for event in log.events(kinds=(Kind.FORGOTTEN,))]
        assert told[0] == [["learn", 1]]
    assert CANARY.encode() not in (tmp_path / "log.sqlite").read_bytes()
