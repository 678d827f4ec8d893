"""Which version may speak: aliases moved by journal, versions pinned by those who serve them, the rest cleared away."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dialog_rl import durable
from dialog_rl.errors import CheckpointError
from dialog_rl.faults import fp
from dialog_rl.lm import journal, shared, versions
from dialog_rl.lm.adapters import BASE_FILE, read_facts
from dialog_rl.lm.journal import ANCHOR, CANDIDATE

logger = logging.getLogger(__name__)

_PINS = ".pins"
_GATE_LOCK = ".gates.lock"


def promote(
    root: Path,
    alias: str,
    version_id: str,
    *,
    reason: str,
    evidence: Mapping[str, Any] | None = None,
    by: str = "",
) -> journal.Promotion:
    """Let an alias mean a version of this store, after verifying it. Raises CheckpointError; then nothing changed."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,63}", alias):
        raise CheckpointError(f"{alias!r} is not an alias: lower-case letters, digits and '-'")
    # locked, so that it is not cleared away in between
    with durable.failing_as(CheckpointError, f"{root}: cannot promote"), durable.locked(root / versions.LOCK):
        found = versions.verify(root / version_id)
        if found.id != version_id:
            raise CheckpointError(f"{found.path}: holds version {found.id}")
        fp("promotions.verified")
        return journal.record(root, alias, version_id, reason=reason, evidence=evidence, by=by)


def withdraw(root: Path, alias: str, *, reason: str, by: str = "") -> journal.Promotion:
    """Let an alias mean nothing any more."""
    return journal.record(root, alias, "", reason=reason, by=by)


def submit(root: Path, version_id: str, *, by: str = "") -> int:
    """Let `candidate` mean a version, and return the number of the gate that it is about to meet.

    Gates are counted from 1 since the anchor was last moved. One counts from here on, whatever becomes of it: what a
    gate may err by is spent when it begins.
    """
    with durable.failing_as(CheckpointError, f"{root}: cannot submit"), durable.locked(root / _GATE_LOCK):
        number = _gates(root) + 1
        promote(root, CANDIDATE, version_id, reason=f"gate {number} begins", evidence={"gate": number}, by=by)
    return number


def reject(
    root: Path, version_id: str, *, reason: str, evidence: Mapping[str, Any] | None = None, by: str = ""
) -> journal.Promotion:
    """Record that a version did not pass, and why; no alias moves."""
    return journal.record(
        root, CANDIDATE, version_id, reason=reason, evidence=evidence, by=by, event=journal.Event.REJECTED
    )


def veto(root: Path, version_id: str, *, reason: str, by: str = "") -> tuple[journal.Promotion, ...]:
    """Forbid that an alias means a version. Those that do are rolled back; the lines are returned."""
    made = [journal.record(root, "", version_id, reason=reason, by=by, event=journal.Event.VETOED)]
    for alias, version in journal.standing(root).items():
        if version == version_id:
            made.append(rollback(root, alias, reason=f"vetoed: {reason}", by=by))
    return tuple(made)


def allow(root: Path, version_id: str, *, reason: str, by: str = "") -> journal.Promotion:
    """Lift a veto."""
    return journal.record(root, "", version_id, reason=reason, by=by, event=journal.Event.ALLOWED)


def rollback(
    root: Path, alias: str, *, reason: str, evidence: Mapping[str, Any] | None = None, by: str = ""
) -> journal.Promotion:
    """Let an alias mean what it meant before: the latest that verifies and is not vetoed.

    If this store has none, the alias means nothing here any more, and so what was shipped under its name. Raises
    CheckpointError if it means nothing already.
    """
    with durable.failing_as(CheckpointError, f"{root}: cannot roll back"), durable.locked(root / versions.LOCK):
        if alias not in journal.standing(root):
            raise CheckpointError(f"{root}: '{alias}' means no version here, so there is nothing to roll back")
        target = next((version for version in _earlier(root, alias) if _is_sound(root / version)), "")
        return journal.record(
            root, alias, target, reason=reason, evidence=evidence, by=by, event=journal.Event.ROLLED_BACK
        )


def previous(root: Path, alias: str) -> str:
    """The version that an alias meant before it meant what it means: where a rollback goes. Empty if there is none."""
    return next(iter(_earlier(root, alias)), "")


def _earlier(root: Path, alias: str) -> tuple[str, ...]:
    """What an alias meant before, latest first; neither what is vetoed nor what it was rolled back from."""
    meant: list[str] = []
    for promotion in journal.read(root):
        if promotion.alias == alias and promotion.event is journal.Event.ROLLED_BACK:
            while meant and meant[-1] != promotion.version:
                meant.pop()
        if promotion.alias == alias and promotion.event.moves:
            meant.append(promotion.version)
    forbidden = journal.vetoed(root)
    return tuple(v for v in dict.fromkeys(reversed(meant)) if v and v != meant[-1] and v not in forbidden)


def _is_sound(folder: Path) -> bool:
    try:
        versions.verify(folder)
    except CheckpointError as e:
        logger.warning("%s; passed over", e)
        return False
    return True


def _gates(root: Path) -> int:
    """Gates begun since the anchor was last moved."""
    count = 0
    for promotion in journal.read(root):
        if promotion.alias == ANCHOR and promotion.event.moves:
            count = 0
        elif promotion.alias == CANDIDATE and promotion.event.moves and "gate" in promotion.evidence:
            count += 1
    return count


