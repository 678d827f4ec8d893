"""Each reason for not learning from a conversation, and that nothing is left out without one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_rl.chat.setting import LEARNABLE
from dialog_rl.online.eligibility import Rules, Why, judge, lag_of, summarise
from dialog_rl.online.ledger import Facts, Held

UP = Held(event_id="rating:1", rater="ann", turn=0, value=1.0)
GOOD = Facts(
    episode_id="c1", finished=7, live=True, stop="user_left", split="validation", run="chat", tokenizer="t1",
    versions=("v2",), ratings=(UP,), consent=True, temperature=LEARNABLE,
)  # fmt: skip
RULES = Rules(tokenizer="t1", champions=("v0", "v1", "v2", "v3"), kept={"v0", "v1", "v2", "v3"}, max_lag=2)


def test_a_finished_rated_conversation_with_consent_is_eligible():
    assert judge(GOOD, RULES).eligible


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"finished": 0}, Why.UNFINISHED),
        ({"stop": "aborted"}, Why.BROKEN),
        ({"stop": "user_error"}, Why.BROKEN),
        ({"ratings": ()}, Why.UNRATED),
        ({"consent": None}, Why.NOT_ASKED),
        ({"consent": False}, Why.REFUSED),
        ({"quarantined": "trolls"}, Why.QUARANTINED),
        ({"versions": ("v2", "gpt-7")}, Why.FOREIGN),
        ({"versions": ("",)}, Why.FOREIGN),
        ({"versions": ()}, Why.FOREIGN),
        ({"versions": ("v0",)}, Why.STALE),
        ({"versions": ("v3", "v0")}, Why.STALE),
        ({"tokenizer": "t2"}, Why.TOKENIZER),
        ({"tokenizer": ""}, Why.TOKENIZER),
        ({"temperature": 0.0}, Why.TEMPERATURE),
        ({"temperature": 1.0}, Why.TEMPERATURE),
        ({"live": False, "split": "heldout"}, Why.HELD_OUT),
        ({"live": False, "split": "validation"}, Why.HELD_OUT),
    ],
)
def test_each_reason_is_told(changed: dict[str, Any], why: Why):
    judgement = judge(replace(GOOD, **changed), RULES)
    assert judgement.why is why and not judgement.eligible


def test_a_version_that_was_cleared_away_cannot_be_asked():
    assert judge(GOOD, replace(RULES, kept={"v3"})).why is Why.GONE


def test_a_simulated_conversation_needs_neither_rating_nor_consent():
    assert judge(replace(GOOD, live=False, split="train", ratings=(), consent=None), RULES).eligible


def test_lag_counts_the_promotions_since_a_version_was_last_champion():
    assert [lag_of(v, ("a", "b", "a", "c")) for v in "abc"] == [1, 2, 0]


def test_a_rolled_back_champion_is_fresh_again():
    rules = replace(RULES, champions=("v0", "v1", "v2", "v3", "v0"), max_lag=0)
    assert judge(replace(GOOD, versions=("v0",)), rules).eligible
    assert judge(replace(GOOD, versions=("v3",)), rules).why is Why.STALE


facts = st.builds(
    Facts, episode_id=st.uuids().map(str), finished=st.integers(0, 3), live=st.booleans(),
    stop=st.sampled_from(["user_left", "max_turns", "aborted", "user_error"]),
    split=st.sampled_from(["", "train", "x"]),
    tokenizer=st.sampled_from(["t1", "t2"]), temperature=st.sampled_from([0.0, LEARNABLE]),
    versions=st.lists(st.sampled_from(["v0", "v2", "v3", "other"]), max_size=2, unique=True).map(tuple),
    ratings=st.sampled_from([(), (UP,)]), consent=st.none() | st.booleans(), quarantined=st.sampled_from(["", "x"]),
)  # fmt: skip


@given(st.lists(facts, max_size=12))
def test_every_conversation_is_queued_or_has_a_reason(waiting: list[Facts]):
    summary = summarise(waiting, RULES)
    assert len(summary.queued) + len(summary.simulated) + sum(summary.refused.values()) == len(waiting)
    assert set(summary.examples) == set(summary.refused)
    for one in summary.queued:
        assert one.live and one.ratings and one.consent and one.finished and not one.quarantined
        assert one.tokenizer == "t1" and one.temperature == LEARNABLE and set(one.versions) <= {"v2", "v3"}


def test_the_queue_is_in_the_order_in_which_conversations_ended():
    late, early = replace(GOOD, episode_id="late", finished=9), replace(GOOD, episode_id="early", finished=4)
    assert [f.episode_id for f in summarise([late, early], RULES).queued] == ["early", "late"]
