"""When a version is taken back for what it does in real conversations, and when it is not."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.online.watch import Limits, Watch, recall, worse_ratings


class Taken(list[tuple[str, str]]):
    def __call__(self, version: str, reason: str) -> None:
        self.append((version, reason))


def test_outputs_that_are_not_finite_are_reason_enough():
    taken = Taken()
    Watch(taken).broken("v2", "the logits are not finite")
    assert taken == [("v2", "the logits are not finite")]


def test_a_version_is_taken_back_once():
    taken = Taken()
    watch = Watch(taken)
    for _ in range(3):
        watch.broken("v2", "broken")
    assert len(taken) == 1


@pytest.mark.parametrize("bad", ["empty", "repeated"])
def test_more_than_a_tenth_of_bad_replies_is_too_many(bad: str):
    taken = Taken()
    watch = Watch(taken)
    for number in range(50):
        watch.replied("v2", **{bad: number % 12 == 11})
    assert not taken
    for number in range(50):
        watch.replied("v2", **{bad: number % 5 == 0})
    assert taken and "empty or repeated" in taken[0][1]


def test_one_bad_reply_among_the_first_few_is_not_a_share():
    taken = Taken()
    watch = Watch(taken)
    watch.replied("v2", empty=True)
    for _ in range(18):
        watch.replied("v2")
    assert not taken


def test_only_the_last_fifty_are_looked_at():
    taken = Taken()
    watch = Watch(taken)
    watch.know("v2", replies=[True] * 50, errors=[])
    for _ in range(46):
        watch.know("v2", replies=[False], errors=[])
    watch.replied("v2")
    assert not taken


def test_what_the_version_before_did_is_no_reason_against_the_new_one():
    taken = Taken()
    watch = Watch(taken)
    watch.know("v1", replies=[True, False, False, False] * 12, errors=[True, False] * 25)
    for number in range(60):
        watch.replied("v2", repeated=number % 3 == 0)
        if number % 2:
            watch.failed("v2")
    assert not taken
    for _ in range(40):
        watch.replied("v2", repeated=True)
    assert taken


def test_actions_that_cannot_be_read_are_counted():
    taken = Taken()
    watch = Watch(taken)
    for number in range(30):
        watch.failed("v2") if number % 4 == 0 else watch.replied("v2")
    assert taken and "cannot be read" in taken[0][1]


def test_the_log_tells_what_is_usual(tmp_path: Path):
    from tests.episode_log import made

    taken = Taken()
    watch = Watch(taken, Limits(window=10))
    with EpisodeLog.open(tmp_path / "log.sqlite") as log:
        begun = made.episode("e1", turns=0)
        log.begin(begun)
        for number in range(30):  # each turn replies "On its way.": repeated, all but the first
            turn = made.turn(f"message {number}", policy="v1")
            log.user_said("e1", number, turn.user)
            log.answered("e1", number, turn)
        recall(log, watch)
    assert not taken
    for _ in range(30):
        watch.replied("v2", repeated=True)
    assert not taken  # as bad as the version before


def test_clearly_worse_ratings_are_noticed_and_equal_ones_seldom():
    rng = random.Random(0)

    def rated(good: float, count: int) -> list[float]:
        return [1.0 if rng.random() < good else -1.0 for _ in range(count)]

    worse = sum(worse_ratings(rated(0.8, 60), rated(0.3, 60)) for _ in range(100))
    same = sum(worse_ratings(rated(0.8, 60), rated(0.8, 60)) for _ in range(400))
    assert worse >= 95 and same <= 20


def test_few_ratings_of_the_version_before_are_nothing_to_compare_with():
    assert not worse_ratings([1.0] * 5, [-1.0] * 100) and not worse_ratings([1.0] * 100, [])
