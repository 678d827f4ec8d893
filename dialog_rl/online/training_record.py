"""What a run says of itself: a line of JSON an update, for curves, reports and whoever watches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from dialog_rl import durable
from dialog_rl.errors import ConfigError, TrainingError

METRICS = "metrics.jsonl"
LOCK = ".lock"
"""Held in a run's folder by the process that trains in it; the kernel lets go of it when that process dies."""
_NEVER = 1 << 62
_LOOKERS = 1.0
"""Seconds that whoever wants the lock waits: who looks whether it is held has it for an instant."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Be the one process that trains in a folder. Raises TrainingError if there is one already."""
    try:
        with durable.locked(folder / LOCK, timeout=_LOOKERS):
            yield
    except TimeoutError:
        raise TrainingError(f"{folder}: another process is training there") from None


def is_held(folder: Path) -> bool | None:
    """Whether a process trains there at this moment; None if no lock tells, or it is not ours to try."""
    if not (folder / LOCK).exists():
        return None
    try:
        with durable.locked(folder / LOCK, shared=True, timeout=0):
            return False
    except TimeoutError:
        return True
    except OSError:
        return None


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
    record = _record(line)
    return _NEVER if record is None else record["update"]


def _record(line: str | bytes) -> dict[str, Any] | None:
    """A line as a record with the number of its update; None for one that a crash cut off, or that is none."""
    try:
        found = json.loads(line)
        return {**found, "update": int(found["update"])}
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


class Tail:
    """A record that is read while it grows: every look reads only what was added since.

    A last line without its end is waited for. A run that was taken up again has cut its record: it is read anew then.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / METRICS
        self._offset = 0
        self._last = b""
        self.updates: list[dict[str, Any]] = []
        """In order, each once: an update that was made again stands where it stood, and those after it are gone."""
        self.unreadable = 0
        """Lines that are no record."""

    def look(self) -> list[dict[str, Any]]:
        """The records that are new or other than before. Raises ConfigError if the file cannot be read."""
        before = self.updates
        with durable.failing_as(ConfigError, f"{self._path}: cannot be read"):
            try:
                with self._path.open("rb") as file:
                    if not self._goes_on(file):
                        self._offset, self._last, self.updates, self.unreadable = 0, b"", [], 0
                    file.seek(self._offset)
                    added = file.read()
            except FileNotFoundError:
                return []
        if self.updates is not before:
            self._take_in(added)
            return [one for n, one in enumerate(self.updates) if n >= len(before) or one != before[n]]
        return self._take_in(added)

    def _goes_on(self, file: BinaryIO) -> bool:
        """Whether the line that was read last still stands where it stood."""
        file.seek(self._offset - len(self._last))
        return file.read(len(self._last)) == self._last

    def _take_in(self, added: bytes) -> list[dict[str, Any]]:
        whole = added[: added.rfind(b"\n") + 1]
        lines = whole.splitlines(keepends=True)
        if not lines:
            return []
        self._offset += len(whole)
        self._last = lines[-1]
        new: list[dict[str, Any]] = []
        for line in lines:
            record = _record(line)
            if record is None:
                self.unreadable += 1
                continue
            while self.updates and self.updates[-1]["update"] >= record["update"]:
                self.updates.pop()
            self.updates.append(record)
            new.append(record)
        return new
