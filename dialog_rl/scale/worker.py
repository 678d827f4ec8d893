"""One process that speaks: it holds a version of the policy, is given conversations and sends episodes back."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dialog_rl.conversation import Conversation
from dialog_rl.episode import Episode
from dialog_rl.lm.rollouts import rollouts
from dialog_rl.lm.threads import use_threads
from dialog_rl.scale.extra import ray


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a worker is to speak with."""

    speaker: list[Any]
    """A reference to (policy, renderer) in the object store; in a list, so that it is fetched only where it is new."""
    key: str
    """Equal for equal speakers."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of `rollouts`."""


class RolloutWorker:
    """What runs in a process of Ray's."""

    def __init__(self, threads: int) -> None:
        use_threads(threads)
        self._key = ""
        self._speaker: Any = None

    def here(self) -> int:
        """The process's id, once it can speak."""
        return os.getpid()

    def speak(self, order: Order, conversations: Mapping[int, Conversation]) -> Iterator[tuple[int, Episode]]:
        """Every conversation to its end, with its number, in the order in which they end."""
        if order.key != self._key or self._speaker is None:
            speaker: Any = ray.get(order.speaker[0])
            self._speaker, self._key = speaker, order.key
        policy, renderer = self._speaker
        numbers = {conversation.episode_id: number for number, conversation in conversations.items()}
        spoken: Sequence[Conversation] = tuple(conversations.values())
        for episode in rollouts(policy, renderer, spoken, **order.options):
            yield numbers[episode.episode_id], episode
