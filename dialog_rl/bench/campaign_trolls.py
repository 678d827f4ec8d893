"""Raters who say the opposite of what they think: what the updater makes of them, and what the gate lets through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dialog_rl.bench.campaign_live import Live, play_live
from dialog_rl.bench.live_figures import Tally

FULL = 100
SAMPLE = 12
SHARES = (0.02, 0.1, 0.3)
"""Of the raters, those who are trolls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trolled:
    share: float
    tally: Tally

    @property
    def worst(self) -> float:
        """The lowest success of what the gate let through, less that of what spoke before; 0 if it let nothing."""
        before = self.tally.before.success
        return min((p.measured.success - before for p in self.tally.promotions), default=0.0)


def play_trolls(
    folder: Path,
    chats: int,
    seed: int,
    progress: Callable[[int], object] = lambda done: None,
    *,
    shares: Sequence[float] = SHARES,
    live: Live | None = None,
) -> list[Trolled]:
    """So many chats for each share of trolls, each from the same version on."""
    base = replace(live or Live(pause=0.0), chats=chats, seed=seed)
    return [
        Trolled(share=share, tally=play_live(folder / f"trolls-{share:g}", replace(base, trolls=share), progress))
        for share in shares
    ]


def document(found: Sequence[Trolled]) -> dict[str, Any]:
    return {
        "bench": "trolls",
        "shares": [
            {
                "trolls": one.share,
                "politely_before": round(one.tally.before.politely, 4),
                "promoted": len(one.tally.promotions),
                "refused": list(one.tally.refused),
                "worst_success_against_before": one.worst,
                "politely": [round(p.measured.politely, 4) for p in one.tally.promotions],
                "rises": [asdict(p.rise) for p in one.tally.promotions],
            }
            for one in found
        ],
    }
