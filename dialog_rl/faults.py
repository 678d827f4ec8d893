"""Labelled crash points, so that tests can stop the program exactly where stopping hurts.

`FAULT=label:n:action` makes the n-th passage of that label act: `kill` (SIGKILL to itself), `raise`, `enospc`, `eio`,
or `delay=SECONDS`. n is a number from 1, or `*` for every passage. Several are separated by commas. Without FAULT a
point costs one dictionary increment.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass


class InjectedFault(Exception):
    """What the `raise` action raises: no code may expect it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    label: str
    passage: int | None
    """Which passage acts, from 1; None is every one."""
    action: str


_ACTIONS = ("kill", "raise", "enospc", "eio")


def parse(spec: str) -> tuple[Fault, ...]:
    """`label:n:action[,…]` as faults. Raises ValueError that names the part which is wrong."""
    return tuple(_parse_one(part.strip()) for part in spec.split(",") if part.strip())


def _parse_one(part: str) -> Fault:
    label, _, rest = part.partition(":")
    passage, _, action = rest.partition(":")
    if not label or not (passage == "*" or (passage.isdigit() and int(passage) > 0)):
        raise ValueError(f"FAULT: {part!r} is not label:n:action with n a number from 1 or *")
    delay = action.removeprefix("delay=")
    if action not in _ACTIONS and (delay == action or not delay.replace(".", "", 1).isdigit()):
        raise ValueError(f"FAULT: {action!r} is not an action; there are {', '.join(_ACTIONS)} and delay=SECONDS")
    return Fault(label=label, passage=None if passage == "*" else int(passage), action=action)


class _Points:
    """The faults armed in this process and how often each label was passed."""

    def __init__(self) -> None:
        self.armed: tuple[Fault, ...] | None = None
        self.passed: Counter[str] = Counter()


_points = _Points()


def fp(label: str) -> None:
    """A crash point. Does nothing unless a fault is armed for this passage of this label."""
    _points.passed[label] += 1
    if _points.armed is None:
        _points.armed = parse(os.environ.get("FAULT", ""))
    for fault in _points.armed:
        if fault.label == label and fault.passage in (None, _points.passed[label]):
            _act(fault)


def arm(spec: str) -> None:
    """Arm faults in this process in place of those of the environment, and count passages from 0."""
    _points.armed = parse(spec)
    _points.passed.clear()


def disarm() -> None:
    arm("")


def passed() -> dict[str, int]:
    """How often each label was passed since the start or `arm`: the list a systematic campaign walks through."""
    return dict(_points.passed)


def _act(fault: Fault) -> None:
    if fault.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault.action == "raise":
        raise InjectedFault(fault.label)
    elif fault.action in ("enospc", "eio"):
        number = errno.ENOSPC if fault.action == "enospc" else errno.EIO
        raise OSError(number, os.strerror(number), fault.label)
    else:
        time.sleep(float(fault.action.removeprefix("delay=")))
