"""The promotion journal of a store: which version each alias means is what its last line that moves the alias says.

One append is the whole of a promotion, so the alias and the record of it cannot come apart, and nothing is ever lost.
What a gate rejected and what a person vetoed stands in the same journal, and moves nothing.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from dialog_rl import durable
from dialog_rl.errors import CheckpointError
from dialog_rl.lm import shared

CHAMPION = "champion"
"""The version that speaks."""
CANDIDATE = "candidate"
"""The version that the gate is testing, or tested last."""
ANCHOR = "anchor"
"""The frozen version that no promotion may fall below."""
JOURNAL = "promotions.jsonl"
LOCK = ".promotions.lock"


class Event(StrEnum):
    """What a line tells of its version."""

    PROMOTED = "promoted"
    """The alias means it from here on."""
    ROLLED_BACK = "rolled_back"
    """The alias means it again, because what it meant meanwhile was not good."""
    REJECTED = "rejected"
    """The gate tested it, and did not let it pass."""
    VETOED = "vetoed"
    """A person forbids that any alias means it."""
    ALLOWED = "allowed"
    """The veto is lifted."""

    @property
    def moves(self) -> bool:
        """Whether an alias means something else after it."""
        return self in (Event.PROMOTED, Event.ROLLED_BACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """One line: what happened to a version, and to the alias that means it from here on."""

    number: int
    """From 1, without gaps: a line that was altered or lost shows."""
    alias: str
    """Empty in a veto, which concerns all of them."""
    version: str
    """Empty: the alias means nothing any more."""
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """What the decision rests on, as the gate measured it."""
    by: str = ""
    at: float = 0.0
    """Seconds since the epoch; for people, never for ordering."""
    event: Event = Event.PROMOTED
    """Not written where it is a promotion."""


def read(root: Path) -> tuple[Promotion, ...]:
    """All promotions of a store, oldest first. Raises CheckpointError that names a line which is not as written."""
    path = root / JOURNAL
    with durable.failing_as(CheckpointError, f"{path}: cannot be read"):
        lines = durable.lines(path)
    return tuple(_parse(line, number, path) for number, line in enumerate(lines, 1))


def standing(root: Path) -> dict[str, str]:
    """The version that each alias means."""
    return meant_by(read(root))


def meant_by(promotions: Iterable[Promotion]) -> dict[str, str]:
    """The version that each alias means after some promotions."""
    meant = {promotion.alias: promotion.version for promotion in promotions if promotion.event.moves}
    return {alias: version for alias, version in meant.items() if version}


def vetoed(root: Path) -> dict[str, str]:
    """Versions that a person has forbidden, with the reason."""
    return _vetoed(read(root))


def record(
    root: Path,
    alias: str,
    version: str,
    *,
    reason: str,
    evidence: Mapping[str, Any] | None = None,
    by: str = "",
    event: Event = Event.PROMOTED,
) -> Promotion:
    """Append one line; it holds once this returns. Says nothing about whether the version exists.

    Raises CheckpointError, and writes nothing, if an alias were to mean a version that is vetoed.
    """

    def made(so_far: Sequence[Promotion]) -> Promotion:
        forbidden = _vetoed(so_far)
        if event.moves and version in forbidden:
            raise CheckpointError(f"version {version} is vetoed: {forbidden[version]}")
        return Promotion(
            number=len(so_far) + 1, alias=alias, version=version, reason=reason,
            evidence=evidence or {}, by=by, at=time.time(), event=event,
        )  # fmt: skip

    path = root / JOURNAL
    with durable.failing_as(CheckpointError, f"{path}: cannot be written"), durable.locked(root / LOCK):
        origin = shared.of(root)
        promotion = made(_caught_up(root, origin))
        while origin is not None and not origin.add_line(promotion.number, _line(promotion)):
            promotion = made(_caught_up(root, origin))  # another machine was first
        durable.append_line(path, _line(promotion))
    return promotion


def take_up(root: Path, found: Sequence[Promotion]) -> None:
    """Record here, where it is not yet, what `look_ahead` has found."""
    with durable.failing_as(CheckpointError, f"{root / JOURNAL}: cannot be written"), durable.locked(root / LOCK):
        for promotion in found[len(read(root)) :]:
            durable.append_line(root / JOURNAL, _line(promotion))


def look_ahead(root: Path, origin: shared.Shared) -> tuple[Promotion, ...]:
    """All promotions that there are by now where a store is shared, without recording any of them here."""
    so_far = read(root)
    lines = enumerate(origin.lines(len(so_far)), len(so_far) + 1)
    return (*so_far, *(_parse(line, number, root / JOURNAL) for number, line in lines))


def hand_on(root: Path, origin: shared.Shared) -> None:
    """Record there what is recorded here. Raises CheckpointError if something else is."""
    for promotion in read(root):
        if not origin.add_line(promotion.number, _line(promotion)):
            there = next(origin.lines(promotion.number - 1))
            if there != _line(promotion):
                raise CheckpointError(
                    f"{origin.url}: has another history than {root}, from promotion {promotion.number} on; "
                    "share it with an empty store"
                )


def _caught_up(root: Path, origin: shared.Shared | None) -> tuple[Promotion, ...]:
    """The caller holds the lock."""
    known = read(root)
    if origin is None:
        return known
    found = look_ahead(root, origin)
    for promotion in found[len(known) :]:
        durable.append_line(root / JOURNAL, _line(promotion))
    return found


def _vetoed(promotions: Iterable[Promotion]) -> dict[str, str]:
    forbidden: dict[str, str] = {}
    for promotion in promotions:
        if promotion.event is Event.VETOED:
            forbidden[promotion.version] = promotion.reason
        elif promotion.event is Event.ALLOWED:
            forbidden.pop(promotion.version, None)
    return forbidden


def _line(promotion: Promotion) -> bytes:
    document = asdict(promotion)
    if promotion.event is Event.PROMOTED:
        del document["event"]
    body = json.dumps(document, sort_keys=True, allow_nan=False)
    document["check"] = hashlib.sha256(body.encode()).hexdigest()[:16]
    return json.dumps(document, sort_keys=True, allow_nan=False).encode()


def _parse(line: bytes, number: int, path: Path) -> Promotion:
    try:
        document = json.loads(line)
        document.pop("check")
        promotion = Promotion(event=Event(document.pop("event", Event.PROMOTED)), **document)
        whole = _line(promotion) == line and promotion.number == number
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        whole, promotion = False, None
    if not whole or promotion is None:
        raise CheckpointError(f"{path}: line {number} is altered or missing; restore the file from a backup")
    return promotion
