"""What the application is given by who starts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dialog_rl.chat.room import ChatRoom
from dialog_rl.chat.session import ChatSession
from dialog_rl.episode import Episode
from dialog_rl.tui.preferences import Preferences


def _nothing_judged(episode: Episode) -> Sequence[str]:
    return ()


def _no_receipts(session: ChatSession) -> Mapping[str, str]:
    return {}


def _no_rewards(session: ChatSession, number: int) -> Sequence[str]:
    return ("no rewards are at hand",)


def _no_remarks() -> Sequence[str]:
    return ()


def _no_version(version: str) -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Desk:
    room: ChatRoom
    """Its voices may still be loading."""
    first: ChatSession
    """The conversation to begin with."""
    prepare: Callable[[], str]
    """Waits until the voices can speak, and tells which version will. Called in a thread of its own; raises
    DialogRLError."""
    judged: Callable[[Episode], Sequence[str]] = _nothing_judged
    """How a finished conversation is judged, a line a remark."""
    receipts: Callable[[ChatSession], Mapping[str, str]] = _no_receipts
    """What became of the ratings of a conversation, by the ids of their events. Called once the voices can speak."""
    earlier: Callable[[str], str] = _no_version
    """The version that spoke before this one; empty if there was none."""
    rewards: Callable[[ChatSession, int], Sequence[str]] = _no_rewards
    """What each reward says of a turn, a line each."""
    reload: Callable[[], Sequence[str]] = _no_remarks
    """Take up anew what rewards were loaded from files; what came of it, a line each."""
    before_turn: Callable[[], Sequence[str]] = _no_remarks
    """Take up what has changed since the last turn; what came of it, a line each."""
    preferences: Preferences = field(default_factory=Preferences)
