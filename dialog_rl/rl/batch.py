"""Episodes as padded tensors, one row an episode, and their division into minibatches and micro-batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from dialog_rl.episode import Episode, StopReason, to_json
from dialog_rl.errors import TrainingError
from dialog_rl.scoring import ScoredEpisode

WIDTH_STEP = 32
"""Positions. On a CPU every shape of a bf16 product costs milliseconds to prepare and is kept: with exact widths a
process that trains grows by 0.3 GB an update, with these it stays at its first size, for 3 % more padding."""

_DTYPES = {
    "ids_BT": torch.long, "action_mask_BT": torch.bool, "sampler_logprobs_BT": torch.float32,
    "rewards_BT": torch.float32, "step_index_BT": torch.long, "lengths_B": torch.long, "group_B": torch.long,
    "task_B": torch.long, "truncated_B": torch.bool, "replayed_B": torch.bool, "imitate_B": torch.bool,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeBatch:
    ids_BT: Tensor
    """Every step's observation ids and action ids, in order, right-padded."""
    lengths_B: Tensor
    action_mask_BT: Tensor
    """True where the policy sampled the token."""
    sampler_logprobs_BT: Tensor
    """Nats, under the distribution the token was sampled from; 0 off action tokens."""
    rewards_BT: Tensor
    """A step's reward at its last action token, the episode's at the last action token of all."""
    step_index_BT: Tensor
    """Which Step (place in `episode.steps`) an action token belongs to; -1 off action tokens."""
    truncated_B: Tensor
    """The episode was cut off in mid-air, so its value does not end with it."""
    group_B: Tensor
    """Number of the scenario: episodes of one group can be compared with each other."""
    task_B: Tensor
    """Number of the pack: what episodes of different tasks earn is not alike."""
    replayed_B: Tensor
    """Not sampled by the policy that is learning: imitated, never part of the policy gradient or of its statistics."""
    imitate_B: Tensor
    """Its action tokens are raised in likelihood by `LearnerConfig.imitation_coef`."""
    temperature: float = 1.0
    """What the logits were divided by when sampling."""
    dropped_broken: int = 0
    """Episodes left out because they neither terminated nor were truncated: a broken simulator, or an abort."""
    dropped_silent: int = 0
    """Episodes left out because the policy sampled no token in them."""

    def __post_init__(self) -> None:
        rows, width = self.ids_BT.shape
        for name, dtype in _DTYPES.items():
            tensor: Tensor = getattr(self, name)
            shape = (rows, width) if name.endswith("_BT") else (rows,)
            if tensor.shape != shape or tensor.dtype != dtype:
                raise ValueError(f"{name} is {tensor.dtype}{list(tensor.shape)}; expected {dtype}{list(shape)}")

    def __len__(self) -> int:
        return self.ids_BT.shape[0]

    @property
    def fresh_mask_BT(self) -> Tensor:
        """The action tokens that the policy gradient is about."""
        return self.action_mask_BT & ~self.replayed_B[:, None]

    @property
    def episode_return_B(self) -> Tensor:
        """Undiscounted sum of the row's rewards."""
        return torch.where(self.action_mask_BT, self.rewards_BT, 0.0).sum(1)

    def rows(self, index_B: Tensor, width: int | None = None) -> EpisodeBatch:
        """Some episodes, trimmed to `width` positions (by default the longest of them)."""
        width = int(self.lengths_B[index_B].max()) if width is None else width
        return replace(self, **{
            name: getattr(self, name)[index_B, :width] if name.endswith("_BT") else getattr(self, name)[index_B]
            for name in _DTYPES
        })  # fmt: skip

    def to(self, device: torch.device) -> EpisodeBatch:
        return replace(self, **{name: getattr(self, name).to(device) for name in _DTYPES})

    @classmethod
    def from_scored(
        cls,
        scored: Sequence[ScoredEpisode],
        pad_id: int,
        *,
        replayed: Sequence[ScoredEpisode] = (),
        imitate: Callable[[ScoredEpisode], bool] | None = None,
        group_of: Callable[[ScoredEpisode], Hashable] | None = None,
    ) -> EpisodeBatch:
        """Fresh episodes, and older ones to be imitated only.

        imitate says which fresh episodes are imitated beside their policy gradient (none by default); group_of is what
        the episodes of a group share (by default the scenario as it was run). Raises TrainingError if nothing is left
        to learn from, or if the episodes come of different tokenizers or temperatures.
        """
        broken = silent = 0
        kept: list[tuple[ScoredEpisode, bool]] = []
        for one, old in [*((s, False) for s in scored), *((s, True) for s in replayed)]:
            if not one.episode.stop.trainable:
                broken += 1
            elif not any(step.action_ids for step in one.episode.steps):
                silent += 1
            else:
                kept.append((one, old))
        if not kept:
            raise TrainingError(
                f"nothing to learn from: of {len(scored) + len(replayed)} episodes {broken} were broken off "
                f"and {silent} hold no sampled token{_why_silent([one.episode for one in (*scored, *replayed)])}"
            )
        groups: dict[Hashable, int] = {}
        tasks: dict[str, int] = {}
        key = group_of or _scenario_key
        return cls(
            **_pad([_row(one) for one, _ in kept], pad_id),
            truncated_B=torch.tensor([one.episode.stop.truncated for one, _ in kept]),
            group_B=torch.tensor([groups.setdefault(key(one), len(groups)) for one, _ in kept]),
            task_B=torch.tensor([tasks.setdefault(one.episode.pack, len(tasks)) for one, _ in kept]),
            replayed_B=torch.tensor([old for _, old in kept]),
            imitate_B=torch.tensor([old or (imitate is not None and imitate(one)) for one, old in kept]),
            temperature=_shared_temperature(kept),
            dropped_broken=broken,
            dropped_silent=silent,
        )


