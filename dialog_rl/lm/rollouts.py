"""Conversations spoken by the policy, many at once: a finished one's slot goes to the next at once."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

import torch

from dialog_rl import seeds
from dialog_rl.conversation import Conversation
from dialog_rl.episode import Episode, Message, Role, StopReason
from dialog_rl.lm.decoder import Sample, open_decoder, sample
from dialog_rl.lm.policy import Policy
from dialog_rl.lm.slots import SlotDecoder

MAX_ACTION = 96
"""Tokens. A longer action is cut off and answered with an error; the expert's longest is well below."""


class Renderer(Protocol):
    """What speaking needs of a chat format: see `dialog_rl.lm.renderer`."""

    @property
    def end_id(self) -> int: ...

    def observe(self, messages: Iterable[Message]) -> tuple[int, ...]: ...

    def parse(self, action_ids: Sequence[int]) -> Message: ...


def longest_action(renderer: Renderer) -> int:
    """Tokens an action may have in a chat format: its own word, or what the embedded model's needs."""
    return getattr(renderer, "longest_action", MAX_ACTION)


class Rollouts(Protocol):
    """Lets a policy speak conversations to their end: `rollouts`, or something that spreads them over more machines."""

    def __call__(
        self,
        policy: Policy,
        renderer: Renderer,
        conversations: Iterable[Conversation],
        *,
        slots: int = ...,
        max_length: int = ...,
        temperature: float = ...,
        version: str = ...,
        cancelled: Callable[[], bool] = ...,
    ) -> Iterator[Episode]: ...


class Ending(StrEnum):
    """How an action came to its end."""

    COMPLETE = "complete"
    TOO_LONG = "too_long"
    CONTEXT_FULL = "context_full"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One action of the policy, as text and as it was sampled. Malformed if it was cut off."""

    message: Message
    observation_ids: tuple[int, ...] = ()
    action_ids: tuple[int, ...] = ()
    """Empty if the context had no room left to act in."""
    logprobs: tuple[float, ...] = ()
    ending: Ending = Ending.COMPLETE

    def settle(self, conversation: Conversation, *, policy_version: str = "") -> None:
        """Hand the action to its conversation, which a full context ends. A cancelled action leaves no trace.

        What the context cut off is kept as a malformed step: it was sampled, so it can be learnt from.
        """
        if self.ending is Ending.CANCELLED:
            return
        if self.action_ids:
            conversation.act(
                self.message,
                observation_ids=self.observation_ids,
                action_ids=self.action_ids,
                logprobs=self.logprobs,
                policy_version=policy_version,
            )
        if self.ending is Ending.CONTEXT_FULL:
            conversation.stop(StopReason.CONTEXT_FULL)


class Voice:
    """One dialogue in one slot of a decoder: what the slot must be fed next, and the action in the making.

    The last token of an action is fed together with the next observation, so no forward is spent on it alone.
    """

    def __init__(self, decoder: SlotDecoder, slot: int, renderer: Renderer, *, seed: int, max_action: int) -> None:
        self.slot = slot
        self.feed: list[int] = []
        """Ids to feed before the next token can be drawn."""
        self.action_ids: list[int] = []
        self._decoder, self._renderer, self._max_action = decoder, renderer, max_action
        self._rng = random.Random(seeds.derive(seed, "sampling"))
        self._observation_ids: tuple[int, ...] = ()
        self._logprobs: list[float] = []
        self._before: tuple[int, list[int], tuple[Any, ...]] = (0, [], self._rng.getstate())
        decoder.rewind(slot)

    def uniform(self) -> float:
        """The dialogue's next random number, in [0, 1)."""
        return self._rng.random()

    def remember(self, ids: Sequence[int], *, drawn: int) -> None:
        """Begin after `ids`, of which `drawn` were sampled: the same slot and random numbers as of who spoke them."""
        self.feed = list(ids)
        for _ in range(drawn):
            self.uniform()

    def observe(self, messages: Iterable[Message]) -> Action | None:
        """Begin an action in answer to new messages. Returns an empty one if the context has no room for it."""
        self._before = self._decoder.length(self.slot), self.feed, self._rng.getstate()
        self._observation_ids = self._renderer.observe(messages)
        self.feed = [*self.feed, *self._observation_ids]
        self.action_ids, self._logprobs = [], []
        return self._finish(Ending.CONTEXT_FULL) if len(self.feed) >= self._decoder.room(self.slot) else None

    def add(self, drawn: Sample) -> Action | None:
        """Take the drawn token. Returns the action if it ends here."""
        self.action_ids.append(drawn.token)
        self._logprobs.append(drawn.logprob)
        self.feed = [drawn.token]
        if drawn.token == self._renderer.end_id:
            return self._finish(Ending.COMPLETE)
        if self._decoder.room(self.slot) <= 1:
            return self._finish(Ending.CONTEXT_FULL)
        return self._finish(Ending.TOO_LONG) if len(self.action_ids) >= self._max_action else None

    def cancel(self) -> Action:
        """Give up the action in the making; slot and random numbers are as before the messages were observed."""
        action = self._finish(Ending.CANCELLED)
        length, self.feed, numbers = self._before
        self._rng.setstate(numbers)
        self._decoder.rewind(self.slot, length)
        return action

    def _finish(self, ending: Ending) -> Action:
        return Action(
            message=self._message(ending),
            observation_ids=self._observation_ids,
            action_ids=tuple(self.action_ids),
            logprobs=tuple(self._logprobs),
            ending=ending,
        )

    def _message(self, ending: Ending) -> Message:
        message = self._renderer.parse(self.action_ids) if self.action_ids else Message(role=Role.ASSISTANT, text="")
        if ending is Ending.COMPLETE:
            return message
        reasons = {
            Ending.TOO_LONG: f"longer than {self._max_action} tokens",
            Ending.CONTEXT_FULL: "cut off by the full context",
            Ending.CANCELLED: "cancelled",
        }
        return replace(message, tool_call=None, malformed=reasons[ending])


