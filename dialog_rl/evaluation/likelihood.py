"""How likely a model finds what was said: what a reward is lent that needs the reference policy."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence

from dialog_rl.episode import Episode, Step
from dialog_rl.evaluation.remembering import RememberingPolicy
from dialog_rl.lm.model import ChatRenderer, SpeakingModel
from dialog_rl.rl.batch import micro_batches

TOKEN_BUDGET = 8192
"""Positions that go through the model together, padding counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    ids: list[int]
    step_of: list[int]
    """Which step an id was an action of; -1 for what was observed, and for what cannot be judged."""


class Likelihoods:
    """Mean log-likelihood of each Step's action tokens under a model, in nats a token, one list an episode.

    None where a step has no tokens, or stands beyond the model's context. Token ids count as they were sampled; where
    there are none of this model's, the text is spelled as its tokenizer does, which is good enough to measure by.
    Asked about the same episodes again, as by a second reward, it answers from memory.
    """

    def __init__(self, model: SpeakingModel, *, token_budget: int = TOKEN_BUDGET) -> None:
        self._model, self._token_budget = model, token_budget
        self._last: tuple[Sequence[Episode], list[list[float | None]]] = ((), [])

    def __call__(self, episodes: Sequence[Episode]) -> list[list[float | None]]:
        asked, found = self._last
        if len(asked) != len(episodes) or any(a is not b for a, b in zip(asked, episodes, strict=True)):
            found = self._measure(episodes)
            self._last = tuple(episodes), found
        return [list(steps) for steps in found]

    @torch.no_grad()
    def _measure(self, episodes: Sequence[Episode]) -> list[list[float | None]]:
        rows = [self._row(episode) for episode in episodes]
        means: list[list[float | None]] = [[None] * sum(1 for _ in episode.steps) for episode in episodes]
        lengths = [len(row.ids) for row in rows]
        judged = [n for n, row in enumerate(rows) if any(step >= 0 for step in row.step_of)]
        policy = self._model.policy
        with policy.taking_note() if isinstance(policy, RememberingPolicy) else nullcontext():
            for block in micro_batches(lengths, judged, self._token_budget):
                index = block.index_B.tolist()
                for n, logprobs in zip(index, self._logprobs([rows[n] for n in index]), strict=True):
                    _fill(means[n], rows[n].step_of, logprobs)
        return means

    def _logprobs(self, rows: Sequence[_Row]) -> list[list[float]]:
        policy = self._model.policy
        ids_BT = _padded([row.ids for row in rows], self._model.renderer.pad_id)
        step_BT = _padded([row.step_of for row in rows], -1)
        lengths_B = torch.tensor([len(row.ids) for row in rows])
        found = policy.eval().evaluate(
            ids_BT.to(policy.device), lengths_B.to(policy.device), (step_BT >= 0).to(policy.device)
        )
        return found.logprobs_BT.tolist()

    def _row(self, episode: Episode) -> _Row:
        renderer = self._model.renderer
        sampled = episode.tokenizer == renderer.fingerprint
        row = _Row(ids=[], step_of=[])
        unobserved = [episode.system]
        number = 0
        for turn in episode.turns:
            unobserved.append(turn.user)
            for step in turn.steps:
                if sampled and step.action_ids:
                    observed, acted = step.observation_ids, step.action_ids
                else:
                    observed, acted = renderer.observe(unobserved), _spelled(step, renderer)
                judged = number if acted and (sampled or not step.message.malformed) else -1
                row.ids.extend((*observed, *acted))
                row.step_of.extend([-1] * len(observed) + [judged] * len(acted))
                unobserved = [step.result] if step.result is not None else []
                number += 1
        limit = self._model.policy.max_positions
        return _Row(ids=row.ids[:limit], step_of=_whole_steps(row.step_of, limit))


def _spelled(step: Step, renderer: ChatRenderer) -> tuple[int, ...]:
    """A step's ids as its text is spelled; what could not be read as a call is spelled as it stands."""
    if step.message.malformed:
        return (*renderer.tokenizer.encode(step.message.text), renderer.end_id)
    return renderer.action(step.message)


def _whole_steps(step_of: list[int], limit: int) -> list[int]:
    """The first `limit` places, without the step that the limit cuts in two."""
    kept = step_of[:limit]
    cut = step_of[limit] if len(step_of) > limit else -1
    return [-1 if step == cut else step for step in kept]


def _padded(rows: Sequence[Sequence[int]], fill: int) -> torch.Tensor:
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=fill)


def _fill(means: list[float | None], step_of: Sequence[int], logprobs: Sequence[float]) -> None:
    """Put the mean over each step's tokens in its place."""
    sums, counts = [0.0] * len(means), [0] * len(means)
    for step, logprob in zip(step_of, logprobs, strict=False):
        if step >= 0:
            sums[step] += logprob
            counts[step] += 1
    for step, count in enumerate(counts):
        if count:
            means[step] = sums[step] / count
