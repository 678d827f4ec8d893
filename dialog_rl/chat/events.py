"""What happens while a person's message is answered, in the order in which it happens."""

from __future__ import annotations

from dataclasses import dataclass

from dialog_rl.episode import Episode, Step, Turn


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of the reply."""

    text: str


@dataclass(frozen=True, slots=True)
class Called:
    """A tool was called and has answered, or what was sampled could not be read as an action."""

    step: Step


@dataclass(frozen=True, slots=True)
class Proposed:
    """The whole reply, which nobody has been told yet."""

    step: Step


@dataclass(frozen=True, slots=True)
class Replied:
    """The turn is answered, and logged."""

    number: int
    turn: Turn


@dataclass(frozen=True, slots=True)
class Stopped:
    """The reply was given up when asked to; the message stays unanswered."""


@dataclass(frozen=True, slots=True)
class Swapped:
    """From here on another version speaks."""

    before: str
    version: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The conversation is over and logged as an episode."""

    episode: Episode


Speaking = Delta | Called | Proposed | Stopped
Event = Delta | Called | Replied | Stopped | Swapped | Ended
