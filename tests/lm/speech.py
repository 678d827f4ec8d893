"""A small chat format and partners to talk to, for tests of whoever speaks: no tokenizer, no packs."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import torch

from dialog_rl.conversation import Conversation, Limits, UserReply
from dialog_rl.episode import Change, Episode, Message, Role, ToolCall
from dialog_rl.lm.policy import ModelShape, Policy

SYSTEM, USER, ASSISTANT, TOOL, CALL, END = range(256, 262)
MARK = {Role.SYSTEM: SYSTEM, Role.USER: USER, Role.TOOL: TOOL}


class ByteRenderer:
    """One token a byte of UTF-8; `<call>` as first token begins a tool call."""

    end_id = END

    def observe(self, messages: Iterable[Message]) -> tuple[int, ...]:
        body = [i for m in messages for i in (MARK[m.role], *m.text.encode(), END)]
        return (*body, ASSISTANT)

    def parse(self, action_ids: Sequence[int]) -> Message:
        ids = [i for i in action_ids if i != END]
        text = bytes(i for i in ids if i < 256).decode(errors="replace")
        if ids and ids[0] == CALL:
            return Message(role=Role.ASSISTANT, text=text, tool_call=ToolCall(name="echo", arguments={"text": text}))
        if any(i >= 256 for i in ids) or not text:
            return Message(role=Role.ASSISTANT, text=text, malformed="marks inside an action, or nothing at all")
        return Message(role=Role.ASSISTANT, text=text)


class Caller:
    """Says something of its own each time, and leaves after a while."""

    def __init__(self, seed: int, turns: int) -> None:
        self.rng, self.left = random.Random(seed), turns

    def open(self) -> UserReply:
        return self._say()

    def reply(self, message: Message) -> UserReply:
        return self._say()

    def _say(self) -> UserReply:
        self.left -= 1
        text = "".join(self.rng.choices("abcdefgh ", k=self.rng.randint(1, 9)))
        return UserReply(message=Message(role=Role.USER, text=text), leaves=self.left < 0)


class Echo:
    def call(self, call: ToolCall) -> Message:
        return Message(role=Role.TOOL, text=str(call.arguments["text"])[:5])

    def journal(self) -> tuple[Change, ...]:
        return ()

    def ends_conversation(self, call: ToolCall) -> bool:
        return False


def conversation(number: int, *, turns: int = 3, brief: str = "be kind") -> Conversation:
    return Conversation(
        episode_id=f"e{number}",
        pack="test",
        scenario={},
        seed=number,
        system=Message(role=Role.SYSTEM, text=brief),
        user=Caller(number, turns),
        tools=Echo(),
        limits=Limits(turns=turns, calls=3),
    )


def talkative_policy(seed: int = 2) -> Policy:
    """Random weights that end an action after about ten tokens, and begin some with a call."""
    policy = Policy.fresh(
        ModelShape(vocab_size=262, hidden=32, layers=2, heads=2, intermediate=48, max_positions=512), seed=seed
    )
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.mul_(10 if parameter.dim() > 1 else 1)
        table_VD = policy.model.get_parameter("model.embed_tokens.weight")
        table_VD[:, 0] = 1.0  # a coordinate large in every hidden state makes a token's share of it a bias
        table_VD[END, 0] += 1.9
        table_VD[CALL, 0] += 1.7
    return policy


def row(episode: Episode) -> tuple[list[int], list[bool], list[float]]:
    """An episode's ids, which of them are actions, and the log-probs of these."""
    ids: list[int] = []
    mask: list[bool] = []
    for step in episode.steps:
        ids += [*step.observation_ids, *step.action_ids]
        mask += [False] * len(step.observation_ids) + [True] * len(step.action_ids)
    return ids, mask, [logprob for step in episode.steps for logprob in step.logprobs]
