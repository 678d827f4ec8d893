"""People who are pleased while customers are no longer served: an alarm, and none where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from dialog_rl.bench.rehearsal import World
from dialog_rl.online.drift import Liking, alarm

RISING, LEVEL = [-0.2, -0.1, 0.0, 0.3, 0.4, 0.5], [0.1] * 6
FALLING, STEADY = [0.96, 0.95, 0.94, 0.9, 0.88, 0.86], [0.95] * 6


def test_who_is_liked_more_and_serves_less_is_told() -> None:
    told = alarm(RISING, FALLING)
    assert "people rate +0.40 where they rated -0.10" in told and "88 % are served where 95 % were" in told


@pytest.mark.parametrize(
    ("liked", "served"),
    [(RISING, STEADY), (LEVEL, FALLING), (RISING[::-1], FALLING), (RISING, FALLING[::-1]), (RISING[:5], FALLING[:5])],
)
def test_nothing_else_is_an_alarm(liked: list[float], served: list[float]) -> None:
    assert alarm(liked, served) == ""


def test_updates_without_a_gate_or_a_rating_are_passed_over() -> None:
    liked = [None, *RISING[:3], 0.9, *RISING[3:]]
    assert alarm(liked, [0.1, *FALLING[:3], None, *FALLING[3:]]) == alarm(RISING, FALLING)


def test_the_mean_rating_of_an_update_is_read_as_the_log_grows(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.open_log() as log:
        liking = Liking("learn")
        liking.look(log)
        assert liking.of(1) is None
        world.chat(log, 1, 2, 3)
        world.learn(log)
        liking.look(log)
        ratings = [r.value for n in (1, 2, 3) for r in log.ratings(f"chat-{n}") if r.value is not None]
        assert liking.of(1) == pytest.approx(sum(ratings) / len(ratings)) and liking.of(2) is None
