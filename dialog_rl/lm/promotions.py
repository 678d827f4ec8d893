"""Which version may speak: aliases moved by journal, versions pinned by those who serve them, the rest cleared away."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dialog_rl import durable
from dialog_rl.errors import CheckpointError
from dialog_rl.faults import fp
from dialog_rl.lm import journal, versions

CHAMPION = "champion"
"""The version that speaks."""
CANDIDATE = "candidate"
"""The version that the gate is testing, or tested last."""
ANCHOR = "anchor"
"""The frozen version that no promotion may fall below."""
_PINS = ".pins"


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


def previous(root: Path, alias: str) -> str:
    """The version that an alias meant before it meant what it means: where a rollback goes. Empty if there is none."""
    meant = [p.version for p in journal.read(root) if p.alias == alias]
    return next((version for version in reversed(meant) if version and version != meant[-1]), "")


@contextmanager
def pinned(version: versions.Version) -> Iterator[versions.Version]:
    """Keep a version from being cleared away while the block runs; the kernel lets go if the process dies.

    A store that cannot be written to (one that was shipped) needs no pin. Raises CheckpointError if it has just gone.
    """
    root = version.path.parent
    if not os.access(root, os.W_OK):
        yield version
        return
    with durable.locked(root / _PINS / version.path.name, shared=True):
        if not (version.path / versions.MANIFEST).exists():
            raise CheckpointError(f"{version.path}: cleared away before it could be pinned; look the name up again")
        yield version


def clear(root: Path, *, keep: Collection[str] = (), keep_last: int = 3) -> tuple[str, ...]:
    """Remove versions that nothing needs, and return their ids.

    Never one that an alias means, that someone has pinned, that `keep` names, that is among the `keep_last` newest, or
    that is among the `keep_last` an alias meant last: those are what a rollback goes to.
    """
    removed: list[str] = []
    with durable.failing_as(CheckpointError, f"{root}: cannot clear away"), durable.locked(root / versions.LOCK):
        durable.sweep(root)
        needed = {*keep, *journal.standing(root).values(), *_meant_last(root, keep_last)}
        present = [manifest.id for manifest in versions.list_versions(root)]
        for version_id in present[: max(0, len(present) - keep_last)]:
            if version_id not in needed and _remove_unpinned(root, version_id):
                removed.append(version_id)
    return tuple(removed)


def _meant_last(root: Path, count: int) -> set[str]:
    """The last `count` different versions of every alias."""
    by_alias: dict[str, dict[str, None]] = {}
    for promotion in reversed(journal.read(root)):
        if promotion.version:
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
