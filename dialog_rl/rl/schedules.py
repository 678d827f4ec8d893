"""Figures that change in the course of a run."""

from __future__ import annotations

import math
from enum import StrEnum


class Schedule(StrEnum):
    CONSTANT = "constant"
    LINEAR = "linear"
    """Down to nothing at the end."""
    COSINE = "cosine"
    """The same in half a cosine wave: slow at both ends."""


def factor(schedule: Schedule, update: int, total: int, warmup: int = 0) -> float:
    """What a learning rate is multiplied by in an update, counted from 0, of `total`. Never 0 before the end.

    The first `warmup` updates rise in equal steps to 1.
    """
    if update < warmup:
        return (update + 1) / (warmup + 1)
    gone = min(1.0, (update - warmup) / max(1, total - warmup))
    match schedule:
        case Schedule.CONSTANT:
            return 1.0
        case Schedule.LINEAR:
            return 1 - gone
        case Schedule.COSINE:
            return (1 + math.cos(math.pi * gone)) / 2


def between(first: float, last: float, update: int, total: int) -> float:
    """On a straight line from `first` in update 0 to `last` in the last of `total`."""
    return first + (last - first) * min(1.0, update / max(1, total - 1))