def share(root: Path, url: str) -> None:
    """Make a store the copy of what is at an URL from here on: what it has is handed on, what it lacks taken over.

    Raises CheckpointError if the two have different histories, ConfigError if the URL cannot be read.
    """
    file = root / shared.ORIGIN
    if file.is_file() and file.read_text(encoding="utf-8").strip() == url:
        return
    origin = shared.Shared(url)
    with durable.failing_as(CheckpointError, f"{root}: cannot be shared"):
        root.mkdir(parents=True, exist_ok=True)
        with durable.locked(root / versions.LOCK):
            for manifest in versions.list_versions(root):
                origin.put(root / manifest.id, versions.MANIFEST)
            journal.hand_on(root, origin)
            durable.write_file(file, url.encode())
    refresh(root)


def refresh(root: Path) -> None:
    """Bring a copy up to date with what is shared: its aliases, their versions, and what was removed for good.

    What an alias means is there before the alias means it here.
    """
    if (origin := shared.of(root)) is None:
        return
    with durable.failing_as(CheckpointError, f"{root}: cannot refresh"), durable.locked(root / versions.LOCK):
        found = journal.look_ahead(root, origin)
        for version_id in journal.meant_by(found).values():
            _bring(root, version_id, origin)
        journal.take_up(root, found)
        for manifest in versions.list_versions(root):
            if not origin.has(manifest.id, versions.MANIFEST):
                _remove_unpinned(root, manifest.id)


def _bring(root: Path, version_id: str, origin: shared.Shared) -> None:
    """A version, and the one that it lies beside, if it is an adapter's."""
    if not (root / version_id / versions.MANIFEST).exists():
        versions.take_over(root, version_id, origin)
    base = _base_of(root / version_id)
    if base and origin.has(base, versions.MANIFEST):
        _bring(root, base, origin)


@contextmanager
def pinned(version: versions.Version) -> Iterator[versions.Version]:
    """Keep a version from being cleared away while the block runs; the kernel lets go if the process dies.

    What was shipped, or lies in a store that cannot be written to, needs no pin. Raises CheckpointError if the version
    has just gone.
    """
    root = version.path.parent
    if root == versions.EMBEDDED or not os.access(root, os.W_OK):
        yield version
        return
    with durable.locked(root / _PINS / version.path.name, shared=True):
        if not (version.path / versions.MANIFEST).exists():
            raise CheckpointError(f"{version.path}: cleared away before it could be pinned; look the name up again")
        yield version


def clear(root: Path, *, keep: Collection[str] = (), keep_last: int = 3) -> tuple[str, ...]:
    """Remove versions that nothing needs, and return their ids.

    Never one that an alias means, that someone has pinned, that `keep` names, that is among the `keep_last` newest, or
    that is among the `keep_last` an alias meant last: those are what a rollback goes to. Nor one that the adapter of
    any of these lies beside.
    """
    with durable.failing_as(CheckpointError, f"{root}: cannot clear away"), durable.locked(root / versions.LOCK):
        durable.sweep(root)
        gone = tuple(v for v in unneeded(root, keep=keep, keep_last=keep_last) if _remove_unpinned(root, v))
        if (origin := shared.of(root)) is not None:
            for version_id in gone:
                origin.remove(version_id, versions.MANIFEST)  # whoever has pinned it elsewhere has a copy
        return gone


def remove(root: Path, version_id: str) -> bool:
    """Remove a version for good, whoever may still need it; False if a process has pinned it, which must let go first.

    Raises CheckpointError for one that an alias means.
    """
    if version_id in journal.standing(root).values():
        raise CheckpointError(f"version {version_id} is meant by an alias; let that mean another one first")
    with durable.failing_as(CheckpointError, f"{root}: cannot remove"), durable.locked(root / versions.LOCK):
        if (origin := shared.of(root)) is not None:
            origin.remove(version_id, versions.MANIFEST)
        return not (root / version_id).exists() or _remove_unpinned(root, version_id)


def unneeded(root: Path, *, keep: Collection[str] = (), keep_last: int = 3) -> tuple[str, ...]:
    """The versions that `clear` would remove, but for those that someone has pinned; oldest first."""
    needed = {*keep, *journal.standing(root).values(), *_meant_last(root, keep_last)}
    present = [manifest.id for manifest in versions.list_versions(root)]
    spared = {v for v in present if v in needed} | set(present[max(0, len(present) - keep_last) :])
    spared |= {base for v in spared if (base := _base_of(root / v))}
    return tuple(v for v in present if v not in spared)


def _base_of(folder: Path) -> str:
    """The version beside which an adapter's lies; empty for one that stands alone."""
    return read_facts(folder)[1].id if (folder / BASE_FILE).is_file() else ""


def _meant_last(root: Path, count: int) -> set[str]:
    """The last `count` different versions of every alias."""
    by_alias: dict[str, dict[str, None]] = {}
    for promotion in reversed(journal.read(root)):
        if promotion.version and promotion.event.moves:
            by_alias.setdefault(promotion.alias, {}).setdefault(promotion.version)
    return {version for meant in by_alias.values() for version in list(meant)[:count]}


def _remove_unpinned(root: Path, version_id: str) -> bool:
    try:
        with durable.locked(root / _PINS / version_id, timeout=0):
            durable.remove_tree(root / version_id)
            fp("promotions.cleared")
    except TimeoutError:
        return False
    return True
