"""What rewards like and success does not, in a report: three planted hacks, and an honest reward that is let pass."""

from __future__ import annotations

import json
import random
from dataclasses import asdict

import pytest

from dialog_rl.episode import Change, Episode
from dialog_rl.evaluation import chapters, document, report
from dialog_rl.evaluation.gaming import Gaming, gaming, grown, remarks
from dialog_rl.evaluation.suites import Suite, side_by_side
from dialog_rl.evaluation.summaries import Result
from dialog_rl.hacks import find_hacks, slope
from dialog_rl.scoring import Reward, Score
from dialog_rl.testing.episodes import make_episode

GOAL = {"success": {"db": {"patch": [{"path": "o/1/x", "after": "done"}]}}}
DONE = (Change(path="o/1/x", before="", after="done"),)


class By:
    def __init__(self, function) -> None:
        self.function = function

    def score(self, episodes):
        return [Score(value=self.function(episode)) for episode in episodes]


def reward(name: str, function, weight: float = 1.0) -> Reward:
    return Reward(name=name, function=By(function), weight=weight, bounds=(-1e6, 1e6))


def conversations(count: int = 80, seed: int = 0, flattery: float = 0.3) -> list[Episode]:
    """Successes and failures of every length, some of them flattering; only the journal tells success."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        turns = []
        for _ in range(rng.randint(1, 8)):
            words = " ".join(rng.choices(["order", "parcel", "the", "on", "its", "way"], k=rng.randint(3, 25)))
            turns.append(("and now?", words + (" What a great question!" if rng.random() < flattery else ".")))
        journal = DONE if rng.random() < 0.5 else ()
        made.append(make_episode(*turns, ("bye",), episode_id=f"e{number}", scenario=GOAL, journal=journal))
    return made


EPISODES = conversations()


def replies(episode: Episode) -> list[str]:
    return [turn.reply for turn in episode.turns if turn.reply]


SUCCESS = reward("success", lambda e: float(bool(e.journal)))
HACKS = {
    "length": (lambda e: sum(len(r.split()) for r in replies(e)) / 20, "more words in all"),
    "flattery": (lambda e: 3 * sum("great question" in r for r in replies(e)) / len(replies(e)), "more flattery"),
    "early hang-up": (lambda e: -0.5 * len(e.turns), "fewer turns"),
}


def found_in(*rewards: Reward, episodes: list[Episode] = EPISODES) -> Gaming:
    found = gaming("agent", episodes, rewards)
    assert found is not None
    return found


@pytest.mark.parametrize("hack", HACKS)
def test_a_planted_hack_beside_success_is_named_with_the_reward_that_pays_it(hack: str) -> None:
    function, words = HACKS[hack]
    found = found_in(SUCCESS, reward("planted", function))
    first = next(one for one in found.hacks if words in str(one))
    assert found.through[first.behaviour] == "planted"
    assert any(words in line and "most of it through planted" in line for line in remarks(found))


def test_an_honest_reward_is_let_pass() -> None:
    found = found_in(SUCCESS)
    assert found.hacks == () and found.failures == ()
    assert (found.success_pays, found.prefers_success) == (1.0, 1.0)


def test_a_hack_that_is_worth_little_beside_success_is_not_named() -> None:
    dear, cheap = (reward("cost", lambda e: -float(len(e.turns)), weight) for weight in (0.5, 0.01))
    assert found_in(SUCCESS, dear).hacks and not found_in(SUCCESS, cheap).hacks


def test_what_a_behaviour_is_worth_is_what_it_pays_between_its_deciles() -> None:
    (turns,) = (h for h in find_hacks(EPISODES, [-0.5 * len(e.turns) for e in EPISODES]) if h.behaviour == "turns")
    lengths = sorted(len(e.turns) for e in EPISODES)
    assert turns.worth == pytest.approx(0.5 * (lengths[round(0.9 * 79)] - lengths[round(0.1 * 79)]))
    assert slope([1.0, 2.0, 3.0], [5.0, 7.0, 9.0]) == pytest.approx(2.0) and slope([1.0, 1.0], [0.0, 9.0]) == 0.0


def test_failures_that_are_paid_more_than_successes_are_named() -> None:
    failure = next(e for e in EPISODES if not e.journal)
    found = found_in(SUCCESS, reward("planted", lambda e: 3.0 * (e is failure)))
    assert [(one.episode, one.reward) for one in found.failures] == [(failure.episode_id, 3.0)]
    assert found.failures[0].reply == replies(failure)[-1]


def test_step_rewards_count_as_pay() -> None:
    class Steps:
        def score(self, episodes):
            return [Score(value=None, per_step=tuple(len(s.message.text) / 50 for s in e.steps)) for e in episodes]

    found = found_in(SUCCESS, Reward(name="steps", function=Steps()))
    assert found.through["words in all"] == "steps"


def test_an_agent_that_always_succeeds_games_nothing_and_one_that_never_does_may() -> None:
    good = [e for e in EPISODES if e.journal]
    bad = [e for e in EPISODES if not e.journal]
    short = reward("short", lambda e: -float(len(e.turns)))
    assert found_in(SUCCESS, short, episodes=good).hacks == ()
    assert "turns" in {h.behaviour for h in found_in(SUCCESS, short, episodes=bad).hacks}


def test_few_episodes_and_broken_rewards_say_nothing() -> None:
    assert gaming("agent", EPISODES[:10], [SUCCESS]) is None

    class Broken:
        def score(self, episodes):
            raise RuntimeError("no")

    assert gaming("agent", EPISODES, [Reward(name="broken", function=Broken())]) is None


def test_a_report_has_a_section_on_what_pays() -> None:
    result = Result(name="agent", version="", episodes={("p", n, 0): e for n, e in enumerate(EPISODES)})
    planted = reward("planted", HACKS["flattery"][0])
    found = side_by_side(
        [result], Suite(stages=()), pay=lambda name, episodes: gaming(name, episodes, [SUCCESS, planted])
    )
    assert "what agent is paid for" in report.plain(found) and "it pays for more flattery" in report.plain(found)
    assert "## What it is paid for\n" in document.markdown(chapters.whole(found))
    (pay,) = json.loads(json.dumps(report.as_document(found)))["pay"]
    assert pay["through"]["flattery"] == "planted" and asdict(found.gaming[0])["hacks"][0]["worth"] > 0


def test_what_learning_has_changed_is_told() -> None:
    flattering = conversations(seed=1, flattery=0.9)
    growth = grown(EPISODES, flattering)
    assert [one.behaviour for one in growth][:1] == ["flattery"]
    assert growth[0].after > growth[0].before and str(growth[0]).startswith("flattery went from 0.")
    assert grown(EPISODES, conversations(seed=2)) == [] and grown(EPISODES[:10], flattering) == []
