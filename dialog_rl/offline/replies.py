"""Replies as rows of ids: a conversation up to a turn, and in it the tokens that a judgement is about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from dialog_rl.episode import Episode, Message, Role, Turn
from dialog_rl.lm.model import ChatRenderer
from dialog_rl.lm.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    prefix: tuple[int, ...]
    steps: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    """Observed and sampled ids, step after step."""

    @property
    def ids(self) -> list[int]:
        return [*self.prefix, *(i for seen, said in self.steps for i in (*seen, *said))]

    @property
    def mask(self) -> list[bool]:
        own = [m for seen, said in self.steps for m in (*[False] * len(seen), *[True] * len(said))]
        return [False] * len(self.prefix) + own


def reply_of(episode: Episode, number: int, turn: Turn | None = None) -> Reply:
    """A turn of the episode, or another that might stand in its place."""
    before = episode.turns[:number]
    prefix = tuple(i for t in before for s in t.steps for i in (*s.observation_ids, *s.action_ids))
    steps = (turn or episode.turns[number]).steps
    return Reply(prefix=prefix, steps=tuple((s.observation_ids, s.action_ids) for s in steps))


def spelled(episode: Episode, renderer: ChatRenderer) -> list[Reply]:
    """Every reply of an episode, whoever made it, as this renderer's model would have read and said it."""
    found: list[Reply] = []
    prefix: list[int] = []
    heard = [episode.system]
    for turn in episode.turns:
        heard.append(turn.user)
        steps: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        for step in turn.steps:
            steps.append((tuple(renderer.observe(heard)), tuple(renderer.action(step.message))))
            heard = [] if step.result is None else [step.result]
        if steps:
            found.append(Reply(prefix=tuple(prefix), steps=tuple(steps)))
        prefix += [i for seen, said in steps for i in (*seen, *said)]
    return found


def whole(episode: Episode, renderer: ChatRenderer) -> Reply:
    """Everything the agent did in an episode: as it was sampled where it was sampled so, else as `spelled`."""
    own = episode.tokenizer == renderer.fingerprint and all(step.action_ids for step in episode.steps)
    if own:
        return Reply(prefix=(), steps=tuple((step.observation_ids, step.action_ids) for step in episode.steps))
    return Reply(prefix=(), steps=tuple(step for reply in spelled(episode, renderer) for step in reply.steps))


def corrected(episode: Episode, number: int, text: str, renderer: ChatRenderer) -> Reply:
    """The turn as a person would have had it: what was called stands as context, what was said is replaced."""
    said = reply_of(episode, number)
    seen = [i for observed, acted in said.steps[:-1] for i in (*observed, *acted)]
    action = renderer.action(Message(role=Role.ASSISTANT, text=text))
    return Reply(prefix=(*said.prefix, *seen), steps=((said.steps[-1][0], tuple(action)),))


def hinted(episode: Episode, number: int, hint: str, renderer: ChatRenderer) -> Reply:
    """The turn as it was, in a conversation where the hint came before the user's message."""
    said = reply_of(episode, number)
    heard = [Message(role=Role.USER, text=hint), episode.turns[number].user]
    first = renderer.observe([episode.system, *heard] if number == 0 else heard)
    return Reply(prefix=said.prefix, steps=((tuple(first), said.steps[0][1]), *said.steps[1:]))


def around(episode: Episode, number: int) -> Reply:
    """All that the agent did in an episode but for one turn, which stands there as context."""
    heard: tuple[int, ...] = ()
    steps: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    for place, turn in enumerate(episode.turns):
        for step in turn.steps:
            heard += step.observation_ids
            if place == number:
                heard += step.action_ids
            elif step.action_ids:
                steps.append((heard, step.action_ids))
                heard = ()
    return Reply(prefix=(), steps=tuple(steps))


class Judged(NamedTuple):
    logprobs_BT: Tensor
    mask_BT: Tensor

    @property
    def total_B(self) -> Tensor:
        """Of the whole reply."""
        return torch.where(self.mask_BT, self.logprobs_BT, 0.0).sum(1)


def padded(replies: Sequence[Reply], pad_id: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """ids_BT, lengths_B and mask_BT."""
    ids_BT = pad_sequence([torch.tensor(reply.ids) for reply in replies], batch_first=True, padding_value=pad_id)
    mask_BT = pad_sequence([torch.tensor(reply.mask) for reply in replies], batch_first=True)
    lengths_B = torch.tensor([len(reply.ids) for reply in replies])
    return ids_BT.to(device), lengths_B.to(device), mask_BT.to(device)


def judge(policy: Policy, replies: Sequence[Reply], pad_id: int) -> Judged:
    """How likely the policy finds each reply. Gradients flow."""
    ids_BT, lengths_B, mask_BT = padded(replies, pad_id, policy.device)
    return Judged(policy.evaluate(ids_BT, lengths_B, mask_BT).logprobs_BT, mask_BT)


def fits(reply: Reply, policy: Policy) -> bool:
    return any(reply.mask) and not reply.mask[0] and len(reply.ids) <= policy.max_positions


@torch.no_grad()
def features(policy: Policy, replies: Sequence[Reply], pad_id: int, *, rows: int = 16) -> Tensor:
    """What a reward model sees: the mean hidden state over the reply, its last one, and the logarithm of its length."""
    return torch.cat([_features(policy, block, pad_id) for block in _blocks(replies, rows)])


def _features(policy: Policy, replies: Sequence[Reply], pad_id: int) -> Tensor:
    ids_BT, lengths_B, mask_BT = padded(replies, pad_id, policy.device)
    hidden_BTD = policy.hidden(ids_BT)
    count_B1 = mask_BT.sum(1, keepdim=True)
    mean_BD = torch.where(mask_BT[..., None], hidden_BTD, 0.0).sum(1) / count_B1
    last_BD = hidden_BTD[torch.arange(len(replies), device=policy.device), lengths_B - 1]
    return torch.cat([mean_BD, last_BD, count_B1.float().log()], 1).cpu()


def _blocks(replies: Sequence[Reply], rows: int) -> Iterator[Sequence[Reply]]:
    for start in range(0, len(replies), rows):
        yield replies[start : start + rows]
