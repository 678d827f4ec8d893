"""A reward model: what people would think of a reply, from their pairs and ratings of others, or how much it is like
an expert's, from examples (adversarial imitation: Ho and Ermon 2016, GAIL, arXiv:1606.03476).

People's is linear on what a frozen policy sees of a reply: they give few ratings, and a few hundred weights are what
few ratings can settle. It is written with what it was worth on judgements that it was not fitted on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from dialog_rl.episode import Episode
from dialog_rl.errors import CheckpointError, TrainingError
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.offline.judgements import Judgements, in_tokens_of
from dialog_rl.offline.replies import Reply, features, fits, reply_of, spelled
from dialog_rl.rl.linear_models import (
    Discriminator,
    LinearReward,
    fit_pairs,
    fit_values,
    scale,
    train_discriminator,
)
from dialog_rl.rl.preferences import calibration

WEIGHTS, FACTS = "reward_model.safetensors", "reward_model.json"
TENSORS = ("weight_D", "mean_D", "spread_D")
"""Of a linear one; that of an expert's has the discriminator's layers instead of the weights."""
LIKENESS = "likeness"
"""The kind of one that tells an expert's replies from others."""
LIMIT = 3.0
"""Spreads from the mean beyond which nothing is believed: there the model was never shown anything."""
HELD_OUT = 0.2
FEWEST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    kind: str
    """pairs, values or likeness."""
    fitted: int
    held_out: int
    accuracy: float
    """Of held-out judgements: which of two is better, on which side of the mean a rating lies, or whose a reply is."""
    calibration_error: float | None
    """Of the probability that the chosen one is better; values have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How much a reply is like an expert's: what a discriminator pays, on standardised features."""

    discriminator: Discriminator
    mean_D: Tensor
    spread_D: Tensor

    def __call__(self, features_ND: Tensor) -> Tensor:
        return self.discriminator.reward((features_ND - self.mean_D) / self.spread_D)


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardModel:
    reward: LinearReward | Likeness
    center: float
    spread: float
    """Of the rewards of the replies it was fitted on: what it says is counted in these."""
    version: str
    """The policy whose hidden states it reads."""
    report: Report

    def score(self, model: SpeakingModel, episodes: Sequence[Episode]) -> list[list[float | None]]:
        """A value for each turn, in [-LIMIT, LIMIT]; None where the agent said nothing that can be read."""
        found: list[list[float | None]] = [[None] * len(episode.turns) for episode in episodes]
        places: list[tuple[int, int]] = []
        rows: list[Reply] = []
        for n, episode in enumerate(episodes):
            for number, turn in enumerate(episode.turns):
                reply = reply_of(episode, number) if turn.steps else None
                if episode.tokenizer == model.renderer.fingerprint and reply is not None and fits(reply, model.policy):
                    places.append((n, number))
                    rows.append(reply)
        if rows:
            values = self._scaled(self.reward(features(model.policy, rows, model.renderer.pad_id)))
            for (n, number), value in zip(places, values.tolist(), strict=True):
                found[n][number] = value
        return found

    def _scaled(self, rewards_N: Tensor) -> Tensor:
        return ((rewards_N - self.center) / self.spread).clamp(-LIMIT, LIMIT)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(_tensors(self.reward), folder / WEIGHTS, metadata={"format": "pt"})
        facts = {
            "format": 1, "version": self.version, "bias": getattr(self.reward, "bias", 0.0),
            "center": self.center, "spread": self.spread, "report": asdict(self.report),
        }  # fmt: skip
        (folder / FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> RewardModel:
        """Raises CheckpointError for what `save` did not write."""
        try:
            facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
            tensors = load_file(folder / WEIGHTS)
            numbers = {key: float(facts[key]) for key in ("bias", "center", "spread")}
            report, bias = Report(**facts["report"]), numbers.pop("bias")
            reward = _likeness(tensors) if report.kind == LIKENESS else LinearReward(bias=bias, **tensors)
            return cls(reward=reward, version=str(facts["version"]), report=report, **numbers)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as e:
            raise CheckpointError(f"{folder}: no reward model can be read there: {e}") from e


def fit(model: SpeakingModel, judgements: Judgements, *, seed: int = 0, penalty: float = 1e-2) -> RewardModel:
    """From pairs where there are enough, else from rated replies. Raises TrainingError where there are too few."""
    policy, pad_id, tokenizer = model.policy, model.renderer.pad_id, model.renderer.fingerprint
    pairs = [
        (reply_of(p.episode, p.number, p.chosen), reply_of(p.episode, p.number, p.rejected))
        for p in in_tokens_of(tokenizer, judgements.pairs)
    ]
    pairs = [pair for pair in pairs if all(fits(reply, policy) for reply in pair)]
    if len(pairs) >= FEWEST:
        chosen = features(policy, [pair[0] for pair in pairs], pad_id)
        rejected = features(policy, [pair[1] for pair in pairs], pad_id)
        return _fit_pairs(model, chosen, rejected, seed, penalty)
    rated = [(reply_of(t.episode, t.number), t.value) for t in in_tokens_of(tokenizer, judgements.thumbs)]
    rated = [(reply, value) for reply, value in rated if fits(reply, policy)]
    if len(rated) < FEWEST:
        raise TrainingError(
            f"{len(pairs)} pairs and {len(rated)} rated replies; a reward model needs at least {FEWEST} of either"
        )
    values = torch.tensor([value for _, value in rated])
    return _fit_values(model, features(policy, [reply for reply, _ in rated], pad_id), values, seed, penalty)


def fit_likeness(
    model: SpeakingModel, expert: Sequence[Episode], others: Sequence[Episode], *, seed: int = 0, steps: int = 200
) -> RewardModel:
    """From what an expert said and what others did, usually the model itself. Raises TrainingError for too few."""
    shown, said = _spelled(model, expert), _spelled(model, others)
    if min(len(shown), len(said)) < FEWEST:
        raise TrainingError(f"{len(shown)} replies of the expert and {len(said)} others; at least {FEWEST} of each")
    expert_ND, others_ND = (features(model.policy, rows, model.renderer.pad_id) for rows in (shown, said))
    (train, held_out), (train_o, held_out_o) = _split(len(shown), seed), _split(len(said), seed)
    fitted_ND = torch.cat([expert_ND[train], others_ND[train_o]])
    mean_D, spread_D = scale(fitted_ND)
    discriminator = Discriminator(fitted_ND.shape[1], seed=seed)
    train_discriminator(
        discriminator, (expert_ND[train] - mean_D) / spread_D, (others_ND[train_o] - mean_D) / spread_D, steps=steps,
        seed=seed,
    )  # fmt: skip
    discriminator.requires_grad_(False)
    reward = Likeness(discriminator=discriminator, mean_D=mean_D, spread_D=spread_D)
    even = math.log(2)  # what is paid where it cannot be told who spoke
    right = torch.cat([reward(expert_ND[held_out]) > even, reward(others_ND[held_out_o]) < even])
    report = Report(
        kind=LIKENESS, fitted=len(fitted_ND), held_out=len(right), accuracy=float(right.double().mean()),
        calibration_error=None,
    )  # fmt: skip
    return _made(model, reward, fitted_ND, report)


def _spelled(model: SpeakingModel, episodes: Sequence[Episode]) -> list[Reply]:
    """All their replies in the model's ids: as they were sampled where it was its own, else as it would spell them."""
    rows: list[Reply] = []
    for episode in episodes:
        own = episode.tokenizer == model.renderer.fingerprint and all(step.action_ids for step in episode.steps)
        spoken = [number for number, turn in enumerate(episode.turns) if turn.steps]
        rows += [reply_of(episode, number) for number in spoken] if own else spelled(episode, model.renderer)
    return [row for row in rows if fits(row, model.policy)]


def _tensors(reward: LinearReward | Likeness) -> dict[str, Tensor]:
    if isinstance(reward, LinearReward):
        return {name: getattr(reward, name).float().contiguous() for name in TENSORS}
    named = {"mean_D": reward.mean_D, "spread_D": reward.spread_D, **reward.discriminator.state_dict()}
    return {name: tensor.float().contiguous() for name, tensor in named.items()}


def _likeness(tensors: dict[str, Tensor]) -> Likeness:
    mean_D, spread_D = tensors.pop("mean_D"), tensors.pop("spread_D")
    discriminator = Discriminator(len(mean_D))
    discriminator.load_state_dict(tensors)
    return Likeness(discriminator=discriminator.requires_grad_(False), mean_D=mean_D, spread_D=spread_D)


def _fit_pairs(model: SpeakingModel, chosen: Tensor, rejected: Tensor, seed: int, penalty: float) -> RewardModel:
    train, held_out = _split(len(chosen), seed)
    reward = fit_pairs(chosen[train], rejected[train], penalty=penalty)
    margin = reward(chosen[held_out]) - reward(rejected[held_out])
    # Each pair is looked at from a side that a coin chose, or the right answer would always be yes.
    side = torch.rand(len(margin), generator=torch.Generator().manual_seed(seed)) < 0.5
    error, _ = calibration(torch.sigmoid(torch.where(side, margin, -margin)), side)
    report = Report(
        kind="pairs", fitted=len(train), held_out=len(held_out), accuracy=float((margin > 0).double().mean()),
        calibration_error=error,
    )  # fmt: skip
    return _made(model, reward, torch.cat([chosen[train], rejected[train]]), report)


def _fit_values(model: SpeakingModel, x: Tensor, values: Tensor, seed: int, penalty: float) -> RewardModel:
    train, held_out = _split(len(x), seed)
    reward = fit_values(x[train], values[train], penalty=penalty)
    middle = float(values[train].mean())
    right = (reward(x[held_out]) > middle) == (values[held_out] > middle)
    report = Report(
        kind="values", fitted=len(train), held_out=len(held_out), accuracy=float(right.double().mean()),
        calibration_error=None,
    )  # fmt: skip
    return _made(model, reward, x[train], report)


def _made(model: SpeakingModel, reward: LinearReward | Likeness, fitted_on: Tensor, report: Report) -> RewardModel:
    rewards_N = reward(fitted_on)
    spread = max(float(rewards_N.std(unbiased=False)), 1e-6)
    return RewardModel(
        reward=reward, center=float(rewards_N.mean()), spread=spread, version=model.version, report=report
    )


def _split(count: int, seed: int) -> tuple[Tensor, Tensor]:
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    held_out = max(1, round(HELD_OUT * count))
    return order[held_out:], order[:held_out]
