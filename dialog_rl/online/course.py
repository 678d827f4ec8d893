"""Where a run of the updater stands, and the training states it can go on from: on disk, each real by one rename."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dialog_rl.errors import CheckpointError
from dialog_rl.lm import checkpoints, versions

STATE = "updater.json"
FORMAT = 1
CHECKPOINTS, HOMES = "checkpoints", "promoted"
_CHECKPOINTS_KEPT = 2
_HOMES_KEPT = 4
"""Training states of promoted versions: those a rollback goes back to."""


@dataclass(slots=True, kw_only=True)
class Course:
    """Where learning stands, beside tensors and ledger. Plain JSON values."""

    update: int = 0
    """The last one that was committed."""
    start: str = "update:0"
    """The training state in memory: `update:N`, or `version:ID` for a version's weights and nothing else."""
    champion: str = ""
    """The version that this run takes for the champion."""
    homes: dict[str, str] = field(default_factory=dict[str, str])
    """Version → the training state it was published from."""
    refused: int = 0
    """Candidates refused in a row."""
    settled: int = 0
    """The last update whose verdict this course has taken in for good; of a later one it is taken in again."""
    cursor: int = 0
    """Up to where the log was taken in for the last update."""
    heeded: int = 0
    """Sequence number of the last event of forgetting that these weights were made without."""
    record: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Of the last update."""

    def made_champion(self, version: str) -> int | None:
        """The update that made a version; None if it is none of this run's."""
        home = self.homes.get(version)
        return int(home.removeprefix("update:")) if home is not None else None


class TrainingStates:
    """The checkpoints of a run, and beside them the states that champions were published from."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def latest(self) -> tuple[checkpoints.Checkpoint | None, tuple[checkpoints.Rejected, ...]]:
        """The latest valid checkpoint, and those passed over. Raises CheckpointError if there are only invalid ones."""
        found, rejected = checkpoints.latest_valid(self._folder / CHECKPOINTS)
        if found is None and rejected:
            raise CheckpointError(f"{rejected[0].reason}; and no earlier checkpoint of {self._folder} is valid")
        return found, rejected

    def commit(self, update: int, fill: versions.Fill, origin: versions.Origin) -> None:
        checkpoints.save(self._folder / CHECKPOINTS, update, fill, origin, keep=_CHECKPOINTS_KEPT)

    def keep(self, update: int, fill: versions.Fill, origin: versions.Origin) -> None:
        """Keep the state of an update as one to come back to, once."""
        if not any((self._folder / HOMES).glob(f"{update:08d}-*")):
            checkpoints.save(self._folder / HOMES, update, fill, origin, keep=_HOMES_KEPT)

    def home(self, course: Course) -> str:
        """The state that the champion was published from or, if that is no longer kept, the champion alone."""
        home = course.homes.get(course.champion, "")
        return home if home and self._place_of(home) is not None else f"version:{course.champion}"

    def find(self, start: str) -> Path:
        """The verified folder of a state `update:N`. Raises CheckpointError."""
        found = self._place_of(start)
        if found is None:
            raise CheckpointError(f"{self._folder}: the training state {start} is no longer kept")
        return versions.verify(found).path

    def _place_of(self, start: str) -> Path | None:
        number = int(start.removeprefix("update:"))
        places = (self._folder / CHECKPOINTS, self._folder / HOMES)
        return next((found for place in places for found in sorted(place.glob(f"{number:08d}-*"))), None)


def read_state(folder: Path) -> dict[str, Any]:
    """What a checkpoint holds beside the tensors. Raises CheckpointError."""
    path = folder / STATE
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise CheckpointError(f"{path}: cannot be read: {e}") from e
    if state.get("format") != FORMAT:
        raise CheckpointError(f"{path}: of format {state.get('format')!r}; this program reads {FORMAT}")
    return state


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    (folder / STATE).write_text(json.dumps({"format": FORMAT, **state}), encoding="utf-8")
