"""Whoever rates can see what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dialog_rl.episode import Rating, StopReason
from dialog_rl.episode_log import learning
from dialog_rl.episode_log.learning import Chosen, Plan, Used, Verdict
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.online.eligibility import Rules
from dialog_rl.online.receipts import Fate, Receipt, all_receipts, receipts

from .test_ledger import begin, chat

RULES = Rules(tokenizer="t1", champions=("v1",), kept={"v1"}, temperature=1.0)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EpisodeLog]:
    with EpisodeLog.open(tmp_path / "log.sqlite") as opened:
        yield opened


def rate(log: EpisodeLog, key: str, value: float | None = 1.0, *, turn: int = 0, of: str = "c1") -> None:
    log.rate(Rating(episode_id=of, rater="ann", turn=turn, value=value), event_id=key)


def rated(log: EpisodeLog, key: str = "r1") -> None:
    """A conversation with consent, finished and rated."""
    begin(log, chat())
    log.consent("c1", train=True)
    log.append(chat(), run="chat")
    rate(log, key)


def only(log: EpisodeLog) -> Receipt:
    (receipt,) = receipts(log, "c1", RULES)
    return receipt


def planned(log: EpisodeLog, *keys: str) -> None:
    chosen = Chosen(episode_id="c1", ratings=tuple(f"rating:{key}" for key in keys))
    learning.tell(log, Plan(run="learn", update=3, horizon=9, why="test", start="update:2", episodes=(chosen,)))


def used(log: EpisodeLog, *keys: str, outcome: str = "learnt") -> None:
    ids = tuple(f"rating:{key}" for key in keys)
    learning.tell(log, Used(run="learn", update=3, episode_id="c1", ratings=ids, outcome=outcome))


def judged(log: EpisodeLog, **verdict: object) -> None:
    told = {"run": "learn", "update": 3, "version": "v2", "promoted": False, "reason": "worse", **verdict}
    learning.tell(log, Verdict(**told))  # type: ignore[arg-type]


def test_a_rating_is_followed_from_the_queue_to_the_version_that_speaks(log: EpisodeLog):
    rated(log)
    assert (only(log).fate, only(log).reason) == (Fate.WAITING, "queued for the next update")
    planned(log, "r1")
    assert (only(log).fate, only(log).update) == (Fate.IN_USE, 3)
    used(log, "r1")
    assert only(log).fate is Fate.USED
    judged(log, promoted=True, passed=True, reason="no worse than the champion")
    promoted = only(log)
    assert (promoted.fate, promoted.version, promoted.reason) == (Fate.PROMOTED, "v2", "no worse than the champion")
    assert promoted.seconds is not None and promoted.seconds >= 0
    learning.serving(log, "v2", "host:7")
    assert (only(log).fate, only(log).reason) == (Fate.ACTIVE, "host:7 speaks with it")


def test_a_refused_version_says_why(log: EpisodeLog):
    rated(log)
    used(log, "r1")
    judged(log)
    assert (only(log).fate, only(log).reason, only(log).version) == (Fate.REFUSED, "worse", "v2")


def test_an_update_that_came_to_nothing_says_why(log: EpisodeLog):
    rated(log)
    used(log, "r1", outcome="withheld: entropy")
    judged(log, version="", reason="withheld: entropy")
    assert (only(log).fate, only(log).reason) == (Fate.NOT_LEARNT, "withheld: entropy")


def test_what_waits_says_what_for(log: EpisodeLog):
    begin(log, chat())
    log.user_said("c1", 0, chat().turns[0].user)
    log.answered("c1", 0, chat().turns[0])
    rate(log, "r1")
    assert only(log).reason.startswith("unfinished")
    log.append(replace(chat(), stop=StopReason.USER_LEFT), run="chat")
    assert only(log).reason.startswith("nobody was asked for consent")


def test_a_rating_can_be_taken_back_before_it_is_used(log: EpisodeLog):
    rated(log)
    rate(log, "r2", None)
    first, second = receipts(log, "c1", RULES)
    assert (first.fate, first.reason) == (Fate.WITHDRAWN, "before it was used") and second.fate is Fate.WITHDRAWN


def test_a_later_word_replaces_an_earlier_one(log: EpisodeLog):
    rated(log)
    rate(log, "r2", -1.0)
    assert [r.fate for r in receipts(log, "c1", RULES)] == [Fate.REPLACED, Fate.WAITING]


def test_what_was_used_stays_used_though_it_is_taken_back(log: EpisodeLog):
    rated(log)
    used(log, "r1")
    rate(log, "r2", None)
    assert [r.fate for r in receipts(log, "c1", RULES)] == [Fate.USED, Fate.WITHDRAWN]


def test_a_rating_that_comes_after_the_conversation_was_used_is_too_late(log: EpisodeLog):
    rated(log)
    used(log, "r1")
    rate(log, "r2", turn=1)
    late = receipts(log, "c1", RULES)[1]
    assert late.fate is Fate.TOO_LATE and late.update == 3


def test_a_comment_is_no_reward(log: EpisodeLog):
    rated(log)
    log.rate(Rating(episode_id="c1", rater="bob", turn=0, comment="hm"), event_id="r2")
    assert receipts(log, "c1", RULES)[1].fate is Fate.NO_VALUE


def test_what_passed_in_shadow_was_not_promoted(log: EpisodeLog):
    rated(log)
    used(log, "r1")
    judged(log, passed=True, reason="no worse")
    assert (only(log).fate, only(log).reason) == (Fate.REFUSED, "it passed in shadow: no worse")


def test_the_latest_ratings_of_all_conversations_are_listed_in_their_order(log: EpisodeLog):
    for number in range(3):
        log.append(chat(f"c{number}"))
    for number in range(6):
        rate(log, f"r{number}", turn=number // 3, of=f"c{number % 3}")
    assert [r.event_id for r in all_receipts(log, last=4)] == [f"rating:r{n}" for n in (2, 3, 4, 5)]
