"""Ratings of the episode log, lent to rewards: in order, with what is rated while a run goes on."""

from __future__ import annotations

from pathlib import Path

from dialog_rl.episode import Rating
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.plugins.ratings import LoggedRatings
from dialog_rl.plugins.rewards import build_rewards
from dialog_rl.scoring import RewardSpec
from dialog_rl.testing.episodes import make_episode

GOOD, BAD = (make_episode(("a", "b"), ("c",), episode_id=name) for name in ("good", "bad"))


def rating(episode: str, value: float | None, rater: str = "ann") -> Rating:
    return Rating(episode_id=episode, rater=rater, turn=0, value=value)


def test_people_are_heard_while_the_log_is_written_to(tmp_path: Path) -> None:
    ratings = LoggedRatings(lambda: tmp_path / "log.db")
    (reward,) = build_rewards(load_plugins().registry, [RewardSpec(use="human_rating")], resources={"ratings": ratings})

    def at_the_reply() -> list[object]:
        return [score.per_step and score.per_step[0] for score in reward.function.score([GOOD, BAD])]

    assert at_the_reply() == [None, None]
    with EpisodeLog.open(tmp_path / "log.db") as log:
        log.append_many([GOOD, BAD])
        assert at_the_reply() == [None, None]
        log.rate(rating("good", 1.0))
        assert at_the_reply() == [1.0, None]
        log.rate(rating("bad", -1.0))
        log.rate(rating("good", 0.0, rater="bob"))
        assert at_the_reply() == [0.5, -1.0]
        log.rate(rating("bad", None))
        assert at_the_reply() == [0.5, None]


def test_ratings_come_in_the_order_they_were_given(tmp_path: Path) -> None:
    with EpisodeLog.open(tmp_path / "log.db") as log:
        log.append(GOOD)
        given = [rating("good", 1.0), rating("good", -1.0), rating("good", None)]
        for one in given:
            log.rate(one)
    ratings = LoggedRatings(lambda: tmp_path / "log.db")
    assert [list(found) for found in ratings([BAD, GOOD])] == [[], given]
    assert [list(found) for found in ratings([GOOD])] == [given]
