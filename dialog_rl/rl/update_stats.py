"""What one update did: the record, and the sums it is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from dialog_rl.rl import losses
from dialog_rl.rl.actor_critic import Evaluation
from dialog_rl.rl.advantages import masked_moments
from dialog_rl.rl.choices import KLEstimator
from dialog_rl.rl.evaluation import Mismatch
from dialog_rl.rl.experience import Experience


class UpdateEnd(StrEnum):
    COMPLETED = "completed"
    KL_STOP = "kl_stop"
    """Left early, at the KL limit; what was learned until then is kept."""
    DISCARDED = "discarded"
    """The policy had moved beyond the hard limit: weights and optimizer are as they were before."""
    NOTHING_TO_LEARN = "nothing_to_learn"
    """All episodes alike and no critic to train."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateStats:
    """Means are over the action tokens of fresh episodes, in nats where they are log-probabilities."""

    update: int
    """1 for the first."""
    end: UpdateEnd
    critic_only: bool
    """Only the value head was trained: warm-up, or a batch whose advantages are all zero."""
    episodes: int
    dropped_broken: int
    dropped_silent: int
    action_tokens: int
    tokens: int
    """Real positions of all rows, observations included."""
    padded_tokens: int
    """Positions of one epoch's micro-batches, padding included."""
    reward_mean: float
    """Of the fresh episodes' returns."""
    policy_loss: float
    value_loss: float
    """Its coefficient included."""
    imitation_loss: float
    """Negative log-likelihood of the imitated tokens."""
    entropy: float
    """Of the old policy."""
    kl_old: float
    """KL(old || new) after the last step, k3, on `LearnerConfig.check_episodes` of the episodes."""
    kl_reference: float | None
    """KL(old || reference), k3; None without a reference."""
    kl_coef: float
    """In force during this update."""
    ratio_min: float
    ratio_max: float
    explained_variance: float | None
    """1 - Var(returns - old values) / Var(returns); None if the returns do not vary or nothing predicts them."""
    advantage_std: float
    grad_norm: float
    """Mean over steps, before clipping."""
    grad_norm_max: float
    steps: int
    """Optimizer steps taken."""
    steps_skipped: int
    """Steps not taken because loss or gradient was not finite."""
    epochs: int
    """Epochs begun."""
    learning_rate: float
    mismatch_max: float
    """Largest difference between the sampler's log-probability and the learner's."""
    mismatch_k3: float
    """KL(sampler || learner)."""
    seconds: float
    terms: Mapping[str, float]
    """What the algorithm reported of itself."""

    @property
    def clip_fraction(self) -> float:
        return self.terms.get("clip_fraction", 0.0)


