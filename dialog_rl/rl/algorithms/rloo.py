"""REINFORCE against the mean of the other episodes of the scenario. Source: Ahmadian et al. 2024, arXiv:2402.14740."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dialog_rl.rl import advantages as estimators
from dialog_rl.rl.actor_critic import Evaluation
from dialog_rl.rl.algorithm import Loss, Needs, shared_by_tokens
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.experience import Experience, Targets


@dataclass(frozen=True, slots=True)
class RLOO:
    """Has nothing to set. An episode is one action; a scenario that ran once teaches nothing."""

    name: str = "rloo"
    needs: Needs = Needs(groups=True, single_epoch=True)

    def advantages(self, batch: EpisodeBatch, old: Evaluation, reference_logprobs_BT: Tensor | None) -> Targets:
        advantage_B = estimators.leave_one_out(batch.episode_return_B, batch.group_B, ~batch.replayed_B)
        return shared_by_tokens(advantage_B, batch, old)

    def loss(self, new: Evaluation, rows: Experience) -> Loss:
        return Loss(policy_BT=-new.logprobs_BT * rows.targets.advantages_BT)
