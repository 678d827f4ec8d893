"""Search among a few settings by successive halving: all get a little training, the better half gets twice as much.

Source: Jamieson and Talwalkar 2016, arXiv:1502.07943.
"""

from __future__ import annotations

import math
from collections.abc import Mapping


def rungs(candidates: int, updates: int) -> tuple[int, ...]:
    """After how many updates, counted from the beginning, candidates are compared; the last is the end of the run.

    Each rung has twice the updates of the one before and half of its candidates, so every rung costs about the same.
    """
    halvings = max(0, math.ceil(math.log2(max(1, candidates))))
    return tuple(sorted({max(1, updates >> (halvings - rung)) for rung in range(halvings + 1)}))


def survivors(scores: Mapping[str, float]) -> tuple[str, ...]:
    """The better half, best first; of equals the one that was named first."""
    ranked = sorted(scores, key=lambda name: -scores[name])
    return tuple(ranked[: max(1, math.ceil(len(ranked) / 2))])
