"""Checkpoints of a run: the latest that is whole is resumed from, whatever happened to the others."""

from __future__ import annotations

from pathlib import Path

from dialog_rl.lm import checkpoints


def state(step: int):
    return lambda folder: (folder / "weights.bin").write_bytes(b"%d" % step * 50)


def steps(folder: Path) -> list[int]:
    return sorted(int(p.name[:8]) for p in folder.iterdir() if not p.name.startswith("."))


def test_the_latest_checkpoint_is_found_and_only_the_last_few_are_kept(tmp_path: Path):
    for step in range(5):
        checkpoints.save(tmp_path, step, state(step), keep=2)
    found, rejected = checkpoints.latest_valid(tmp_path)
    assert found is not None and found.step == 4 and not rejected
    assert (found.path / "weights.bin").read_bytes() == b"4" * 50
    assert steps(tmp_path) == [3, 4]


def test_as_many_are_kept_as_asked_for(tmp_path: Path):
    for step in range(6):
        checkpoints.save(tmp_path, step, state(step), keep=4)
        assert len(steps(tmp_path)) == min(step + 1, 4)


def test_a_corrupted_checkpoint_is_passed_over_with_its_reason(tmp_path: Path):
    for step in range(3):
        checkpoints.save(tmp_path, step, state(step))
    bad = next(tmp_path.glob("00000002-*"))
    (bad / "weights.bin").write_bytes(b"")
    found, rejected = checkpoints.latest_valid(tmp_path)
    assert found is not None and found.step == 1
    assert [r.path for r in rejected] == [bad] and "weights.bin: altered" in rejected[0].reason


def test_a_corrupted_checkpoint_can_be_made_again_under_its_name(tmp_path: Path):
    checkpoints.save(tmp_path, 1, state(1))
    made = checkpoints.save(tmp_path, 2, state(2))
    (made.path / "weights.bin").write_bytes(b"rotten")
    checkpoints.save(tmp_path, 2, state(2))
    found, rejected = checkpoints.latest_valid(tmp_path)
    assert found is not None and found.step == 2 and not rejected


def test_no_checkpoint_at_all_is_none(tmp_path: Path):
    assert checkpoints.latest_valid(tmp_path / "absent") == (None, ())


def test_going_on_from_an_earlier_step_drops_the_abandoned_later_ones(tmp_path: Path):
    for step in range(4):
        checkpoints.save(tmp_path, step, state(step), keep=9)
    checkpoints.save(tmp_path, 2, state(77), keep=9)
    found, _ = checkpoints.latest_valid(tmp_path)
    assert found is not None and found.step == 2 and (found.path / "weights.bin").read_bytes() == b"77" * 50
    assert steps(tmp_path) == [0, 1, 2]
