"""The contract of an algorithm: what it needs, how good each token was, and what follows for the weights.

Everything else is shared and lives in the learner: batching, old and reference log-probabilities, importance weights,
KL penalty, entropy bonus, imitation, clipping of gradients, guards, statistics, resuming.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from dialog_rl.rl import advantages as estimators
from dialog_rl.rl.actor_critic import Evaluation
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.choices import Level
from dialog_rl.rl.experience import Experience, Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    values: bool = False
    """The value head is trained; `Loss.value_BT` is given."""
    reference: bool = False
    """`Experience.reference_logprobs_BT` is given even where no KL penalty asks for it."""
    groups: bool = False
    """Several episodes a scenario: whoever collects them should run each scenario more than once."""
    single_epoch: bool = False
    """The gradient is right only for the policy that sampled: one pass, whatever `LearnerConfig.epochs` says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """One number a token. The learner sums over the minibatch and divides by its action tokens, so no algorithm can
    weigh a token by the micro-batch it happened to be in. What stands off `Experience.mask_BT` is ignored.
    """

    policy_BT: Tensor
    value_BT: Tensor | None = None
    """Its coefficient included."""
    terms: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    """Whatever else is worth a curve, averaged over tokens and minibatches into `UpdateStats.terms`."""


class Algorithm(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def needs(self) -> Needs: ...

    def advantages(self, batch: EpisodeBatch, old: Evaluation, reference_logprobs_BT: Tensor | None) -> Targets:
        """Computed once, over the whole batch, before the first step. No gradient flows."""
        ...

    def loss(self, new: Evaluation, rows: Experience) -> Loss:
        """Of some of the rows; `new` carries the gradient and is zero off action tokens."""
        ...


def shared_by_tokens(advantage_B: Tensor, batch: EpisodeBatch, old: Evaluation) -> Targets:
    """Every action token gets its episode's advantage; there is no critic."""
    zero_BT = torch.zeros_like(old.logprobs_BT)
    shared_BT = advantage_B.to(zero_BT.dtype)[:, None].expand_as(zero_BT)
    return Targets(advantages_BT=torch.where(batch.fresh_mask_BT, shared_BT, zero_BT), returns_BT=zero_BT)


def bootstrap(batch: EpisodeBatch, old: Evaluation) -> Tensor:
    """The value after the last action: of a truncated episode what the critic still expects, of a terminated one 0."""
    return torch.where(batch.truncated_B, old.final_value_B, torch.zeros_like(old.final_value_B))


def estimate(
    batch: EpisodeBatch, values_BT: Tensor, end_B: Tensor, *, level: Level, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """GAE over the batch's fresh action tokens or steps: advantages_BT and returns_BT. end_B as by `bootstrap`."""
    mask_BT = batch.fresh_mask_BT
    if level is Level.TOKEN:
        return estimators.gae(batch.rewards_BT, values_BT, mask_BT, end_B, gamma=gamma, lam=lam)
    return estimators.step_gae(
        batch.rewards_BT, values_BT, mask_BT, batch.step_index_BT, end_B, gamma=gamma, lam=lam
    )  # fmt: skip
