"""Combination: constraints, vetoes, scales and adaptive weights over the batches of a run."""

from __future__ import annotations

import json
import random
import statistics
from collections.abc import Sequence

import pytest

from dialog_rl.combination import Combination
from dialog_rl.errors import ConfigError
from dialog_rl.scoring import Part, Reward, RewardSpec, Score, score_episodes
from dialog_rl.testing.episodes import make_episode


class Listed:
    """Gives the values that stand in the episode's scenario under its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def score(self, episodes):
        return [Score(value=episode.scenario.get(self.name)) for episode in episodes]


def reward(name: str, **more) -> Reward:
    return Reward(name=name, function=Listed(name), **more)


def episodes(**values: Sequence[float | None]):
    rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    return [make_episode(("hi", "hello"), scenario=row) for row in rows]


def test_without_anything_special_it_is_the_weighted_sum() -> None:
    rewards = [reward("a", weight=2.0), reward("b", weight=-0.5)]
    batch = episodes(a=[1.0, 0.0, None], b=[1.0, 2.0, 3.0])
    assert Combination(rewards).score(batch) == score_episodes(rewards, batch)


def test_a_multiplier_rises_while_the_target_is_missed_and_falls_when_it_is_met() -> None:
    combination = Combination([reward("a"), reward("safe", part=Part.CONSTRAINT, target=0.25)])
    multipliers = []
    for violations in (4, 4, 1, 0, 0, 0):
        safe = [-1.0] * violations + [0.0] * (4 - violations)
        combination.score(episodes(a=[1.0] * 4, safe=safe))
        multipliers.append(combination.figures()["multiplier/safe"])
    assert multipliers == pytest.approx([1.5, 3.0, 3.0, 2.5, 2.0, 1.5])


def test_the_price_is_paid_by_violating_episodes_and_everything_is_rescaled() -> None:
    combination = Combination([reward("a"), reward("safe", part=Part.CONSTRAINT, target=0.0)])
    first = combination.score(episodes(a=[1.0, 1.0], safe=[-1.0, 0.0]))
    assert [s.reward for s in first] == [1.0, 1.0]
    second = combination.score(episodes(a=[1.0, 1.0], safe=[-1.0, 0.0]))
    assert [s.reward for s in second] == pytest.approx([(1 - 1) / 2, 1 / 2])


def test_a_bandit_under_a_constraint_settles_at_its_target_and_without_one_does_not() -> None:
    """An arm that pays 1 and violates against one that pays 0.5: REINFORCE on one logit."""
    import math

    def rate_at_the_end(part: Part) -> float:
        rng = random.Random(1)
        weight = 0.0 if part is Part.SUMMAND else 1.0
        combination = Combination([reward("a"), reward("safe", part=part, target=0.1, weight=weight)])
        logit, rates = 0.0, []
        for _ in range(300):
            chance = 1 / (1 + math.exp(-logit))
            arms = [rng.random() < chance for _ in range(64)]
            batch = episodes(a=[1.0 if arm else 0.5 for arm in arms], safe=[-1.0 if arm else 0.0 for arm in arms])
            paid = [s.reward for s in combination.score(batch)]
            mean = sum(paid) / len(paid)
            logit += 2.0 * sum((p - mean) * (arm - chance) for p, arm in zip(paid, arms, strict=True)) / len(paid)
            rates.append(sum(arms) / len(arms))
        return sum(rates[-100:]) / 100

    assert rate_at_the_end(Part.CONSTRAINT) == pytest.approx(0.1, abs=0.04)
    assert rate_at_the_end(Part.SUMMAND) > 0.9


def test_a_veto_leaves_nothing_to_gain() -> None:
    veto = reward("safe", part=Part.VETO, weight=2.0)
    scored = Combination([reward("a"), veto]).score(episodes(a=[5.0, 5.0, -9.0], safe=[-0.5, 0.0, -0.5]))
    assert [s.reward for s in scored] == [-1.0, 5.0, -9.0]


def test_scaled_components_of_different_units_weigh_the_same() -> None:
    rng = random.Random(0)
    combination = Combination([reward("cents", scaled=True), reward("euros", scaled=True)])
    for _ in range(5):
        euros = [rng.uniform(-1.5, 1.5) for _ in range(50)]
        combination.score(episodes(cents=[e * 50 for e in euros], euros=euros))
    weights = combination.weights()
    assert weights["euros"] / weights["cents"] == pytest.approx(50)


def test_the_running_deviation_is_that_of_all_values_seen() -> None:
    rng = random.Random(0)
    combination, seen = Combination([reward("a", scaled=True)]), []
    for size in (3, 1, 10, 2):
        batch = [rng.gauss(3, 2) for _ in range(size)]
        seen += batch
        combination.score(episodes(a=batch))
    assert combination.weights()["a"] == pytest.approx(1 / statistics.pstdev(seen))


def test_a_constant_reward_is_not_blown_up() -> None:
    combination = Combination([reward("a", scaled=True)])
    (one, two) = combination.score(episodes(a=[0.5, 0.5 + 1e-7]))
    assert abs(one.reward - two.reward) < 1e-5


def test_adaptive_weights_follow_the_goal_that_is_being_learnt() -> None:
    combination = Combination([reward("learning", adaptive=True), reward("stuck", adaptive=True), reward("other")])
    for step in range(10):
        combination.score(episodes(learning=[step / 10] * 2, stuck=[0.3] * 2, other=[1.0] * 2))
    weights = combination.weights()
    assert weights["learning"] > 1.5 > 0.3 > weights["stuck"] >= 0.2 - 1e-9
    assert weights["learning"] + weights["stuck"] == pytest.approx(2.0)
    assert weights["other"] == 1.0


def test_before_anything_is_learnt_adaptive_weights_are_the_configured_ones() -> None:
    combination = Combination([reward("a", adaptive=True, weight=3.0), reward("b", adaptive=True)])
    assert combination.weights() == {"a": 3.0, "b": 1.0}


def test_an_episode_with_nothing_but_a_kept_constraint_has_no_reward() -> None:
    combination = Combination([reward("rating"), reward("safe", part=Part.CONSTRAINT)])
    scored = combination.score(episodes(rating=[None, 0.5, None], safe=[0.0, 0.0, -1.0]))
    assert [s.components["rating"].value for s in scored] == [0.5, None]


def test_what_is_missing_neither_violates_nor_counts() -> None:
    combination = Combination([reward("a"), reward("safe", part=Part.CONSTRAINT, target=0.5)])
    combination.score(episodes(a=[1.0] * 4, safe=[None, None, None, -1.0]))
    assert combination.figures()["rate/safe"] == 1.0
    combination.score(episodes(a=[1.0] * 2, safe=[None, None]))
    assert combination.figures()["rate/safe"] == 1.0


def test_a_restored_combination_goes_on_as_if_nothing_had_happened() -> None:
    rewards = [
        reward("a", scaled=True, adaptive=True),
        reward("b", adaptive=True),
        reward("safe", part=Part.CONSTRAINT, target=0.1),
    ]
    rng = random.Random(4)

    def batch():
        return episodes(
            a=[rng.gauss(0, 3) for _ in range(8)], b=[rng.random() for _ in range(8)], safe=[-1.0, *[0.0] * 7]
        )

    batches = [batch() for _ in range(6)]
    whole = Combination(rewards)
    results = [whole.score(b) for b in batches]
    first = Combination(rewards)
    for b in batches[:3]:
        first.score(b)
    second = Combination(rewards)
    second.restore(json.loads(json.dumps(first.state())))
    assert [second.score(b) for b in batches[3:]] == results[3:]
    assert second.state() == whole.state()


def test_the_order_of_episodes_changes_nothing() -> None:
    rewards = [reward("a", scaled=True), reward("safe", part=Part.CONSTRAINT)]
    batch = episodes(a=[1.0, 2.0, 4.0], safe=[0.0, -1.0, 0.0])
    forth = [s.reward for s in Combination(rewards).score(batch)]
    back = [s.reward for s in Combination(rewards).score(batch[::-1])]
    assert forth == pytest.approx(back[::-1])


def test_a_plain_sum_refuses_what_needs_a_memory() -> None:
    with pytest.raises(ValueError, match="'safe' is no plain summand"):
        score_episodes([reward("safe", part=Part.CONSTRAINT)], episodes(safe=[0.0]))


@pytest.mark.parametrize("wrong", [{"target": 1.0}, {"target": -0.1}, {"weight": float("nan")}])
def test_a_specification_that_makes_no_sense_is_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError):
        RewardSpec(use="x", **wrong)
