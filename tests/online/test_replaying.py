"""Log, plans and first version give the same weights again; without some conversations, those of never having had
them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dialog_rl.bench.rehearsal import CONFIG, Decides, World
from dialog_rl.episode_log.forgetting import forget
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.lm import promotions, versions
from dialog_rl.online.replaying import course_of, replay, speaks_as
from dialog_rl.online.study import Material, Study


def never(number: int) -> bool:
    return False


def make_again(world: World, log: EpisodeLog, update: int) -> Study:
    def material(anchor: str) -> Material:
        return replace(world.material(), anchor=world.store.open(anchor))

    return replay(course_of(log, world.name, update), log, world.name, material, lambda v: world.versions / v)


def weights(study: Study, root: Path) -> str:
    return versions.publish(root / "compared", study.material.model.save).id


def live(root: Path, sessions: list[list[int]], decide: Callable[[int], bool] = never) -> World:
    """Chats and updates in turns, one update for each session."""
    root.mkdir()
    world = World(root, gate=Decides(decide), config=replace(CONFIG, patience=9))
    with world.open_log() as log:
        for numbers in sessions:
            world.chat(log, *numbers)
            world.learn(log)
    return world


def test_a_run_is_made_again_bit_for_bit(tmp_path: Path):
    world = live(tmp_path / "a", [[1, 2, 3], [4, 5], [6, 7, 8]], lambda number: number != 2)
    with world.open_log() as log:
        study = make_again(world, log, 3)
        assert speaks_as(study, world.updater(log).study.material.model)
        assert weights(study, tmp_path) == weights(world.updater(log).study, tmp_path)
        assert log.count() == 16  # nothing was logged by it


def test_a_run_that_went_back_is_made_again_along_the_way_it_went(tmp_path: Path):
    world = live(tmp_path / "a", [[1, 2, 3], [4, 5, 6]], lambda number: True)
    promotions.rollback(world.versions, "champion", reason="test")
    with world.open_log() as log:
        world.chat(log, 7, 8, 9)
        world.learn(log)
        assert [plan.update for plan in course_of(log, world.name, 3).plans] == [1, 3]
        assert speaks_as(make_again(world, log, 3), world.updater(log).study.material.model)


def test_after_forgetting_the_weights_are_those_of_never_having_had_the_conversations(tmp_path: Path):
    """Against a run in which they never were: not a replay, but lived."""
    world = live(tmp_path / "with", [[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    without = live(tmp_path / "without", [[1, 2, 3], [4, 6], [7, 8, 9]])
    with world.open_log() as log, without.open_log() as other:
        unharmed = weights(make_again(world, log, 3), tmp_path)
        forget(log, ["chat-5"])
        made = weights(make_again(world, log, 3), tmp_path)
        assert made == weights(without.updater(other).study, tmp_path) != unharmed


def test_an_update_that_has_nothing_left_is_passed_over(tmp_path: Path):
    world = live(tmp_path / "with", [[1, 2, 3], [4, 5]])
    with world.open_log() as log:
        forget(log, ["chat-4", "chat-5"])
        assert weights(make_again(world, log, 2), tmp_path) == weights(make_again(world, log, 1), tmp_path)


def test_without_the_plans_nothing_is_made_up(tmp_path: Path):
    world = World(tmp_path)
    with world.open_log() as log, pytest.raises(Exception, match="holds no plan"):
        course_of(log, world.name, 1)
