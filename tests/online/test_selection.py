"""Who gets into an update, and what makes one due."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_rl.online.eligibility import Summary
from dialog_rl.online.learn_config import LearnConfig
from dialog_rl.online.ledger import Facts, Held
from dialog_rl.online.selection import Quiet, choose, when


def rated(number: int, *raters: str) -> Facts:
    held = tuple(Held(event_id=f"r{number}{r}", rater=r, turn=0, value=1.0) for r in raters or ("ann",))
    return Facts(episode_id=f"c{number}", finished=number, live=True, ratings=held)


def queue(*facts: Facts) -> Summary:
    return Summary(queued=facts, simulated=(), refused={}, examples={})


CALM = Quiet(since_word=math.inf, since_queued=0.0)
CONFIG = LearnConfig(batch=4, wait=60, idle=0)


def test_one_who_is_alone_fills_a_batch():
    assert len(choose([rated(n) for n in range(9)], 8, 0.05)) == 8


def test_of_two_raters_each_gets_half():
    facts = [rated(n, "ann") for n in range(8)] + [rated(8, "bob")]
    assert Counter(f.ratings[0].rater for f in choose(facts, 8, 0.05)) == {"ann": 4, "bob": 1}


def test_of_many_raters_none_gets_more_than_their_share():
    facts = [rated(n, "troll") for n in range(100)] + [rated(100 + n, f"r{n}") for n in range(39)]
    chosen = choose(facts, 40, 0.05)
    assert len(chosen) == 40 or Counter(f.ratings[0].rater for f in chosen)["troll"] == 2
    assert Counter(f.ratings[0].rater for f in chosen)["troll"] == 2


@given(
    st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=3, unique=True), max_size=40),
    st.integers(1, 12),
    st.floats(0.01, 1.0),
)
def test_no_rater_has_more_than_the_cap_and_no_batch_is_too_large(raters: list[list[str]], batch: int, share: float):
    chosen = choose([rated(n, *who) for n, who in enumerate(raters)], batch, share)
    several = {r for who in raters for r in who}
    most = math.ceil(batch * max(share, 1 / max(1, len(several))))
    counted = Counter(held.rater for facts in chosen for held in facts.ratings)
    assert len(chosen) <= batch and all(count <= most for count in counted.values())
    assert bool(chosen) == bool(raters)


def test_the_oldest_come_first():
    assert [f.episode_id for f in choose([rated(1), rated(2), rated(3)], 2, 0.05)] == ["c1", "c2"]


def test_a_full_batch_is_due_at_once():
    due = when(queue(*(rated(n) for n in range(5))), CONFIG, CALM)
    assert due.why == "4 rated conversations" and len(due.chosen) == 4


def test_fewer_are_due_after_waiting():
    some = queue(rated(1), rated(2))
    due = when(some, CONFIG, replace(CALM, since_queued=20.0))
    assert not due.why and due.seconds == 40.0 and due.what_for == "2 more rated conversations"
    assert when(some, CONFIG, replace(CALM, since_queued=60.0)).why == "2 rated conversations for 60 seconds"


def test_without_waiting_time_alone_makes_nothing_due():
    due = when(queue(rated(1)), replace(CONFIG, wait=math.inf), replace(CALM, since_queued=1e9))
    assert not due.why and due.seconds is None


def test_an_update_does_not_begin_while_somebody_talks():
    config = replace(CONFIG, idle=30.0)
    full = queue(*(rated(n) for n in range(4)))
    due = when(full, config, Quiet(since_word=10.0, since_queued=0.0))
    assert not due.why and due.seconds == 20.0 and "without a word" in due.what_for
    assert when(full, config, Quiet(since_word=30.0, since_queued=0.0)).why


def test_whoever_asks_gets_an_update_of_what_is_there():
    assert when(queue(rated(1)), CONFIG, CALM, now=True).why == "asked for, with 1 rated conversations"


@pytest.mark.parametrize("now", [True, False])
def test_an_empty_queue_is_never_due(now: bool):
    due = when(queue(), CONFIG, replace(CALM, since_queued=1e9), now=now)
    assert not due.why and due.what_for == "4 rated conversations, or one and 60 seconds"


def test_settings_come_back_from_a_plan_as_they_were():
    config = LearnConfig(wait=math.inf, batch=5)
    assert LearnConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    "wrong", [{"batch": 0}, {"wait": -1.0}, {"live_share": 1.0}, {"rater_share": 0.0}, {"patience": 0}]
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match="learn:"):
        LearnConfig(**wrong)