def speak_on(decoder: SlotDecoder, voices: Sequence[Voice], *, temperature: float | Sequence[float]) -> list[Sample]:
    """Feed every voice what it waits for and draw its next token: new observations in one batch, tokens in another.

    temperature: of all, or one a voice.
    """
    temperatures = [temperature] * len(voices) if isinstance(temperature, int | float) else temperature
    of_slot = {voice.slot: each for voice, each in zip(voices, temperatures, strict=True)}
    prefilled = [voice for voice in voices if not voice.action_ids]
    decoded = [voice for voice in voices if voice.action_ids]
    drawn: dict[int, Sample] = {}
    for group, feed in ((prefilled, _prefill), (decoded, _decode)):
        if group:
            uniforms = [voice.uniform() for voice in group]
            samples = _draw(feed(decoder, group), uniforms, [of_slot[voice.slot] for voice in group])
            drawn.update(zip((voice.slot for voice in group), samples, strict=True))
    return [drawn[voice.slot] for voice in voices]


def _draw(logits_NV: torch.Tensor, uniforms: Sequence[float], temperatures: Sequence[float]) -> list[Sample]:
    """A token a row; rows of one temperature are drawn together."""
    if len(set(temperatures)) == 1:
        return sample(logits_NV, uniforms, temperature=temperatures[0])
    drawn: dict[int, Sample] = {}
    for temperature in set(temperatures):
        rows = [row for row, each in enumerate(temperatures) if each == temperature]
        drawn |= zip(rows, sample(logits_NV[rows], [uniforms[r] for r in rows], temperature=temperature), strict=True)
    return [drawn[row] for row in range(len(temperatures))]


def _prefill(decoder: SlotDecoder, voices: Sequence[Voice]) -> torch.Tensor:
    return decoder.prefill([voice.slot for voice in voices], [voice.feed for voice in voices])


def _decode(decoder: SlotDecoder, voices: Sequence[Voice]) -> torch.Tensor:
    return decoder.decode([voice.slot for voice in voices], [voice.feed[0] for voice in voices])


def never() -> bool:
    """Asks for no stop."""
    return False


def rollouts(
    policy: Policy,
    renderer: Renderer,
    conversations: Iterable[Conversation],
    *,
    slots: int = 32,
    max_length: int = 1024,
    max_action: int | None = None,
    temperature: float = 1.0,
    version: str = "",
    dtype: torch.dtype = torch.float32,
    cancelled: Callable[[], bool] = never,
) -> Iterator[Episode]:
    """Let the policy speak conversations to their end. Yields episodes in completion order.

    In fp32 an episode depends on the weights, its conversation and its seed alone, not on `slots` or its neighbours.
    Temperature 0 is greedy. `max_action` is in tokens, by default as the renderer has it. `cancelled` is asked before
    every token; what is unfinished then is dropped. The policy must not be trained while episodes are drawn.
    """
    decoder = open_decoder(policy, slots=slots, max_length=max_length, dtype=dtype)
    longest = max_action or longest_action(renderer)
    source, free = iter(conversations), list(range(slots))
    speaking: dict[int, tuple[Conversation, Voice]] = {}

    def go_on(conversation: Conversation, voice: Voice, action: Action | None) -> None:
        """Settle the action, if it is finished, and observe what came of it, until the policy must speak again."""
        while action is not None and conversation.stopped is None:
            action.settle(conversation, policy_version=version)
            action = None if conversation.stopped else voice.observe(conversation.unobserved())

    while not cancelled():
        while free and (conversation := next(source, None)) is not None:
            voice = Voice(decoder, free[-1], renderer, seed=conversation.seed, max_action=longest)
            if conversation.stopped is None:
                go_on(conversation, voice, voice.observe(conversation.unobserved()))
            if conversation.stopped is not None:
                yield conversation.episode()
                continue
            speaking[free.pop()] = conversation, voice
        if not speaking:
            return
        voices = [voice for _, voice in speaking.values()]
        for voice, drawn in zip(voices, speak_on(decoder, voices, temperature=temperature), strict=True):
            conversation, _ = speaking[voice.slot]
            go_on(conversation, voice, voice.add(drawn))
            if conversation.stopped is not None:
                del speaking[voice.slot]
                free.append(voice.slot)
                yield conversation.episode()
