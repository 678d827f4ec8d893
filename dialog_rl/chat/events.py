"""What happens while a person's message is answered, in the order in which it happens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dialog_rl.episode import Episode, Step, Turn, episode_from_json, step_from_json, to_json, turn_from_json


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


def event_to_json(event: Event) -> dict[str, Any]:
    """An event as plain JSON values."""
    return {"event": type(event).__name__.lower(), **to_json(event)}


def event_from_json(document: Mapping[str, Any]) -> Event:
    """The inverse of `event_to_json`. Raises KeyError, TypeError or ValueError on anything else."""
    told = {key: value for key, value in document.items() if key != "event"}
    kind = document["event"]
    if kind == "called":
        return Called(step_from_json(told["step"]))
    if kind == "replied":
        return Replied(int(told["number"]), turn_from_json(told["turn"]))
    if kind == "ended":
        return Ended(episode_from_json(told["episode"]))
    plain = {"delta": Delta, "stopped": Stopped, "swapped": Swapped}
    if kind not in plain:
        raise ValueError(f"{kind!r} is no event")
    return plain[kind](**{key: str(value) for key, value in told.items()})
