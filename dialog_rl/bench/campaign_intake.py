"""Hostile checkpoints from strangers: none runs code, none is taken in, and each refusal says why within 30 seconds."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dialog_rl.bench.hostile_checkpoint import Harm, Laid, lay_sound
from dialog_rl.bench.hostile_files import HOSTILE_FILES
from dialog_rl.bench.hostile_texts import HARMLESS, HOSTILE_TEXTS
from dialog_rl.bench.hostile_weights import HOSTILE_WEIGHTS
from dialog_rl.bench.killing import upper_bound
from dialog_rl.errors import CheckpointError, DialogRLError
from dialog_rl.lm.intake import take_in
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.text import unsafe

FULL, SAMPLE = 500, 45
LONGEST = 30.0
"""Seconds for a refusal."""
_LONGEST_MESSAGE = 700
WAYS: Mapping[str, Harm] = {**HOSTILE_FILES, **HOSTILE_WEIGHTS, **HOSTILE_TEXTS, **HARMLESS}


class Harmed(DialogRLError):
    """A hostile checkpoint did what it should not have been able to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    folders: int
    refused: int
    poison_left_out: int
    """Sound but for what is never looked at: taken in without it."""
    slowest: float
    """Seconds of a refusal."""
    slowest_kind: str
    by_kind: dict[str, int]
    seed: int


def offer_hostile(folder: Path, count: int, seed: int, progress: Callable[[int], object] = lambda done: None) -> Tally:
    """Offer so many hostile folders, each way in its turn. Raises Harmed that names the first that came through."""
    chance = random.Random(seed)
    kinds = sorted(WAYS)
    by_kind: Counter[str] = Counter()
    refused, slowest = 0, (0.0, "")
    for number in range(count):
        if number % len(kinds) == 0:
            chance.shuffle(kinds)
        kind = kinds[number % len(kinds)]
        place = folder / f"{number:04}"
        laid = Laid(place / "theirs", random.Random(f"{seed} {number}"), folder / "canary-b1f3" / "sang")
        laid.canary.parent.mkdir(exist_ok=True)
        lay_sound(laid.folder, laid.chance)
        WAYS[kind](laid)
        seconds, refusal = _offer(laid, place / "store")
        _require(kind, laid, refusal, seconds, place / "store", f"seed {seed}, folder {number + 1} ({kind})")
        refused += refusal is not None
        slowest = max(slowest, (seconds, kind))
        by_kind[kind] += 1
        progress(number + 1)
    return Tally(
        folders=count, refused=refused, poison_left_out=count - refused, slowest=round(slowest[0], 1),
        slowest_kind=slowest[1], by_kind=dict(sorted(by_kind.items())), seed=seed,
    )  # fmt: skip


def document(tally: Tally) -> dict[str, Any]:
    return {"bench": "intake", **asdict(tally), "code_run": 0, "upper_bound": upper_bound(tally.folders)}


def _offer(laid: Laid, store: Path) -> tuple[float, str | None]:
    """Seconds until it was refused or could speak, and the refusal."""
    began = time.monotonic()
    try:
        SpeakingModel.load(take_in(str(laid.folder), store))
    except CheckpointError as e:
        return time.monotonic() - began, str(e)
    return time.monotonic() - began, None


def _require(kind: str, laid: Laid, refusal: str | None, seconds: float, store: Path, which: str) -> None:
    if laid.canary.exists() or any(laid.canary.parent.iterdir()):
        raise Harmed(f"{which}: its code was run")
    if seconds > LONGEST:
        raise Harmed(f"{which}: took {seconds:.1f} s")
    taken = list(store.glob("*/manifest.json"))
    if kind in HARMLESS:
        _require_clean(refusal, taken, str(laid.canary).encode(), which)
        return
    if refusal is None or taken:
        raise Harmed(f"{which}: was taken in")
    if not _is_clear(refusal, laid.folder):
        raise Harmed(f"{which}: its refusal does not say what is wrong: {refusal[:300]!r}")


def _require_clean(refusal: str | None, taken: list[Path], poison: bytes, which: str) -> None:
    if refusal is not None or len(taken) != 1:
        raise Harmed(f"{which}: was refused, though nothing of it is looked at: {refusal}")
    if dirty := [p.name for p in taken[0].parent.iterdir() if poison in p.read_bytes()]:
        raise Harmed(f"{which}: its poison is in {', '.join(dirty)}")


def _is_clear(refusal: str, folder: Path) -> bool:
    """One line that names the folder and goes on to say what was found, nothing that a terminal would obey."""
    _, _, reason = refusal.partition("not taken in: ")
    return (
        folder.name in refusal and len(reason) > 10 and len(refusal) <= _LONGEST_MESSAGE
        and "\n" not in refusal and not unsafe(refusal)
        and "ended the process" not in reason and "cannot be looked through" not in reason
    )  # fmt: skip