def _why_silent(episodes: Sequence[Episode]) -> str:
    """Said where it is so: a brief in a strange tokenizer is easily longer than a small model's positions."""
    full = sum(e.stop is StopReason.CONTEXT_FULL and not any(step.action_ids for step in e.steps) for e in episodes)
    return (
        f"; in {full} of them the brief and the first message alone filled the context: take a model with more "
        "positions, a pack with a shorter brief, or raise model.context"
        if full else ""
    )  # fmt: skip


def _scenario_key(scored: ScoredEpisode) -> Hashable:
    return scored.episode.pack, json.dumps(to_json(scored.episode.scenario), sort_keys=True, default=str)


def _shared_temperature(kept: Sequence[tuple[ScoredEpisode, bool]]) -> float:
    tokenizers = {one.episode.tokenizer for one, _ in kept}
    if len(tokenizers) > 1:
        raise TrainingError(f"episodes of several tokenizers in one batch: {sorted(tokenizers)}; train on those of one")
    temperatures = {one.episode.temperature for one, old in kept if not old} or {1.0}
    if len(temperatures) > 1 or min(temperatures) <= 0:
        raise TrainingError(f"sampling temperatures {sorted(temperatures)} in one batch; sample all at one above 0")
    return temperatures.pop()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    ids: list[int]
    action_mask: list[bool]
    sampler_logprobs: list[float]
    rewards: list[float]
    step_index: list[int]


def _row(scored: ScoredEpisode) -> _Row:
    row = _Row(ids=[], action_mask=[], sampler_logprobs=[], rewards=[], step_index=[])
    steps = tuple(scored.episode.steps)
    step_rewards = scored.step_rewards or (0.0,) * len(steps)
    if len(step_rewards) != len(steps):
        name = scored.episode.episode_id
        raise ValueError(f"episode {name!r}: {len(step_rewards)} step rewards for {len(steps)} steps")
    owed, last = 0.0, -1  # the reward of a step without sampled tokens is paid with the next step that has some
    for number, (step, reward) in enumerate(zip(steps, step_rewards, strict=True)):
        seen, acted = len(step.observation_ids), len(step.action_ids)
        row.ids.extend((*step.observation_ids, *step.action_ids))
        row.action_mask.extend([False] * seen + [True] * acted)
        row.sampler_logprobs.extend((*[0.0] * seen, *step.logprobs))
        row.rewards.extend([0.0] * (seen + acted))
        row.step_index.extend([-1] * seen + [number] * acted)
        owed += reward
        if acted:
            last = len(row.ids) - 1
            row.rewards[last], owed = owed, 0.0
    if row.action_mask[0]:
        raise ValueError(f"episode {scored.episode.episode_id!r}: the first token is an action, chosen upon no prefix")
    row.rewards[last] += scored.reward + owed
    return row


def _pad(rows: Sequence[_Row], pad_id: int) -> dict[str, Tensor]:
    def padded(name: str, fill: float) -> Tensor:
        tensors = [torch.tensor(getattr(row, name), dtype=_DTYPES[f"{name}_BT"]) for row in rows]
        return pad_sequence(tensors, batch_first=True, padding_value=fill)

    fills = {"ids": pad_id, "action_mask": False, "sampler_logprobs": 0.0, "rewards": 0.0, "step_index": -1}
    if {field.name for field in fields(_Row)} != set(fills):
        raise AssertionError("every field of a row needs a padding value")
    columns = {f"{name}_BT": padded(name, fill) for name, fill in fills.items()}
    return {**columns, "lengths_B": torch.tensor([len(row.ids) for row in rows])}


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroBatch:
    """Rows that go through the policy together."""

    index_B: Tensor
    width: int
    """Positions of the longest of them."""
    counts: bool = True
    """False: these rows are another process's, and go through this one only so that all do so equally often."""


def micro_batches(lengths: Sequence[int], index: Sequence[int], token_budget: int) -> tuple[MicroBatch, ...]:
    """The rows of `index`, longest first, in blocks of at most `token_budget` positions, padding counted.

    Rows of like length stand together, so little is padded. A row longer than the budget goes alone. Widths are
    multiples of WIDTH_STEP, or that of the whole batch.
    """
    longest = max(lengths, default=0)

    def width(row: int) -> int:
        return min(-(-lengths[row] // WIDTH_STEP) * WIDTH_STEP, longest)

    ordered = sorted(index, key=lambda row: (-lengths[row], row))
    blocks: list[list[int]] = []
    for row in ordered:
        if blocks and width(blocks[-1][0]) * (len(blocks[-1]) + 1) <= token_budget:
            blocks[-1].append(row)
        else:
            blocks.append([row])
    return tuple(MicroBatch(index_B=torch.tensor(block), width=width(block[0])) for block in blocks)


def minibatches(
    lengths: Sequence[int], episodes: int, token_budget: int, generator: torch.Generator
) -> tuple[tuple[MicroBatch, ...], ...]:
    """One epoch: all rows in random order, in minibatches of nearly equal size (about `episodes`) of micro-batches.

    A minibatch is one optimizer step; how it is cut into micro-batches changes memory and time, not the gradient.
    """
    order = torch.randperm(len(lengths), generator=generator)
    parts = torch.tensor_split(order, max(1, round(len(lengths) / episodes)))
    return tuple(micro_batches(lengths, part.tolist(), token_budget) for part in parts)
