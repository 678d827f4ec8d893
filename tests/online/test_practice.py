"""Practice goes to those intents from which something is learnt."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from dialog_rl.online.practice import EPSILON, WINDOW, Practice, Strategy

ARMS = ("mastered", "learning", "hopeless")
LEARNT = {
    "mastered": [True] * 2 * WINDOW,
    "learning": [False] * WINDOW + [True, False] * (WINDOW // 2),
    "hopeless": [False] * 2 * WINDOW,
}


def practised(strategy: Strategy) -> Practice:
    practice = Practice(strategy)
    for arm, outcomes in LEARNT.items():
        practice.learn((arm, outcome) for outcome in outcomes)
    return practice


def choices(strategy: Strategy, count: int = 600) -> Counter[str]:
    practice, rng = practised(strategy), random.Random(0)
    return Counter(practice.choose(ARMS, rng) for _ in range(count))


def test_progress_is_how_far_success_changed_in_either_direction() -> None:
    practice = practised(Strategy.UCB)
    assert [practice.progress(arm) for arm in ARMS] == [0.0, 0.5, 0.0]
    practice.learn([("learning", False)] * 2 * WINDOW)
    assert practice.progress("learning") == 0.0
    forgetting = Practice(Strategy.UCB)
    forgetting.learn([("x", True)] * WINDOW + [("x", False)] * WINDOW)
    assert forgetting.progress("x") == 1.0


def test_uniform_leaves_the_choice_to_the_pack() -> None:
    assert choices(Strategy.UNIFORM) == {"": 600}


def test_epsilon_greedy_takes_the_most_progress_but_for_a_share() -> None:
    found = choices(Strategy.EPSILON_GREEDY)
    assert found["learning"] / 600 == pytest.approx(1 - EPSILON * 2 / 3, abs=0.05)
    assert min(found.values()) > 0


def test_ucb_takes_what_was_never_tried_first_and_then_what_is_learnt_most() -> None:
    practice = practised(Strategy.UCB)
    assert practice.choose((*ARMS, "new"), random.Random(0)) == "new"
    assert practice.choose(ARMS, random.Random(0)) == "learning"


def test_ucb_comes_back_to_what_was_neglected() -> None:
    practice = practised(Strategy.UCB)
    practice.learn([("learning", one) for one in [False, True] * 1000])
    assert practice.choose(ARMS, random.Random(0)) in ("mastered", "hopeless")


def test_thompson_takes_what_is_neither_mastered_nor_hopeless() -> None:
    found = choices(Strategy.THOMPSON)
    assert found["learning"] > 0.9 * 600


def test_what_is_known_survives_a_checkpoint() -> None:
    practice, other = practised(Strategy.UCB), Practice(Strategy.UCB)
    other.restore(practice.state())
    assert other == practice


def test_the_record_says_what_each_intent_got_and_gave() -> None:
    assert practised(Strategy.UCB).figures()["learning"] == {"tried": 2 * WINDOW, "success": 0.5, "progress": 0.5}
