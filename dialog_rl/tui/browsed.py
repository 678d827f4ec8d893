"""What browsing needs of whoever can: the screens hold no log and no model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dialog_rl.browsing.closely import Closely
from dialog_rl.browsing.comparison import Replay
from dialog_rl.browsing.pages import Page, Wanted
from dialog_rl.browsing.standing_in import StandIn
from dialog_rl.browsing.stepping import Opened


@dataclass(frozen=True, slots=True, kw_only=True)
class Browsed:
    """What the screen shows and does, by whoever can. All of it may take its time and raise DialogRLError."""

    name: str
    """Of the log."""
    count: Callable[[Wanted], int]
    page: Callable[[Wanted, int | None], Page]
    open: Callable[[str], Opened]
    close_up: Callable[[str], Closely]
    again: Callable[[str, str], Replay]
    """An episode spoken by a version, or played again if that is empty."""
    keep: Callable[[str], Path]
    """An episode as a scenario file."""
    go_on: Callable[[str, int], None]
    """Somebody will take the customer's place in an episode, from a turn on, once the screen has ended."""
    stand_in: Callable[[str, int], StandIn]
    """Somebody takes the agent's place in an episode, from a turn on."""
    hand_back: Callable[[StandIn, str], None]
    """Let a version do the rest of it."""
    log_stand_in: Callable[[StandIn], str]
    """Log what came of it; where."""
