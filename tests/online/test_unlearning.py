"""What was forgotten is in no weights, no checkpoint and no version; and it may be cut off anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dialog_rl import faults
from dialog_rl.bench.rehearsal import CONFIG, Decides, World
from dialog_rl.episode_log.forgetting import forget
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.lm import journal, versions
from dialog_rl.online.study import Material
from dialog_rl.online.unlearning import Unlearnt, own_words, unlearn


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Three updates, of which the second and the third became champion."""
    world = World(tmp_path / "with", gate=Decides(lambda number: number > 1), config=replace(CONFIG, patience=9))
    with world.open_log() as log:
        for numbers in ([1, 2, 3], [4, 5, 6], [7, 8, 9]):
            world.chat(log, *numbers)
            world.learn(log)
    return world


@pytest.fixture
def log(world: World) -> Iterator[EpisodeLog]:
    with world.open_log() as opened:
        yield opened


def heed(world: World, log: EpisodeLog) -> Unlearnt:
    def material(anchor: str) -> Material:
        return replace(world.material(), anchor=world.store.open(anchor))

    return unlearn(world.folder, world.versions, log, material, fence=1)


def forgotten(world: World, log: EpisodeLog, *names: str) -> Unlearnt:
    found = forget(log, names)
    forget(log, own_words(log, world.name, found))
    return heed(world, log)


def everything(world: World) -> bytes:
    return b"\n".join(path.read_bytes() for path in sorted(world.root.rglob("*")) if path.is_file())


def test_versions_that_knew_are_gone_and_the_last_that_did_not_speaks(world: World, log: EpisodeLog):
    second, third = world.store.champions()[-2:]
    done = forgotten(world, log, "chat-8")
    assert done.since == 3 and done.removed == (third,) and done.version not in ("", third)
    assert world.store.standing("champion") == second and not (world.versions / third).exists()
    versions.verify(world.versions / done.version)


def test_learning_goes_on_from_weights_that_never_knew(world: World, log: EpisodeLog):
    done = forgotten(world, log, "chat-5")
    one = world.updater(log)
    assert done.since == 2 and versions.publish(world.root / "x", one.study.material.model.save).id == done.version
    assert one.course.champion == world.first == world.store.standing("champion")
    world.chat(log, 10, 11, 12)
    (report,) = world.learn(log)
    assert report.record.update == 4 and report.verdict.promoted


def test_its_name_is_nowhere_on_disk(world: World, log: EpisodeLog):
    assert b"chat-5" in everything(world)
    forgotten(world, log, "chat-5")
    assert b"chat-5" not in everything(world)


def test_what_nobody_had_learnt_from_changes_no_weights(world: World, log: EpisodeLog):
    world.chat(log, 20)
    before = world.updater(log)
    champion = world.store.standing("champion")
    before.follow()
    done = forgotten(world, log, "chat-20")
    assert done == Unlearnt() and world.store.standing("champion") == champion
    assert "chat-20" not in world.updater(log).ledger.waiting


def test_a_version_in_use_is_told_of_and_goes_later(world: World, log: EpisodeLog):
    from dialog_rl.lm import promotions

    third = world.store.standing("champion")
    with promotions.pinned(versions.verify(world.versions / third)):
        assert forgotten(world, log, "chat-8").in_use == (third,)
    assert heed(world, log).removed == (third,)


@pytest.mark.parametrize("label", ["log.forget.committed", "unlearning.made_again", "unlearning.committed"])
def test_cut_off_anywhere_it_is_done_when_asked_again(world: World, log: EpisodeLog, label: str):
    faults.arm(f"{label}:1:raise")
    try:
        with pytest.raises(faults.InjectedFault):
            forgotten(world, log, "chat-5")
    finally:
        faults.disarm()
    forgotten(world, log, *(["chat-5"] if "chat-5" in log else []))
    assert b"chat-5" not in everything(world)
    assert world.store.standing("champion") == world.first
    assert len(journal.read(world.versions)) > 0
    one = world.updater(log)
    made = versions.publish(world.root / "x", one.study.material.model.save).id
    assert (world.versions / made).exists()
