"""The promotion journal of a store: which version each alias means is what its last line about that alias says.

One append is the whole of a promotion, so the alias and the record of it cannot come apart, and nothing is ever lost.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dialog_rl import durable
from dialog_rl.errors import CheckpointError

JOURNAL = "promotions.jsonl"
LOCK = ".promotions.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """One line: from here on the alias means this version."""

    number: int
    """From 1, without gaps: a line that was altered or lost shows."""
    alias: str
    version: str
    """Empty: the alias means nothing any more."""
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """What the decision rests on, as the gate measured it."""
    by: str = ""
    at: float = 0.0
    """Seconds since the epoch; for people, never for ordering."""


def read(root: Path) -> tuple[Promotion, ...]:
    """All promotions of a store, oldest first. Raises CheckpointError that names a line which is not as written."""
    path = root / JOURNAL
    with durable.failing_as(CheckpointError, f"{path}: cannot be read"):
        lines = durable.lines(path)
    return tuple(_parse(line, number, path) for number, line in enumerate(lines, 1))


def standing(root: Path) -> dict[str, str]:
    """The version that each alias means."""
    meant = {promotion.alias: promotion.version for promotion in read(root)}
    return {alias: version for alias, version in meant.items() if version}


def record(
    root: Path, alias: str, version: str, *, reason: str, evidence: Mapping[str, Any] | None = None, by: str = ""
) -> Promotion:
    """Append one promotion; it holds once this returns. Says nothing about whether the version exists."""
    path = root / JOURNAL
    with durable.failing_as(CheckpointError, f"{path}: cannot be written"), durable.locked(root / LOCK):
        promotion = Promotion(
            number=len(read(root)) + 1, alias=alias, version=version, reason=reason,
            evidence=evidence or {}, by=by, at=time.time(),
        )  # fmt: skip
        durable.append_line(path, _line(promotion))
    return promotion


def _line(promotion: Promotion) -> bytes:
    document = asdict(promotion)
    body = json.dumps(document, sort_keys=True, allow_nan=False)
    document["check"] = hashlib.sha256(body.encode()).hexdigest()[:16]
    return json.dumps(document, sort_keys=True, allow_nan=False).encode()


def _parse(line: bytes, number: int, path: Path) -> Promotion:
    try:
        document = json.loads(line)
        document.pop("check")
        promotion = Promotion(**document)
        whole = _line(promotion) == line and promotion.number == number
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        whole, promotion = False, None
    if not whole or promotion is None:
        raise CheckpointError(f"{path}: line {number} is altered or missing; restore the file from a backup")
    return promotion
