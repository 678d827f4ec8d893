"""What a conversation with a person needs of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from dialog_rl.conversation import Conversation
from dialog_rl.episode import Message, Step

CANCELLED = "cancelled"
"""How a spoken action ended that was given up half-way."""


class Spoken(Protocol):
    """One finished action: a reply, a tool call, or what was cut off."""

    @property
    def message(self) -> Message: ...

    @property
    def observation_ids(self) -> tuple[int, ...]: ...

    @property
    def action_ids(self) -> tuple[int, ...]: ...

    @property
    def logprobs(self) -> tuple[float, ...]: ...

    @property
    def ending(self) -> str: ...

    def settle(self, conversation: Conversation, *, policy_version: str = "") -> None:
        """Hand the action to its conversation. A cancelled one leaves no trace."""
        ...


class Voice(Protocol):
    """Who answers in one conversation: one version, which remembers what it has heard and said."""

    def speak(self, messages: Sequence[Message], *, cancelled: Callable[[], bool]) -> Iterator[str | Spoken]:
        """A reply's text piece by piece, then the finished action. `cancelled` is asked before every token."""
        ...


class Voices(Protocol):
    """Makes voices. Which version is to speak may change between two calls."""

    @property
    def tokenizer(self) -> str:
        """Fingerprint of the tokens that ids are written in."""
        ...

    def current(self) -> str:
        """The version that the next turn should be spoken by."""
        ...

    def voice(self, version: str, *, seed: int, temperature: float, history: Sequence[Step] = ()) -> Voice:
        """A voice of a version that takes up a conversation where `history` ends: by its ids, never by its text."""
        ...


def never() -> bool:
    """Asks for no stop."""
    return False
