"""Rewards made from what people said: ratings, corrections, the customer's next message."""

from __future__ import annotations

import random

import pytest
from dialog_rl_rewards.human_rating import HumanRating
from dialog_rl_rewards.next_message import VALUES, NextMessage, read
from dialog_rl_rewards.politeness import Politeness
from dialog_rl_rewards.progress import Progress, goal_progress, shaping
from dialog_rl_rewards.reference_text import ReferenceText

from dialog_rl.episode import Rating, StopReason
from dialog_rl.errors import ConfigError
from dialog_rl.testing.episodes import called, make_episode

from .test_safety import labelled

EPISODE = make_episode(("hi", called("find"), "hello"), ("and?", "done"), ("bye",))


def rating(value: float | None, turn: int | None = None, rater: str = "me", **more) -> Rating:
    return Rating(episode_id="episode-1", rater=rater, turn=turn, value=value, **more)


def human(*ratings: Rating):
    (score,) = HumanRating(ratings=lambda episodes: [ratings]).score([EPISODE])
    return score


def test_a_turns_rating_is_paid_at_its_reply() -> None:
    assert human(rating(1.0, turn=0)).per_step == (None, 1.0, None)
    assert human(rating(-1.0, turn=1)).per_step == (None, None, -1.0)


def test_what_nobody_rated_is_missing() -> None:
    score = human()
    assert (score.value, score.per_step, score.applies) == (None, None, False)


def test_each_rater_counts_once_with_their_last_word() -> None:
    votes = [rating(-1.0, rater="troll")] * 9 + [rating(1.0, rater="a"), rating(0.0, rater="a"), rating(0.5, rater="b")]
    assert human(*votes).value == pytest.approx((-1.0 + 0.0 + 0.5) / 3)


def test_a_withdrawn_rating_is_gone() -> None:
    assert human(rating(1.0), rating(None)).value is None


def test_the_next_message_is_read_right_nine_times_in_ten() -> None:
    cases = labelled("next_message_cases").CASES
    spoke = [(label, said) for label, text in cases if (said := read(text)) in VALUES]
    meant = [label for label, _ in cases if label in VALUES]
    right = sum(label == said for label, said in spoke)
    assert right / len(spoke) >= 0.9
    assert right / len(meant) >= 0.9


def test_the_reply_before_a_complaint_is_the_one_that_pays() -> None:
    episode = make_episode(("hi", called("find"), "no"), ("this is ridiculous", "sorry"), ("thanks", "bye"))
    (score,) = NextMessage(worth=0.4).score([episode])
    assert score.per_step == pytest.approx((None, -0.4, 0.4, None))
    assert score.value is None


def test_saying_the_same_again_is_repetition() -> None:
    text = "i want to cancel order 4471 from last week"
    assert read(text, [text]) == "repetition"
    assert read("yes", ["yes"]) != "repetition"


def test_a_rating_overrides_the_next_message() -> None:
    episode = make_episode(("hi", "no"), ("this is ridiculous", "sorry"))
    rated = NextMessage(ratings=lambda episodes: [[rating(1.0, turn=0)]])
    assert rated.score([episode])[0].per_step is None
    elsewhere = NextMessage(ratings=lambda episodes: [[rating(1.0, turn=1)]])
    assert elsewhere.score([episode])[0].per_step is not None


def test_small_talk_about_orders_says_nothing_about_the_reply() -> None:
    episode = make_episode(("hi", "number?"), ("4471", "name?"), ("Ada Byron", "done"))
    assert not NextMessage().score([episode])[0].applies


def test_polite_replies_are_counted() -> None:
    assert Politeness().score([EPISODE])[0].value == 0.0
    polite = make_episode(("hi", "Hello, how can I help, please?"), ("x", "no"), ("请", "好的，谢谢。"))
    assert Politeness().score([polite])[0].value == pytest.approx(2 / 3)
    assert Politeness().score([make_episode(("hi",))])[0].value is None


