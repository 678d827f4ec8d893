"""Owns the optimizer and the update rule: episodes in, better weights out, and a record of what happened."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from dialog_rl.errors import CheckpointError, ConfigError, TrainingError
from dialog_rl.rl import losses
from dialog_rl.rl.actor_critic import VALUE_HEAD, ActorCritic, TokenEvaluation
from dialog_rl.rl.algorithm import Algorithm
from dialog_rl.rl.batch import EpisodeBatch, MicroBatch
from dialog_rl.rl.entropy import EntropyController
from dialog_rl.rl.evaluation import Mismatch, evaluate
from dialog_rl.rl.experience import Experience
from dialog_rl.rl.fitting import TokenBudget
from dialog_rl.rl.kl import KLController, KLPlace
from dialog_rl.rl.learner_config import LearnerConfig
from dialog_rl.rl.objective import token_losses
from dialog_rl.rl.passes import Passes
from dialog_rl.rl.team import Alone, Minibatch
from dialog_rl.rl.update_stats import Tally, UpdateEnd, UpdateStats, summarise

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Run:
    """What happens in the course of one update."""

    critic_only: bool
    end: UpdateEnd = UpdateEnd.COMPLETED
    epochs: int = 0
    skipped: int = 0
    norms: list[float] = field(default_factory=list[float])
    tally: Tally = field(default_factory=Tally)


def constant(update: int) -> float:
    """The learning-rate schedule that leaves it alone."""
    return 1.0


class Learner:
    """`update(batch)` improves `policy` in place. Parameters that do not require a gradient stay as they are."""

    def __init__(
        self,
        policy: ActorCritic,
        reference: ActorCritic | None,
        algorithm: Algorithm,
        config: LearnerConfig | None = None,
        *,
        schedule: Callable[[int], float] = constant,
        team: Alone | None = None,
    ) -> None:
        """schedule gives the factor on both learning rates for an update, counted from 0. team: the processes that make
        the update, each of which calls the same with the same.
        """
        self.config = c = config or LearnerConfig()
        self.policy, self.reference, self.algorithm, self._schedule = policy, reference, algorithm, schedule
        trained = [(name, p) for name, p in policy.named_parameters() if p.requires_grad]
        self._critic = [p for name, p in trained if name.startswith(VALUE_HEAD)]
        self._actor = [p for name, p in trained if not name.startswith(VALUE_HEAD)]
        self._check_setup()
        rated = [(self._actor, c.learning_rate), (self._critic, c.value_learning_rate)]
        self._rates = [rate for parameters, rate in rated if parameters]
        groups = [{"params": parameters, "lr": rate} for parameters, rate in rated if parameters]
        self._optimizer = torch.optim.AdamW(groups, weight_decay=c.weight_decay, fused=True)
        self._device = self._actor[0].device
        self._team = team or Alone()
        self._generator = torch.Generator().manual_seed(c.seed)
        self._passes = Passes(TokenBudget(c.token_budget), self._team, self._device)
        self._skips_in_a_row = 0
        self.kl = KLController(c.kl)
        self.entropy = EntropyController(c.entropy_coef, c.entropy_target)
        self.updates = 0

    def _check_setup(self) -> None:
        c, name = self.config, self.algorithm.name
        if not self._actor:
            raise ConfigError("learner: the policy has no parameter that requires a gradient")
        if self.reference is None and self._wants_reference:
            raise ConfigError(f"learner: {name} with KL coefficient {c.kl.coef} needs a reference policy")
        if c.value_warmup_updates and not self._has_critic:
            raise ConfigError(f"learner: value_warmup_updates {c.value_warmup_updates} but {name} or the policy has no "
                              f"value head; set it to 0")  # fmt: skip

    @property
    def _wants_reference(self) -> bool:
        return self.config.kl.coef > 0 or self.algorithm.needs.reference

    @property
    def _has_critic(self) -> bool:
        return self.algorithm.needs.values and bool(self._critic)

    def update(self, batch: EpisodeBatch) -> UpdateStats:
        """Raises TrainingError if the episodes were not sampled from this policy, or if steps keep being non-finite."""
        started = time.perf_counter()
        factor = self._schedule(self.updates)
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        batch = batch.to(self._device)
        self.policy.eval()
        plan = self._plan(batch)
        experience, mismatch = self._experience(batch, plan)
        run = _Run(critic_only=self._critic_only(experience))
        kl_old = self._learn(experience, plan, run)
        tally, padded = self._of_all(run.tally, plan)
        kl_coef = self.kl.coef
        self.updates += 1
        stats = summarise(
            experience, tally, update=self.updates, end=run.end, critic_only=run.critic_only, kl_old=kl_old,
            kl_coef=kl_coef, mismatch=mismatch, norms=run.norms, steps_skipped=run.skipped, epochs=run.epochs,
            padded_tokens=padded,
            explains=self._has_critic, learning_rate=self.config.learning_rate * factor,
            reward_mean=float(batch.episode_return_B[~batch.replayed_B].mean().nan_to_num(0.0)),
            seconds=time.perf_counter() - started,
        )  # fmt: skip
        if self.config.entropy_target is not None:
            stats = replace(stats, terms={**stats.terms, "entropy_coef": self.entropy.coef})
        self.entropy.update(stats.entropy)
        if stats.kl_reference is not None:
            self.kl.update(stats.kl_reference, len(batch))
        return stats

    def imitate(self, batch: EpisodeBatch) -> float:
        """One pass of supervised learning on every action token of the batch, which is no update of its own.

        Returns the negative log-likelihood before the first step, in nats a token.
        """
        batch = batch.to(self._device)
        self.policy.eval()
        losses_seen: list[float] = []
        for minibatch in self._plan(batch):
            tokens = batch.action_mask_BT[minibatch.index_B].sum()

            def surprise(block: MicroBatch, tokens: Tensor = tokens) -> Tensor:
                rows = batch.rows(block.index_B.to(self._device), block.width)
                loss = -losses.masked_sum(evaluate(self.policy, rows).logprobs_BT, rows.action_mask_BT) / tokens
                return self._passes.back(loss, block)[None]

            total = float(self._passes.total(minibatch.blocks, batch.lengths_B, surprise, size=1, begin=self._forget))
            norm = float(self._passes.clip(self._actor, self.config.max_grad_norm))
            if math.isfinite(total) and math.isfinite(norm):
                self._optimizer.step()
            self._forget()
            losses_seen.append(total)
        return losses_seen[0]

    def _forget(self) -> None:
        """The gradients."""
        self._optimizer.zero_grad(set_to_none=True)

    # Before the first step

    def _plan(self, batch: EpisodeBatch) -> tuple[Minibatch, ...]:
        return self._passes.plan(batch, self.config.minibatch_episodes, self._generator)

    def _experience(self, batch: EpisodeBatch, plan: Sequence[Minibatch]) -> tuple[Experience, Mismatch]:
        c = self.config
        old = self._passes.evaluate(self.policy, batch, plan)
        mismatch = Mismatch.measure(batch, old)
        mismatch.require(largest=c.max_mismatch, k3=c.max_mismatch_k3)
        reference_BT = None
        if self.reference is not None and self._wants_reference:
            self.reference.eval()
            reference_BT = self._passes.evaluate(self.reference, batch, plan).logprobs_BT
            if c.kl.place is KLPlace.REWARD:
                penalty_BT = self.kl.coef * losses.kl_divergence(old.logprobs_BT, reference_BT, c.kl.estimator)
                batch = replace(batch, rewards_BT=batch.rewards_BT - penalty_BT.to(batch.rewards_BT.dtype))
        return Experience(
            batch=batch,
            old=old,
            reference_logprobs_BT=reference_BT,
            importance_BT=losses.importance_weights(old.logprobs_BT, batch.sampler_logprobs_BT, cap=c.importance_cap),
            targets=self.algorithm.advantages(batch, old, reference_BT),
        ), mismatch

    def _critic_only(self, experience: Experience) -> bool:
        """Warm-up, or a batch that tells the policy nothing: then momentum must not move it either."""
        if self.updates < self.config.value_warmup_updates:
            return True
        imitates = self.config.imitation_coef > 0 and bool(experience.batch.imitate_B.any())
        return not imitates and not bool(experience.targets.advantages_BT.any())

    # Steps

    def _learn(self, experience: Experience, plan: Sequence[Minibatch], run: _Run) -> float:
        """All epochs; returns how far the policy went in the end, KL(old || new) in nats a token."""
        if run.critic_only and not self._has_critic:
            run.end = UpdateEnd.NOTHING_TO_LEARN
            return 0.0
        snapshot = None if run.critic_only or math.isinf(self.config.kl_discard) else self._snapshot()
        with self._gradients(run):
            for epoch in range(1 if self.algorithm.needs.single_epoch else self.config.epochs):
                run.epochs += 1
                if not all(
                    self._step(experience, minibatch, run)
                    for minibatch in (plan if epoch == 0 else self._plan(experience.batch))
                ):
                    run.end = UpdateEnd.KL_STOP
                    break
        if run.critic_only:
            return 0.0
        distance = self._distance(experience)
        if snapshot is not None and not distance <= self.config.kl_discard:
            self._restore(snapshot)
            run.end = UpdateEnd.DISCARDED
            logger.warning("update undone: the policy had moved %.3g nats a token", distance)
        return distance

    @contextmanager
    def _gradients(self, run: _Run) -> Iterator[None]:
        """Where only the critic learns, the gradient stops at its head: the policy stays, and costs no backward."""
        frozen = self._actor if run.critic_only else []
        try:
            for p in frozen:
                p.requires_grad_(False)
            yield
        finally:
            for p in frozen:
                p.requires_grad_(True)
            self._forget()

    def _step(self, experience: Experience, minibatch: Minibatch, run: _Run) -> bool:
        """One optimizer step, or none if it is not finite. False at the KL limit, where learning has to stop."""
        loss, kl = self._gradient(experience, minibatch, run).unbind()
        parameters = self._critic if run.critic_only else [*self._actor, *self._critic]
        norm = self._passes.clip(parameters, self.config.max_grad_norm)
        seen_loss, seen_norm, seen_kl = torch.stack([loss, norm.to(loss.dtype), kl]).tolist()  # the one wait a step
        if run.norms and seen_kl > self.config.kl_stop:
            return False
        if math.isfinite(seen_loss) and math.isfinite(seen_norm):
            for p in self._actor if run.critic_only else ():
                p.grad = None  # FSDP leaves zeros at what is frozen beside what learns
            self._optimizer.step()
            self._skips_in_a_row = 0
            run.norms.append(seen_norm)
        else:
            self._skip(run, seen_loss, seen_norm)
        self._forget()
        return True

    def _skip(self, run: _Run, loss: float, norm: float) -> None:
        run.skipped += 1
        self._skips_in_a_row += 1
        logger.warning("optimizer step skipped: loss %s, gradient norm %s", loss, norm)
        if self._skips_in_a_row >= self.config.max_skips:
            raise TrainingError(
                f"{self._skips_in_a_row} optimizer steps in a row were not finite (loss {loss}, gradient norm {norm}); "
                f"the weights are those of the last good step: lower the learning rate or look at the rewards"
            )

    def _gradient(self, experience: Experience, minibatch: Minibatch, run: _Run) -> Tensor:
        """Accumulates the gradient over the blocks; returns the minibatch's loss and mean KL(old || new)."""
        tokens = experience.batch.action_mask_BT[minibatch.index_B].sum()
        fresh_tokens = experience.mask_BT[minibatch.index_B].sum().clamp(min=1)
        before = run.tally

        def begin() -> None:
            run.tally = before.copy()
            self._forget()

        def part(block: MicroBatch) -> Tensor:
            tally = run.tally if block.counts else Tally()
            rows = experience.rows(block)
            new = evaluate(self.policy, rows.batch)
            losses_BT = self._loss(new, rows, tally, critic_only=run.critic_only)
            loss = self._passes.back(losses.masked_sum(losses_BT, rows.batch.action_mask_BT) / tokens, block)
            kl = tally.watch(new, rows) / fresh_tokens
            return torch.stack([loss, kl.to(loss.dtype)])

        return self._passes.total(minibatch.blocks, experience.batch.lengths_B, part, size=2, begin=begin)

    def _loss(self, new: TokenEvaluation, rows: Experience, tally: Tally, *, critic_only: bool) -> Tensor:
        """Each token's share in the loss."""
        return token_losses(
            new, rows, tally, algorithm=self.algorithm, config=self.config, kl_coef=self.kl.coef,
            entropy_coef=self.entropy.coef, critic_only=critic_only,
        )  # fmt: skip

    # After the last step

    @torch.no_grad()
    def _distance(self, experience: Experience) -> float:
        """Mean k3 of KL(old || new) on `check_episodes` rows, short and long ones as often as they occur."""
        lengths = experience.batch.lengths_B.tolist()
        by_length = sorted(range(len(lengths)), key=lengths.__getitem__)
        some = by_length[:: -(-len(by_length) // self.config.check_episodes)]

        def part(block: MicroBatch) -> Tensor:
            rows = experience.rows(block)
            kl = Tally().watch(evaluate(self.policy, rows.batch), rows)
            return torch.stack([kl, rows.mask_BT.sum()])

        blocks = self._passes.some(experience.batch, some)
        kl, tokens = self._passes.total(blocks, experience.batch.lengths_B, part, size=2).tolist()
        return kl / max(tokens, 1)

    def _of_all(self, tally: Tally, plan: Sequence[Minibatch]) -> tuple[Tally, int]:
        """What all processes have seen, and the positions that went through them in an epoch, padding counted."""
        padded = sum(len(block.index_B) * block.width for minibatch in plan for block in minibatch.blocks)
        (first, positions), *others = self._team.gather((tally, padded))
        for other, more in others:
            first.merge(other)
            positions += more
        return first, positions

    def _snapshot(self) -> tuple[list[Tensor], dict[str, Any]]:
        weights = [p.detach().clone() for p in (*self._actor, *self._critic)]
        return weights, copy.deepcopy(self._optimizer.state_dict())

    @torch.no_grad()
    def _restore(self, snapshot: tuple[list[Tensor], dict[str, Any]]) -> None:
        weights, optimizer = snapshot
        for p, weight in zip((*self._actor, *self._critic), weights, strict=True):
            p.copy_(weight)
        self._optimizer.load_state_dict(optimizer)

    # Resuming

    def state_dict(self) -> dict[str, Any]:
        """Everything but the weights, which the policy saves itself. With both, resuming is exact to the last bit."""
        return {
            "algorithm": self.algorithm.name,
            "optimizer": self._team.whole(copy.deepcopy(self._optimizer.state_dict())),
            "kl": self.kl.state_dict(),
            "entropy": self.entropy.state_dict(),
            "generator": self._generator.get_state(),
            "token_budget": self._passes.budget.positions,
            "updates": self.updates,
            "skips_in_a_row": self._skips_in_a_row,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises CheckpointError if the state is another algorithm's or does not fit the policy."""
        if state["algorithm"] != self.algorithm.name:
            raise CheckpointError(f"training state of {state['algorithm']!r}; this run uses {self.algorithm.name!r}")
        try:
            held = self._team.parts(copy.deepcopy(state["optimizer"]), self._optimizer)
            self._optimizer.load_state_dict(held)
        except ValueError as e:
            raise CheckpointError(f"the training state does not fit the policy: {e}") from e
        self.kl.load_state_dict(state["kl"])
        self.entropy.load_state_dict(state.get("entropy", self.entropy.state_dict()))
        self._passes.budget.restore(int(state.get("token_budget", self._passes.budget.positions)))
        self._generator.set_state(state["generator"])
        self.updates, self._skips_in_a_row = int(state["updates"]), int(state["skips_in_a_row"])
