"""Scoring: whatever a reward does wrong is missing, never a number."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from dialog_rl.errors import RewardError
from dialog_rl.scoring import OnFailure, Reward, Score, score_components, score_episodes
from dialog_rl.testing.episodes import make_episode

EPISODES = [make_episode(("hello", "hi"), ("bye", "bye"), episode_id=f"e{i}") for i in range(3)]


class Returns:
    """A reward that gives what it was told to give."""

    def __init__(self, result) -> None:
        self.result = result

    def score(self, episodes):
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


def reward(result, **more) -> Reward:
    return Reward(name=more.pop("name", "r"), function=Returns(result), **more)


def test_the_reward_is_the_weighted_sum_of_components() -> None:
    a = reward([Score(value=v) for v in (1.0, 0.0, 0.5)], name="a", weight=2.0)
    b = reward([Score(value=v) for v in (-1.0, -2.0, 0.0)], name="b", weight=0.5)
    assert [scored.reward for scored in score_episodes([a, b], EPISODES)] == [1.5, -1.0, 1.0]


def test_step_rewards_are_weighted_and_zero_where_none_is_given() -> None:
    a = reward([Score(value=0.0, per_step=(1.0, None)), Score(value=0.0), Score(value=0.0)], weight=3.0)
    assert [scored.step_rewards for scored in score_episodes([a], EPISODES)] == [(3.0, 0.0), (0.0, 0.0), (0.0, 0.0)]


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, 1e308, -101.0, "1.0", True, 1j, 10**400, [1.0], np.float32("nan"), Decimal("NaN"),
     Decimal(1), b"1", np.bool_(True), np.array([1.0, 2.0]), object()],
    ids=lambda value: f"{type(value).__name__}:{str(value)[:12]}",
)  # fmt: skip
def test_what_is_not_a_finite_number_in_range_is_a_failure(value: object) -> None:
    with pytest.raises(RewardError, match="'r' on episode 'e1'"):
        score_episodes([reward([0.0, value, 0.0])], EPISODES)


@pytest.mark.parametrize("value", [1, 0.25, np.float64(0.5), np.float32(0.5), np.int64(1), Fraction(1, 2)], ids=repr)
def test_real_numbers_of_every_kind_are_scores(value: object) -> None:
    scored = score_episodes([reward([value, value, value])], EPISODES)
    assert [(type(s.reward), s.reward) for s in scored] == [(float, float(value))] * 3  # type: ignore[arg-type]


@pytest.mark.parametrize("result", [[], [1.0], [1.0] * 4, None, 1.0, RuntimeError("boom"), SystemExit(0)], ids=repr)
def test_a_wrong_number_of_scores_or_an_exception_is_a_failure(result: object) -> None:
    with pytest.raises(RewardError, match="reward 'r'"):
        score_episodes([reward(result)], EPISODES)


def test_per_step_must_have_one_value_a_step() -> None:
    with pytest.raises(RewardError, match="3 values in per_step for 2 steps"):
        score_episodes([reward([Score(value=0.0, per_step=(0.0, 0.0, 0.0))] * 3)], EPISODES)


def test_a_score_cannot_hold_a_number_that_is_not_finite() -> None:
    with pytest.raises(ValueError, match="finite"):
        Score(value=math.nan)


def test_a_score_that_was_bent_after_its_making_is_checked_again() -> None:
    bent = Score(value=0.0)
    object.__setattr__(bent, "value", math.nan)
    with pytest.raises(RewardError, match="nan"):
        score_episodes([reward([bent] * 3)], EPISODES)


def test_an_abstaining_component_is_kept_as_none_and_adds_nothing() -> None:
    a = reward([Score(value=None, reason="no rating"), Score(value=1.0), Score(value=1.0)], name="a")
    b = reward([Score(value=0.5)] * 3, name="b")
    first = score_episodes([a, b], EPISODES)[0]
    assert first.reward == 0.5
    assert first.components["a"] == Score(value=None, reason="no rating")


def test_an_episode_without_any_reward_is_left_out_not_zero() -> None:
    a = reward([Score(value=None), Score(value=0.0), Score(value=None, per_step=(0.5, None))])
    assert [scored.episode.episode_id for scored in score_episodes([a], EPISODES)] == ["e1", "e2"]


def test_a_failing_component_that_may_abstain_is_missing_for_the_whole_batch() -> None:
    a = reward([1.0, math.nan, 1.0], name="a", on_failure=OnFailure.ABSTAIN)
    b = reward([0.5, 0.5, 0.5], name="b")
    scored = score_episodes([a, b], EPISODES)
    assert [s.reward for s in scored] == [0.5] * 3
    assert all(s.components["a"].failed and s.components["a"].value is None for s in scored)
    assert "nan" in scored[0].components["a"].reason


def test_a_reward_that_says_it_failed_is_believed() -> None:
    with pytest.raises(RewardError, match="the server is down"):
        score_episodes([reward([Score(value=None, failed=True, reason="the server is down")] * 3)], EPISODES)


def test_no_episodes_give_no_scores() -> None:
    assert score_components([reward([])], []) == {"r": []}


def test_combine_replaces_the_sum_unless_it_gives_none() -> None:
    a = reward([1.0, 2.0, 3.0])
    combined = score_episodes([a], EPISODES, combine=lambda scores, weights, episode: min(2.0, scores["r"].value or 0))
    assert [s.reward for s in combined] == [1.0, 2.0, 2.0]
    assert [s.reward for s in score_episodes([a], EPISODES, combine=lambda *_: None)] == [1.0, 2.0, 3.0]
    with pytest.raises(RewardError, match="combine_rewards"):
        score_episodes([a], EPISODES, combine=lambda *_: math.nan)


def test_two_rewards_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two rewards are named 'r'"):
        score_components([reward([0.0] * 3), reward([0.0] * 3)], EPISODES)
