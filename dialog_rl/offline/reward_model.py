"""A reward model: what people would think of a reply, from their pairs and ratings of others.

It is linear on what a frozen policy sees of a reply: they give few ratings, and a few hundred weights are what
few ratings can settle. It is written with what it was worth on judgements that it was not fitted on.
"""

from __future__ import annotations

import json
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
from dialog_rl.offline.replies import Reply, features, fits, reply_of
from dialog_rl.rl.linear_models import LinearReward, fit_pairs, fit_values
from dialog_rl.rl.preferences import calibration

WEIGHTS, FACTS = "reward_model.safetensors", "reward_model.json"
TENSORS = ("weight_D", "mean_D", "spread_D")
LIMIT = 3.0
"""Spreads from the mean beyond which nothing is believed: there the model was never shown anything."""
HELD_OUT = 0.2
FEWEST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    kind: str
    """pairs or values; of a likeness to an expert, likeness."""
    fitted: int
    held_out: int
    accuracy: float
    """Of held-out judgements: which of two is better, on which side of the mean a rating lies, or whose a reply is."""
    calibration_error: float | None
    """Of the probability that the chosen one is better; values have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardModel:
    reward: LinearReward
    center: float
    spread: float
    """Of the rewards of the replies it was fitted on: what it says is counted in these."""
    version: str
    """The policy whose hidden states it reads."""
    report: Report

    def score(self, model: SpeakingModel, episodes: Sequence[Episode]) -> list[list[float | None]]:
        """A value for the last step of each turn, which is the reply, in [-LIMIT, LIMIT]; None for other steps and
        where the agent said nothing that can be read.
        """
        found: list[list[float | None]] = [[None] * len([*episode.steps]) for episode in episodes]
        places: list[tuple[int, int]] = []
        rows: list[Reply] = []
        for n, episode in enumerate(episodes):
            steps = 0
            for number, turn in enumerate(episode.turns):
                steps += len(turn.steps)
                reply = reply_of(episode, number) if turn.steps else None
                if episode.tokenizer == model.renderer.fingerprint and reply is not None and fits(reply, model.policy):
                    places.append((n, steps - 1))
                    rows.append(reply)
        if rows:
            values = self._scaled(self.reward(features(model.policy, rows, model.renderer.pad_id)))
            for (n, step), value in zip(places, values.tolist(), strict=True):
                found[n][step] = value
        return found

    def _scaled(self, rewards_N: Tensor) -> Tensor:
        return ((rewards_N - self.center) / self.spread).clamp(-LIMIT, LIMIT)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: getattr(self.reward, name).float().contiguous() for name in TENSORS}
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
        facts = {
            "format": 1, "version": self.version, "bias": self.reward.bias,
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
            reward = LinearReward(bias=numbers.pop("bias"), **tensors)
            return cls(reward=reward, version=str(facts["version"]), report=Report(**facts["report"]), **numbers)
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


def _fit_pairs(model: SpeakingModel, chosen: Tensor, rejected: Tensor, seed: int, penalty: float) -> RewardModel:
    train, held_out = split(len(chosen), seed)
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
    train, held_out = split(len(x), seed)
    reward = fit_values(x[train], values[train], penalty=penalty)
    middle = float(values[train].mean())
    right = (reward(x[held_out]) > middle) == (values[held_out] > middle)
    report = Report(
        kind="values", fitted=len(train), held_out=len(held_out), accuracy=float(right.double().mean()),
        calibration_error=None,
    )  # fmt: skip
    return _made(model, reward, x[train], report)


def _made(model: SpeakingModel, reward: LinearReward, fitted_on: Tensor, report: Report) -> RewardModel:
    rewards_N = reward(fitted_on)
    spread = max(float(rewards_N.std(unbiased=False)), 1e-6)
    return RewardModel(
        reward=reward, center=float(rewards_N.mean()), spread=spread, version=model.version, report=report
    )


def split(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Places of what is fitted to, and of the share HELD_OUT that is not."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    held_out = max(1, round(HELD_OUT * count))
    return order[held_out:], order[:held_out]
