"""Killed at every labelled point of publishing, promoting, checkpointing and clearing: old or new, never neither."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from dialog_rl import durable, faults
from dialog_rl.errors import CheckpointError
from dialog_rl.lm import checkpoints, journal, promotions, versions
from tests.crashing import every_crash_point
from tests.power_cut import RecordingDisk, lay_out


def fill(content: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for name in ("weights.bin", "optimizer.bin"):
            (folder / name).write_text(f"{name} {content}" * 20)

    return write


def fresh(tmp_path: Path) -> Callable[[], Path]:
    numbers = itertools.count()
    return lambda: tmp_path / f"store{next(numbers)}"


def test_publishing_leaves_a_whole_version_or_none(tmp_path: Path):
    stores = fresh(tmp_path)
    store = tmp_path

    def job():
        nonlocal store
        store = stores()
        versions.publish(store, fill("first"))
        return lambda: versions.publish(store, fill("second"))

    points = set()
    for spec in every_crash_point(job):
        points.add(spec)
        listed = versions.list_versions(store)
        assert 1 <= len(listed) <= 2, spec
        for manifest in listed:
            versions.verify(store / manifest.id)
        versions.publish(store, fill("second"))
        assert len(versions.list_versions(store)) == 2, spec
        assert not list(store.glob(f"{durable.ASIDE}*")), spec
    assert len(points) >= 8


def test_promoting_leaves_the_old_or_the_new_champion(tmp_path: Path):
    stores = fresh(tmp_path)
    store, old, new = tmp_path, "", ""

    def job():
        nonlocal store, old, new
        store = stores()
        old, new = (versions.publish(store, fill(c)).id for c in "ab")
        promotions.promote(store, "champion", old, reason="first")
        return lambda: promotions.promote(store, "champion", new, reason="second")

    for spec in every_crash_point(job):
        told = journal.standing(store)["champion"]
        assert told in (old, new) and versions.find([store], "champion").id == told, spec
        assert len(journal.read(store)) == (1 if told == old else 2), spec
        promotions.promote(store, "champion", old, reason="third")
        assert journal.standing(store)["champion"] == old, spec


def test_a_rollback_leaves_the_old_or_the_new_meaning_and_the_next_one_holds(tmp_path: Path):
    stores = fresh(tmp_path)
    store, first, second, third = tmp_path, "", "", ""

    def job():
        nonlocal store, first, second, third
        store = stores()
        first, second, third = (versions.publish(store, fill(name)).id for name in ("1", "2", "3"))
        for version in (first, second, third):
            promotions.promote(store, "champion", version, reason="r")
        return lambda: promotions.rollback(store, "champion", reason="bad")

    for spec in every_crash_point(job):
        told = journal.standing(store)["champion"]
        assert told in (second, third), spec
        promotions.rollback(store, "champion", reason="again")
        assert journal.standing(store)["champion"] == (second if told == third else first), spec


def test_checkpointing_always_leaves_a_valid_checkpoint(tmp_path: Path):
    stores = fresh(tmp_path)
    store = tmp_path

    def job():
        nonlocal store
        store = stores()
        for step in range(3):
            checkpoints.save(store, step, fill(str(step)), keep=2)
        return lambda: checkpoints.save(store, 3, fill("3"), keep=2)

    for spec in every_crash_point(job):
        found, rejected = checkpoints.latest_valid(store)
        assert found is not None and found.step in (2, 3) and not rejected, spec
        assert (found.path / "weights.bin").read_text().startswith(f"weights.bin {found.step}"), spec
        checkpoints.save(store, 3, fill("3"), keep=2)
        assert len(list(store.glob("0*"))) == 2 and not list(store.glob(f"{durable.ASIDE}*")), spec


def test_clearing_removes_a_version_whole_or_not_at_all(tmp_path: Path):
    stores = fresh(tmp_path)
    store, champion = tmp_path, ""

    def job():
        nonlocal store, champion
        store = stores()
        champion, *_ = (versions.publish(store, fill(c)).id for c in "abcd")
        promotions.promote(store, "champion", champion, reason="first")
        return lambda: promotions.clear(store, keep_last=1)

    for spec in every_crash_point(job):
        for manifest in versions.list_versions(store):
            versions.verify(store / manifest.id)
        assert versions.find([store], "champion").id == champion, spec
        promotions.clear(store, keep_last=1)
        assert not list(store.glob(f"{durable.ASIDE}*")), spec


def test_a_power_cut_while_checkpointing_leaves_a_valid_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = tmp_path / "store"
    checkpoints.save(store, 1, fill("1"))
    disk = RecordingDisk(store)
    monkeypatch.setattr(durable, "DISK", disk)
    checkpoints.save(store, 2, fill("2"))
    monkeypatch.undo()
    states = {repr(sorted(state.items())): state for moment in disk.moments for state in moment}
    assert len(states) > 20
    for state in states.values():
        found, rejected = checkpoints.latest_valid(lay_out(state, tmp_path / "after"))
        assert found is not None and not rejected
    for state in disk.moments[-1]:
        found, _ = checkpoints.latest_valid(lay_out(state, tmp_path / "after"))
        assert found is not None and found.step == 2


def test_a_full_disk_at_any_point_is_a_typed_error_and_loses_nothing(tmp_path: Path):
    store = tmp_path / "store"
    checkpoints.save(store, 1, fill("1"))
    faults.arm("")
    checkpoints.save(tmp_path / "other", 1, fill("1"))
    points = {label: times for label, times in faults.passed().items() if not label.endswith("published")}
    assert len(points) >= 6
    try:
        for label in points:
            faults.arm(f"{label}:1:enospc")
            try:
                checkpoints.save(store, 2, fill("2"), keep=2)
            except CheckpointError as e:
                assert "No space left" in str(e)
            faults.disarm()
            found, rejected = checkpoints.latest_valid(store)
            assert found is not None and not rejected, label
    finally:
        faults.disarm()
    checkpoints.save(store, 3, fill("3"))
    found, _ = checkpoints.latest_valid(store)
    assert found is not None and found.step == 3
