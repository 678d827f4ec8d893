"""The checkpoints of one training run: weights, optimizer, random state and cursor, real by one rename.

What was trained and how far it got cannot come apart, because they are one directory with one manifest. Resuming takes
the latest that verifies, and says why it passed over any that did not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from dialog_rl import durable
from dialog_rl.errors import CheckpointError
from dialog_rl.faults import fp
from dialog_rl.lm import versions

_NAME = re.compile(r"(\d{8})-([0-9a-f]{16})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    step: int
    version: versions.Version

    @property
    def path(self) -> Path:
        return self.version.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A checkpoint that did not verify."""

    path: Path
    reason: str


def save(
    folder: Path, step: int, fill: versions.Fill, origin: versions.Origin = versions.UNTOLD, *, keep: int = 3
) -> Checkpoint:
    """Publish the state after `step`, and remove all but the `keep` latest.

    Checkpoints of later steps belong to a course that this one has left, and go as well. Raises CheckpointError, and
    then every earlier checkpoint is still there.
    """
    if step < 0 or keep < 1:
        raise ValueError(f"step {step} and keep {keep}: a step counts from 0, and at least one checkpoint is kept")
    present = _folders(folder)
    expected = _size_of(present[-1]) if present else 0
    version = versions.publish_as(
        folder, fill, origin, name=lambda version_id: f"{step:08d}-{version_id}", expected_bytes=expected
    )
    with durable.failing_as(CheckpointError, f"{folder}: saved step {step}, but cannot remove earlier checkpoints"):
        fp("checkpoints.saved")
        _prune(folder, step=step, made=version.path, keep=keep)
    return Checkpoint(step=step, version=version)


def latest_valid(folder: Path) -> tuple[Checkpoint | None, tuple[Rejected, ...]]:
    """The latest checkpoint that verifies, and the later ones that do not with the reason; None if there is none."""
    rejected: list[Rejected] = []
    for path in reversed(_folders(folder)):
        try:
            return Checkpoint(step=_step_of(path), version=versions.verify(path)), tuple(rejected)
        except CheckpointError as e:
            rejected.append(Rejected(path=path, reason=str(e)))
    return None, tuple(rejected)


def _prune(folder: Path, *, step: int, made: Path, keep: int) -> None:
    with durable.locked(folder / versions.LOCK):
        others = [path for path in _folders(folder) if path != made]
        earlier = [path for path in others if _step_of(path) < step]
        kept = earlier[max(0, len(earlier) - (keep - 1)) :]
        for path in others:
            if path not in kept:
                durable.remove_tree(path)
                fp("checkpoints.pruned")


def _folders(folder: Path) -> list[Path]:
    """Checkpoint directories, earliest first."""
    return sorted(path for path in folder.glob("*") if _NAME.fullmatch(path.name) and path.is_dir())


def _step_of(path: Path) -> int:
    return int(path.name[:8])


def _size_of(path: Path) -> int:
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
