"""What a run says of itself: a line of JSON an update, for curves, reports and whoever watches."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

METRICS = "metrics.jsonl"
_NEVER = 1 << 62


def append(folder: Path, progress: Mapping[str, Any]) -> None:
    """Add an update's record; it has its number under "update"."""
    with (folder / METRICS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(progress) + "\n")


def cut(folder: Path, updates: int) -> None:
    """Drop the records of updates after the checkpoint: they are about to be made again."""
    path = folder / METRICS
    if path.is_file():
        kept = [line for line in path.read_text(encoding="utf-8").splitlines() if _update_of(line) <= updates]
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


def read(folder: Path) -> list[dict[str, Any]]:
    """A run's record, one mapping an update."""
    path = folder / METRICS
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines if _update_of(line) < _NEVER]


def _update_of(line: str) -> int:
    """The update that a record is about; a line that a crash cut off belongs to none."""
    try:
        return int(json.loads(line)["update"])
    except (ValueError, KeyError):
        return _NEVER
