"""The work that is timed: dialogues of equal, forced lengths, so that every way does the same number of tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dialog_rl.conversation import Conversation, Limits, UserReply
from dialog_rl.episode import Change, Message, Role, ToolCall
from dialog_rl.lm.policy import ModelShape

LARGE = ModelShape(hidden=512, layers=8, heads=8, intermediate=1408)
"""27 million parameters."""
LEAST_ID = 16
"""Ids below stand for marks in any vocabulary; the workload uses the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Lengths in tokens. By default 392 a dialogue, as long as a customer-service call of eight short turns."""

    dialogues: int = 32
    turns: int = 8
    brief: int = 40
    said: int = 20
    """By the user, each turn."""
    reply: int = 24
    vocab_size: int = 3072

    @property
    def length(self) -> int:
        return self.end_of(self.turns - 1)

    def end_of(self, turn: int) -> int:
        """Tokens of a dialogue up to the end of a turn, counted from 0."""
        return self.brief + (turn + 1) * (self.said + self.reply)

    def ids_BT(self, seed: int) -> Tensor:
        g = torch.Generator().manual_seed(seed)
        return torch.randint(LEAST_ID, self.vocab_size, (self.dialogues, self.length), generator=g)

    def action_mask_T(self) -> Tensor:
        mask_T = torch.zeros(self.length, dtype=torch.bool)
        for turn in range(self.turns):
            mask_T[self.end_of(turn) - self.reply : self.end_of(turn)] = True
        return mask_T

    def conversations(self) -> list[Conversation]:
        """Conversations that end after `turns` actions, to be rendered by a `ForcedLengths`."""
        return [
            Conversation(
                episode_id=str(number), pack="bench", scenario={}, seed=number,
                system=Message(role=Role.SYSTEM, text=""), user=_Silent(), tools=_NoTools(),
                limits=Limits(turns=1, calls=self.turns),
            )
            for number in range(self.dialogues)
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.dialogues} dialogues of {self.turns} turns, {self.length} tokens each"


class ForcedLengths:
    """A renderer that makes every observation and every action as long as the workload says, whatever is sampled."""

    end_id = -1  # is never sampled, so actions run to their full length

    def __init__(self, work: Workload) -> None:
        self._work = work

    def observe(self, messages: Iterable[Message]) -> tuple[int, ...]:
        first = any(message.role is Role.SYSTEM for message in messages)
        return tuple(range(LEAST_ID, LEAST_ID + self._work.said + (self._work.brief if first else 0)))

    def parse(self, action_ids: Sequence[int]) -> Message:
        return Message(role=Role.ASSISTANT, text="")


class _Silent:
    def open(self) -> UserReply:
        return UserReply(message=Message(role=Role.USER, text=""))

    def reply(self, message: Message) -> UserReply:
        return self.open()


class _NoTools:
    def call(self, call: ToolCall) -> Message:
        raise ValueError(f"there are no tools here: {call.name}")

    def journal(self) -> tuple[Change, ...]:
        return ()

    def ends_conversation(self, call: ToolCall) -> bool:
        return False
