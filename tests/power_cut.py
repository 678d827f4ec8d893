"""A disk that remembers what was made durable, and every state that a power cut may leave of it.

The model is the weakest that file systems promise: a file's content is durable once it was synced, a name (a creation
or a rename) once its directory was synced after. What was not made durable may be there or not, each independently; an
unsynced content may also be empty, cut off in the middle, or end in zeros. Renames replace atomically.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dialog_rl import durable


@dataclass
class Entry:
    """One name in a directory: what it means durably, and what it would mean if the directory were synced."""

    durable: int | None = None
    now: int | None = None


@dataclass
class Node:
    """A file's content, or a directory's entries."""

    is_dir: bool
    synced: bytes | None = None
    """None: never synced."""
    now: bytes = b""
    entries: dict[str, Entry] = field(default_factory=dict)


class RecordingDisk(durable.Disk):
    """Follows the real disk below `root`, and after every call keeps all states that a power cut could leave."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.nodes: list[Node] = [Node(is_dir=True)]
        self.moments: list[list[dict[str, bytes | None]]] = []
        self._notice(root, 0)
        self._settle(0)

    def write(self, path: Path, content: bytes) -> None:
        super().write(path, content)
        self._took_place()

    def append(self, path: Path, content: bytes) -> None:
        super().append(path, content)
        self._took_place()

    def truncate(self, path: Path, size: int) -> None:
        super().truncate(path, size)
        self._took_place()

    def sync(self, path: Path) -> None:
        super().sync(path)
        self._notice(self.root, 0)
        node = self.nodes[self._number(path)]
        node.synced = node.now
        for entry in node.entries.values():
            entry.durable = entry.now
        self._took_place()

    def rename(self, source: Path, target: Path) -> None:
        self._notice(self.root, 0)
        number = self._number(source)
        super().rename(source, target)
        self.nodes[self._number(source.parent)].entries[source.name].now = None
        self.nodes[self._number(target.parent)].entries.setdefault(target.name, Entry()).now = number
        self._took_place()

    def _took_place(self) -> None:
        self._notice(self.root, 0)
        self.moments.append(list(self._states(0, "")))

    def _number(self, path: Path) -> int:
        number = 0
        for name in path.relative_to(self.root).parts:
            found = self.nodes[number].entries[name].now
            assert found is not None, path
            number = found
        return number

    def _notice(self, path: Path, number: int) -> None:
        """Take in what was done behind the recorder's back: files filled in, directories made, things removed."""
        node = self.nodes[number]
        if not node.is_dir:
            node.now = path.read_bytes()
            return
        present = {child.name: child for child in path.iterdir()}
        for name, entry in node.entries.items():
            if name not in present:
                entry.now = None
        for name, child in present.items():
            entry = node.entries.setdefault(name, Entry())
            if entry.now is None or self.nodes[entry.now].is_dir != child.is_dir():
                self.nodes.append(Node(is_dir=child.is_dir()))
                entry.now = len(self.nodes) - 1
            self._notice(child, entry.now)

    def _settle(self, number: int) -> None:
        """What was there at the start is durable."""
        node = self.nodes[number]
        node.synced = node.now
        for entry in node.entries.values():
            entry.durable = entry.now
            if entry.now is not None:
                self._settle(entry.now)

    def _states(self, number: int, prefix: str) -> Iterator[dict[str, bytes | None]]:
        """All states of one node as flat maps: path → content, or None for a directory."""
        node = self.nodes[number]
        if not node.is_dir:
            for content in _contents(node):
                yield {prefix: content}
            return
        per_entry = []
        for name, entry in sorted(node.entries.items()):
            states: list[dict[str, bytes | None]] = []
            for child in dict.fromkeys((entry.durable, entry.now)):
                states += [{}] if child is None else list(self._states(child, f"{prefix}/{name}"))
            per_entry.append(states)
        for chosen in itertools.product(*per_entry):
            state: dict[str, bytes | None] = {prefix: None}
            for part in chosen:
                state |= part
            yield state


def _contents(node: Node) -> set[bytes]:
    synced = node.synced if node.synced is not None else b""
    if synced == node.now:
        return {node.now}
    written = max(len(node.now) - len(synced), 0)
    cut = node.now[: len(node.now) - written // 2]
    return {node.now, synced, cut, cut + b"\x00" * (len(node.now) - len(cut))}


def lay_out(state: dict[str, bytes | None], root: Path) -> Path:
    """Make a state real in an empty directory."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for path, content in sorted(state.items()):
        place = root / path.lstrip("/")
        if content is None:
            place.mkdir(exist_ok=True)
        else:
            place.write_bytes(content)
    return root
