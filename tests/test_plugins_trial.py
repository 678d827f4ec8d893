"""Trying and checking rewards: distribution, agreement with people and success, planted hacks, the contract."""

from __future__ import annotations

import random
import statistics

import pytest

from dialog_rl.episode import Change, Rating
from dialog_rl.hacks import find_hacks, rank_correlation, ranks
from dialog_rl.plugins.conformance import check_reward, sample_episodes
from dialog_rl.plugins.trial import describe, try_reward
from dialog_rl.scoring import Reward, Score
from dialog_rl.testing.episodes import make_episode

GOAL = {"success": {"db": {"patch": [{"path": "o/1/x", "after": "done"}]}}}
DONE = (Change(path="o/1/x", before="", after="done"),)


class By:
    """A reward that is a function of the episode."""

    def __init__(self, function) -> None:
        self.function = function

    def score(self, episodes):
        return [Score(value=self.function(episode)) for episode in episodes]


def reward(function) -> Reward:
    return Reward(name="r", function=By(function), bounds=(-1e6, 1e6))


def conversations(count: int = 60, seed: int = 0):
    """Successes and failures of every length, some of them flattering; nothing but the journal tells success."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        turns = []
        for _ in range(rng.randint(1, 8)):
            words = " ".join(
                rng.choice(["order", "parcel", "the", "on", "its", "way"]) for _ in range(rng.randint(3, 25))
            )
            turns.append(("and now?", words + (" What a great question!" if rng.random() < 0.3 else ".")))
        journal = DONE if rng.random() < 0.5 else ()
        made.append(make_episode(*turns, ("bye",), episode_id=f"e{number}", scenario=GOAL, journal=journal))
    return made


EPISODES = conversations()


def replies(episode) -> list[str]:
    return [turn.reply for turn in episode.turns]


HACKS = {
    "length": (lambda e: float(sum(map(len, replies(e)))), ("more", "words in all")),
    "flattery": (
        lambda e: float(sum("great question" in r for r in replies(e))) / len(replies(e)),
        ("more", "flattery"),
    ),
    "early hang-up": (lambda e: -float(len(e.turns)), ("less", "turns")),
}


@pytest.mark.parametrize("hack", HACKS)
def test_a_planted_hack_is_found(hack: str) -> None:
    function, expected = HACKS[hack]
    found = try_reward(reward(function), EPISODES).hacks
    assert expected in {(h.direction, h.behaviour) for h in found}
    assert f"it pays for {'fewer' if hack == 'early hang-up' else 'more'} " in str(found[0])


def test_success_itself_is_no_hack() -> None:
    honest = reward(lambda e: 1.0 if e.journal else 0.0)
    trial = try_reward(honest, EPISODES)
    assert trial.hacks == ()
    assert trial.with_success == pytest.approx(1.0)
    assert trial.prefers_success == 1.0


def test_a_behaviour_that_success_shares_is_no_hack() -> None:
    short = [e for e in conversations(200, seed=1) if bool(e.journal) == (len(e.turns) < 5)]
    assert len(short) >= 40
    assert all(h.behaviour != "turns" for h in find_hacks(short, [-float(len(e.turns)) for e in short]))


def test_random_rewards_are_rarely_accused() -> None:
    rng = random.Random(2)
    accused = sum(bool(find_hacks(EPISODES, [rng.random() for _ in EPISODES])) for _ in range(50))
    assert accused <= 3


def test_few_episodes_accuse_nobody() -> None:
    assert find_hacks(EPISODES[:10], [float(len(e.turns)) for e in EPISODES[:10]]) == []


def test_agreement_with_people_is_measured() -> None:
    ratings = {
        e.episode_id: (Rating(episode_id=e.episode_id, rater="a", value=1.0 if len(e.turns) > 4 else -1.0),)
        for e in EPISODES[:30]
    }
    trial = try_reward(reward(lambda e: float(len(e.turns))), EPISODES, ratings)
    assert trial.rated == 30
    assert trial.with_ratings is not None and trial.with_ratings > 0.8
    assert try_reward(reward(lambda e: -float(len(e.turns))), EPISODES, ratings).with_ratings == -trial.with_ratings


def test_the_best_and_the_worst_are_shown_with_what_was_said() -> None:
    trial = try_reward(reward(lambda e: float(len(e.turns))), EPISODES, show=2)
    assert [one.value for one in trial.best] == sorted((len(e.turns) for e in EPISODES), reverse=True)[:2]
    assert [one.value for one in trial.worst] == sorted(len(e.turns) for e in EPISODES)[:2]
    assert trial.best[0].turn is None
    assert trial.best[0].reply


def test_turns_are_shown_where_turns_are_judged() -> None:
    class PerStep:
        def score(self, episodes):
            return [Score(value=None, per_step=tuple(float(len(s.message.text)) for s in e.steps)) for e in episodes]

    episode = make_episode(("a", "short"), ("b", "very much longer"), episode_id="e")
    trial = try_reward(Reward(name="r", function=PerStep()), [episode], show=1)
    assert (trial.best[0].turn, trial.best[0].user) == (2, "b")
    assert (trial.worst[0].turn, trial.worst[0].user) == (1, "a")


def test_abstentions_are_counted_and_left_out() -> None:
    trial = try_reward(reward(lambda e: None if len(e.turns) > 4 else 1.0), EPISODES)
    assert trial.abstained == sum(len(e.turns) > 4 for e in EPISODES)
    assert trial.distribution is not None
    assert trial.distribution.count == len(EPISODES) - trial.abstained
    assert try_reward(reward(lambda e: None), EPISODES).distribution is None


def test_the_distribution_holds_every_value_once() -> None:
    values = [random.Random(3).gauss(0, 1) for _ in range(101)]
    found = describe(values)
    assert found is not None
    assert sum(count for _, count in found.bins) == 101
    assert found.quantiles[2] == statistics.median(values)
    assert (found.quantiles[1], found.quantiles[3]) == pytest.approx(
        tuple(statistics.quantiles(values, n=4, method="inclusive")[::2])
    )
    assert describe([2.0, 2.0]).bins == ((2.0, 2),)  # type: ignore[union-attr]


def test_rank_correlation_handles_ties_and_constants() -> None:
    assert ranks([3.0, 1.0, 3.0, 2.0]) == [3.5, 1.0, 3.5, 2.0]
    assert rank_correlation([1, 2, 3], [10, 100, 1000]) == pytest.approx(1.0)
    assert rank_correlation([1, 2, 3], [5, 5, 5]) is None
    assert rank_correlation([1, 2, 2, 3], [1, 3, 2, 4]) == pytest.approx(0.948683, abs=1e-6)


def failed(function_or_class) -> set[str]:
    def make() -> Reward:
        made = function_or_class() if isinstance(function_or_class, type) else By(function_or_class)
        return Reward(name="r", function=made, bounds=(-1e6, 1e6))

    return {check.name for check in check_reward(make) if not check.passed}


def test_an_honest_reward_passes_every_check() -> None:
    assert failed(lambda e: float(len(e.turns))) == set()


class Stateful:
    def __init__(self) -> None:
        self.calls = 0

    def score(self, episodes):
        self.calls += 1
        return [Score(value=float(self.calls)) for _ in episodes]


class Whitened:
    def score(self, episodes):
        values = [float(len(e.turns)) for e in episodes]
        return [Score(value=v - sum(values) / len(values)) for v in values]


class Averaging:
    def score(self, episodes):
        mean = sum(len(e.turns) for e in episodes) / len(episodes)
        return [Score(value=mean) for _ in episodes]


class Ranked:
    def score(self, episodes):
        return [Score(value=float(n)) for n, _ in enumerate(episodes)]


class Meddling:
    def score(self, episodes):
        for e in episodes:
            object.__setattr__(e, "note", "seen")
        return [Score(value=0.0) for _ in episodes]


class Sluggish:
    def score(self, episodes):
        import time

        time.sleep(0.06 * len(episodes))
        return [Score(value=0.0) for _ in episodes]


@pytest.mark.parametrize(
    ("broken", "question"),
    [
        (lambda e: float("nan"), "scores every episode with finite numbers in its bounds"),
        (Averaging, "takes an empty batch"),
        (lambda e: random.random(), "gives the same scores again"),
        (Stateful, "gives the same scores to one instance twice"),
        (Ranked, "does not depend on the order"),
        (Whitened, "does not depend on the rest of the batch"),
        (lambda e: float(len(e.turns[0].user.text.encode())) if e.turns else 0.0, "takes any text"),
        (lambda e: float(len(e.turns[0].user.text)), "takes unusual episodes"),
        (Meddling, "leaves the episodes as they were"),
        (Sluggish, "is fast enough"),
    ],
)
def test_each_question_finds_the_reward_that_answers_it_badly(broken, question: str) -> None:
    assert question in failed(broken)


def test_the_sample_episodes_are_different() -> None:
    assert len({e.episode_id for e in sample_episodes()}) == 5