class Tally:
    """Sums over the minibatches of an update, kept on the device and read once."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._weights: dict[str, Tensor] = {}
        self._ratio_min: Tensor | None = None
        self._ratio_max: Tensor | None = None

    def copy(self) -> Tally:
        """The same sums, to which more can be added without changing these."""
        made = Tally()
        made._sums, made._weights = dict(self._sums), dict(self._weights)
        made._ratio_min, made._ratio_max = self._ratio_min, self._ratio_max
        return made

    def add(self, name: str, x_BT: Tensor, mask_BT: Tensor) -> None:
        total, weight = losses.masked_sum(x_BT.detach(), mask_BT), mask_BT.sum()
        self._sums[name] = self._sums[name] + total if name in self._sums else total
        self._weights[name] = self._weights[name] + weight if name in self._weights else weight

    def watch(self, new: Evaluation, rows: Experience) -> Tensor:
        """The ratios of some rows; returns the sum of their KL(old || new)."""
        mask_BT = rows.mask_BT
        log_ratio_BT = losses.log_ratio(new.logprobs_BT.detach(), rows.old.logprobs_BT)
        low = torch.where(mask_BT, log_ratio_BT, torch.inf).min()
        high = torch.where(mask_BT, log_ratio_BT, -torch.inf).max()
        self._ratio_min = low if self._ratio_min is None else torch.minimum(self._ratio_min, low)
        self._ratio_max = high if self._ratio_max is None else torch.maximum(self._ratio_max, high)
        kl_BT = losses.kl_divergence(rows.old.logprobs_BT, new.logprobs_BT.detach(), KLEstimator.K3)
        return losses.masked_sum(kl_BT, mask_BT)

    def merge(self, other: Tally) -> None:
        """Add what another process has seen."""
        for name, total in other._sums.items():
            here = name in self._sums
            self._sums[name] = self._sums[name] + total if here else total
            self._weights[name] = self._weights[name] + other._weights[name] if here else other._weights[name]
        lows = [x for x in (self._ratio_min, other._ratio_min) if x is not None]
        highs = [x for x in (self._ratio_max, other._ratio_max) if x is not None]
        self._ratio_min = torch.stack(lows).min() if lows else None
        self._ratio_max = torch.stack(highs).max() if highs else None

    def means(self) -> dict[str, float]:
        if not self._sums:
            return {}
        names = list(self._sums)
        values = torch.stack([self._sums[name] / self._weights[name].clamp(min=1) for name in names]).tolist()
        return dict(zip(names, values, strict=True))

    def ratios(self) -> tuple[float, float]:
        if self._ratio_min is None or self._ratio_max is None:
            return 1.0, 1.0
        low, high = torch.stack([self._ratio_min, self._ratio_max]).exp().tolist()
        return low, high


def explained_variance(values_BT: Tensor, returns_BT: Tensor, mask_BT: Tensor) -> float | None:
    returns = returns_BT[mask_BT]
    if returns.numel() < 2 or float(returns.var()) < 1e-12:
        return None
    return 1 - float((returns - values_BT[mask_BT]).var() / returns.var())


def summarise(
    experience: Experience,
    tally: Tally,
    *,
    update: int,
    end: UpdateEnd,
    critic_only: bool,
    kl_old: float,
    kl_coef: float,
    mismatch: Mismatch,
    norms: Sequence[float],
    steps_skipped: int,
    epochs: int,
    padded_tokens: int,
    explains: bool,
    learning_rate: float,
    reward_mean: float,
    seconds: float,
) -> UpdateStats:
    """explains: a critic was there whose old values can be judged by the returns."""
    batch, old, mask_BT = experience.batch, experience.old, experience.mask_BT
    means, (low, high), targets = tally.means(), tally.ratios(), experience.targets
    kl_reference = None
    if experience.reference_logprobs_BT is not None:
        k3_BT = losses.kl_divergence(old.logprobs_BT, experience.reference_logprobs_BT, KLEstimator.K3)
        kl_reference = float(losses.masked_mean(k3_BT, mask_BT))
    return UpdateStats(
        update=update,
        end=end,
        critic_only=critic_only,
        episodes=len(batch),
        dropped_broken=batch.dropped_broken,
        dropped_silent=batch.dropped_silent,
        action_tokens=int(batch.action_mask_BT.sum()),
        tokens=int(batch.lengths_B.sum()),
        padded_tokens=padded_tokens,
        reward_mean=reward_mean,
        policy_loss=means.get("policy_loss", 0.0),
        value_loss=means.get("value_loss", 0.0),
        imitation_loss=means.get("imitation_loss", 0.0),
        entropy=float(losses.masked_mean(old.entropy_BT, mask_BT)),
        kl_old=kl_old,
        kl_reference=kl_reference,
        kl_coef=kl_coef,
        ratio_min=low,
        ratio_max=high,
        explained_variance=explained_variance(old.values_BT, targets.returns_BT, mask_BT) if explains else None,
        advantage_std=float(masked_moments(targets.advantages_BT, mask_BT)[1]),
        grad_norm=sum(norms) / max(1, len(norms)),
        grad_norm_max=max(norms, default=0.0),
        steps=len(norms),
        steps_skipped=steps_skipped,
        epochs=epochs,
        learning_rate=learning_rate,
        mismatch_max=mismatch.largest,
        mismatch_k3=mismatch.k3,
        seconds=seconds,
        terms={name.removeprefix("terms/"): x for name, x in means.items() if name.startswith("terms/")},
    )
