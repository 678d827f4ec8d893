"""What the version that speaks does in real conversations, and when that is reason enough to take it back."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.episode_log.records import Kind
from dialog_rl.online.sequential import e_values

LOOKS = 20
"""Actions before anything is said about shares: of fewer, one bad reply is too many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    window: int = 50
    """Actions that are looked at: replies, and actions that could not be read."""
    bad_replies: float = 0.1
    """Largest share of empty or repeated replies; twice that of the version before, if that is more."""
    errors: float = 0.1
    """Largest share of actions that cannot be read; three times that of the version before, if that is more."""
    rating_margin: float = 0.2
    """By how much people may think less of it than of the version before, where ratings go from -1 to 1."""
    rating_alpha: float = 0.05
    """Chance of taking a version back by its ratings that is not worse by so much."""


DEFAULT = Limits()


@dataclass(slots=True)
class _Seen:
    """The last actions of one version: True where one was bad."""

    window: int
    replies: deque[bool] = field(default_factory=deque[bool])
    errors: deque[bool] = field(default_factory=deque[bool])

    def add(self, *, reply: bool | None, error: bool | None) -> None:
        """Whether a reply was a bad one, an action an error; None where there was none."""
        for seen, value in ((self.replies, reply), (self.errors, error)):
            if value is not None:
                seen.append(value)
            while len(seen) > self.window:
                seen.popleft()


class Watch:
    """Counts what versions do, and takes one back at most once. Safe to use from many threads."""

    def __init__(self, take_back: Callable[[str, str], object], limits: Limits = DEFAULT) -> None:
        """take_back(version, reason) is called as soon as there is reason to."""
        self._take_back, self._limits = take_back, limits
        self._lock = threading.Lock()
        self._seen: dict[str, _Seen] = {}
        self._taken: set[str] = set()

    def know(self, version: str, *, replies: Sequence[bool], errors: Sequence[bool]) -> None:
        """What a version did before this process looked, True where it was bad. Nothing is decided upon it."""
        with self._lock:
            seen = self._seen.setdefault(version, _Seen(self._limits.window))
            for reply in replies:
                seen.add(reply=reply, error=None)
            for error in errors:
                seen.add(reply=None, error=error)

    def replied(self, version: str, *, empty: bool = False, repeated: bool = False) -> None:
        """A version said something aloud. repeated: the very words of its reply before."""
        self._add(version, reply=empty or repeated, error=False)

    def failed(self, version: str) -> None:
        """A version did something that could not be read as an action."""
        self._add(version, reply=None, error=True)

    def broken(self, version: str, reason: str) -> None:
        """A version cannot speak at all: its outputs are not finite."""
        with self._lock:
            self._decide(version, reason)

    def _add(self, version: str, *, reply: bool | None, error: bool) -> None:
        with self._lock:
            self._seen.setdefault(version, _Seen(self._limits.window)).add(reply=reply, error=error)
            fault = self._fault(version)
            if fault:
                self._decide(version, fault)

    def _decide(self, version: str, reason: str) -> None:
        if version not in self._taken:
            self._taken.add(version)
            self._take_back(version, reason)

    def _fault(self, version: str) -> str:
        mine = self._seen[version]
        others = [seen for name, seen in self._seen.items() if name != version]
        before = others[-1] if others else _Seen(self._limits.window)
        bad = _excess(mine.replies, before.replies, self._limits.bad_replies, 2)
        if bad:
            return f"{bad} of its replies are empty or repeated"
        errors = _excess(mine.errors, before.errors, self._limits.errors, 3)
        return f"{errors} of its actions cannot be read" if errors else ""


def _excess(mine: Sequence[bool], before: Sequence[bool], limit: float, factor: float) -> str:
    """The share of bad ones in words, if it is beyond its limit."""
    if len(mine) < LOOKS:
        return ""
    usual = sum(before) / len(before) if len(before) >= LOOKS else 0.0
    share = sum(mine) / len(mine)
    return f"{share:.0%}" if share > max(limit, factor * usual) else ""


def recall(log: EpisodeLog, watch: Watch, *, events: int = 2000) -> None:
    """Let a watch know what versions did in the last conversations of a log: what is usual, and what is not."""
    replies: dict[str, list[bool]] = {}
    errors: dict[str, list[bool]] = {}
    said: dict[str, str] = {}
    for event in log.events(since=max(0, log.last_seq() - events), kinds=(Kind.TURN,)):
        for step in event.document["said"].get("steps", ()):
            message, version = step["message"], step.get("policy_version", "")
            errors.setdefault(version, []).append(bool(message.get("malformed")))
            if not message.get("malformed") and not message.get("tool_call"):
                text = message["text"]
                replies.setdefault(version, []).append(text == said.get(event.episode_id) or not text.strip())
                said[event.episode_id] = text
    for version in errors:
        watch.know(version, replies=replies.get(version, ()), errors=errors[version])


def worse_ratings(before: Sequence[float], now: Sequence[float], limits: Limits = DEFAULT) -> bool:
    """Whether people think less of a version than of the one before, by more than the margin.

    An anytime-valid test of the ratings as they come in, in [-1, 1], against the mean of those before.
    """
    if len(before) < LOOKS or not now:
        return False
    usual = sum(before) / len(before)
    worse = [(usual - value) / 2 for value in now]
    return bool(e_values(worse, -limits.rating_margin / 2).max() >= 1 / limits.rating_alpha)
