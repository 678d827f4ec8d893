"""What the application is given by who starts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dialog_rl.chat.pairs import NoOtherAnswer, Pair
from dialog_rl.chat.talk import Talk, Talks
from dialog_rl.episode import Episode
from dialog_rl.errors import ConfigError
from dialog_rl.tui.preferences import Preferences


def _nothing_judged(episode: Episode) -> Sequence[str]:
    return ()


def _no_receipts(session: Talk) -> Mapping[str, str]:
    return {}


def _no_rewards(session: Talk, number: int) -> Sequence[str]:
    return ("no rewards are at hand",)


def _unchanged(session: Talk, *_: Any) -> Talk:
    return session


def _no_remarks() -> Sequence[str]:
    return ()


def _no_version(version: str) -> str:
    return ""


def _no_other(*_: Any, **__: Any) -> Pair | None:
    raise NoOtherAnswer("here one answer is made to each message, and no other to compare it with")


def _no_scenario(episode: Episode) -> Path:
    raise ConfigError("a service keeps this conversation; no scenario file is made of it here")


@dataclass(frozen=True, kw_only=True)
class Desk:
    room: Talks
    """Its voices may still be loading."""
    first: Talk
    """The conversation to begin with."""
    prepare: Callable[[], str]
    """Waits until the voices can speak, and tells which version will. Called in a thread of its own; raises
    DialogRLError."""
    judged: Callable[[Episode], Sequence[str]] = _nothing_judged
    """How a finished conversation is judged, a line a remark."""
    receipts: Callable[[Any], Mapping[str, str]] = _no_receipts
    """What became of the ratings of a conversation, by the ids of their events. Called once the voices can speak."""
    earlier: Callable[[str], str] = _no_version
    """The version that spoke before this one; empty if there was none."""
    another: Callable[..., Pair | None] = _no_other
    """Another answer to a turn of a conversation; see `chat.pairs.another_answer`."""
    settle: Callable[[Any, Pair, Any], Talk] = _unchanged
    """Log which of the two is better; see `chat.pairs.settle`."""
    privacy: str = "All of it stays on this machine."
    """Who gets to know what is said."""
    rewards: Callable[[Any, int], Sequence[str]] = _no_rewards
    """What each reward says of a turn, a line each."""
    reload: Callable[[], Sequence[str]] = _no_remarks
    """Take up anew what rewards were loaded from files; what came of it, a line each."""
    before_turn: Callable[[], Sequence[str]] = _no_remarks
    """Take up what has changed since the last turn; what came of it, a line each."""
    keep_scenario: Callable[[Episode], Path] = _no_scenario
    """Make a scenario file of a conversation; where."""
    preferences: Preferences = field(default_factory=Preferences)
