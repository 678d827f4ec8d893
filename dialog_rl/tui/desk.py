"""What the application is given by who starts it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dialog_rl.chat.room import ChatRoom
from dialog_rl.chat.session import ChatSession
from dialog_rl.episode import Episode
from dialog_rl.tui.preferences import Preferences


def _nothing_judged(episode: Episode) -> Sequence[str]:
    return ()


def _no_receipt(event_id: str) -> str:
    return ""


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
    receipt: Callable[[str], str] = _no_receipt
    """What became of a rating, by the id of its event; empty if nothing is known."""
    earlier: Callable[[str], str] = _no_version
    """The version that spoke before this one; empty if there was none."""
    preferences: Preferences = field(default_factory=Preferences)