@pytest.mark.parametrize("measure", ["bleu", "chrf", "rouge"])
@pytest.mark.parametrize(
    ("good", "near", "far"),
    [
        ("Your parcel arrives on Monday.", "Your parcel will arrive on Monday.", "No."),
        ("您的包裹星期一送达。", "您的包裹将在星期一送到。", "不。"),
    ],
)
def test_nearness_to_the_reference_orders_replies(measure: str, good: str, near: str, far: str) -> None:
    pytest.importorskip("sacrebleu")
    pytest.importorskip("rouge_score")
    episode = make_episode(("hi", good), ("hi", near), ("hi", far), ("hi", "anything"))
    reward = ReferenceText(measure=measure, references=lambda episodes: [[good, good, good, None]])
    steps = reward.score([episode])[0].per_step
    assert steps is not None and steps[3] is None
    values = [value for value in steps if value is not None]
    assert values[0] == pytest.approx(1.0)
    assert 1.0 > values[1] > values[2] >= 0.0


def test_a_correction_serves_as_reference() -> None:
    pytest.importorskip("sacrebleu")
    reward = ReferenceText(ratings=lambda episodes: [[rating(None, turn=1, correction="done")]])
    (score,) = reward.score([EPISODE])
    assert score.per_step == pytest.approx((None, None, 1.0))


def test_reference_text_without_references_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs references or ratings"):
        ReferenceText()
    with pytest.raises(ConfigError, match="'blue' is not known"):
        ReferenceText(measure="blue", references=lambda episodes: [])


GOAL = {
    "success": {
        "db": {"from_actions": [{"tool": "cancel", "arguments": {"order": "7"}}]},
        "communicate": [{"any_of": ["54.04"]}],
    }
}


def test_progress_is_the_share_of_gold_actions_done_and_values_told() -> None:
    episode = make_episode(
        ("cancel", called("cancel", order="8"), called("cancel", order="7"), "You get 54.04 back."), scenario=GOAL
    )
    assert goal_progress(episode) == [0.0, 0.0, 0.5, 1.0]
    (score,) = Progress().score([episode])
    assert score.per_step == (0.0, 0.5, -0.5)


def test_shaping_sums_to_minus_the_first_potential_whatever_was_done() -> None:
    rng = random.Random(3)
    for _ in range(50):
        potentials = [rng.uniform(-1, 1) for _ in range(rng.randint(2, 9))]
        gamma = rng.choice([1.0, 0.9])
        paid = shaping(potentials, gamma=gamma, terminated=True)
        assert sum(gamma**t * value for t, value in enumerate(paid)) == pytest.approx(-potentials[0])


def test_a_truncated_episode_keeps_its_last_potential() -> None:
    assert shaping([0.0, 0.5, 1.0], gamma=1.0, terminated=False) == [0.5, 0.5]
    cut = make_episode(("cancel", called("cancel", order="7")), scenario=GOAL, stop=StopReason.MAX_TURNS)
    assert Progress().score([cut])[0].per_step == (0.5,)


def best_policy(gamma: float, reward) -> dict[int, int]:
    """Value iteration on a random episodic problem: 6 states, 3 actions, state 6 is the end."""
    rng = random.Random(11)
    moves = {(s, a): [rng.random() for _ in range(7)] for s in range(6) for a in range(3)}
    chances = {key: [w / sum(weights) for w in weights] for key, weights in moves.items()}
    values = [0.0] * 7

    def worth(s: int, a: int) -> float:
        return sum(p * (reward(s, a, t) + gamma * values[t]) for t, p in enumerate(chances[s, a]))

    for _ in range(2000):
        values = [max(worth(s, a) for a in range(3)) for s in range(6)] + [0.0]
    return {s: max(range(3), key=lambda a: worth(s, a)) for s in range(6)}


@pytest.mark.parametrize("gamma", [0.9, 1.0])
def test_the_optimal_policy_is_the_same_with_shaping_and_not_with_a_naive_bonus(gamma: float) -> None:
    rng = random.Random(5)
    paid = {(s, a): rng.uniform(-1, 0) for s in range(6) for a in range(3)}
    differs = 0
    plain = best_policy(gamma, lambda s, a, t: paid[s, a])
    for trial in range(5):
        potential = [random.Random(trial).uniform(-3, 3) * (s < 6) for s in range(7)]

        def shaped(s: int, a: int, t: int, potential=potential) -> float:
            (extra,) = shaping([potential[s], potential[t]], gamma=gamma, terminated=t == 6)
            return paid[s, a] + extra

        assert best_policy(gamma, shaped) == plain
        differs += best_policy(gamma, lambda s, a, t, p=potential: paid[s, a] + p[t] * (gamma < 1)) != plain
    assert differs > 0 or gamma == 1.0
