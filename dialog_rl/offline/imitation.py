"""A reward that pays for doing what an expert would have done: adversarial imitation (Ho and Ermon 2016, GAIL).

A copy of the version is fitted to the expert's conversations. What the discriminator is shown of a step is how much
likelier that copy finds it than who took it did, log p_E(step) - log π(step), and its logit is the pay, so that the
discriminator has AIRL's form, f against π (Fu, Luo and Levine 2018, arXiv:1710.11248). It settles how far the copy is
to be believed, which has seen few conversations.

Only what was done is paid for, never where: what reads hidden states pays for being where experts are and for leaving
places where they never were. And each step is to be paid for by itself, without regard to what follows (discount 0),
since the log-ratios of a whole conversation add up to more the sooner it ends. So it is distillation on the learner's
own steps (Agarwal et al. 2024, arXiv:2306.13649), from a teacher of whom there are conversations only.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from dialog_rl.episode import Episode
from dialog_rl.errors import CheckpointError, TrainingError
from dialog_rl.lm import versions
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.precision import bf16_pays
from dialog_rl.offline.replies import Reply, fits, judge, whole
from dialog_rl.offline.reward_model import FEWEST, LIMIT, Report, split
from dialog_rl.rl.linear_models import Discriminator, scale, train_discriminator
from dialog_rl.rl.losses import masked_mean

FACTS, LAYERS, EXPERT = "likeness.json", "discriminator.safetensors", "expert"
KIND = "likeness"
ROWS = 16
"""Conversations that are looked at together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImitationConfig:
    epochs: int = 3
    """Most passes over the expert's conversations; fewer where those held out become less likely."""
    learning_rate: float = 1e-4
    penalty: float = 0.1
    """Of the discriminator's gradient."""
    steps: int = 300
    """Of the discriminator."""
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How much a step is like an expert's."""

    expert: SpeakingModel
    """The version's copy that was fitted to the expert."""
    discriminator: Discriminator
    mean_D: Tensor
    spread_D: Tensor
    report: Report

    def score(self, episodes: Sequence[Episode]) -> list[list[float | None]]:
        """A value for each step, in [-LIMIT, LIMIT]; None in an episode that was not sampled in the expert's tokens."""
        found: list[list[float | None]] = [[None] * len([*episode.steps]) for episode in episodes]
        rows = {n: whole(e, self.expert.renderer) for n, e in enumerate(episodes) if _sampled(e, self.expert)}
        rows = {n: row for n, row in rows.items() if fits(row, self.expert.policy)}
        for n, totals in zip(rows, _totals(self.expert, list(rows.values())), strict=True):
            taken = torch.tensor([math.fsum(step.logprobs) for step in episodes[n].steps])
            found[n] = [*self._pay((totals - taken)[:, None]).tolist()]
        return found

    def _pay(self, ratios_N1: Tensor) -> Tensor:
        with torch.no_grad():
            return self.discriminator((ratios_N1 - self.mean_D) / self.spread_D).clamp(-LIMIT, LIMIT)

    def save(self, folder: Path) -> None:
        origin = versions.Origin(
            parent=self.expert.version, fingerprint=self.expert.renderer.fingerprint, created_by="imitation"
        )
        expert = versions.publish(folder / EXPERT, self.expert.save, origin)
        tensors = {"mean_D": self.mean_D, "spread_D": self.spread_D, **self.discriminator.state_dict()}
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / LAYERS)
        facts = {"format": 1, "expert": expert.id, "report": asdict(self.report)}
        (folder / FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Likeness:
        """Raises CheckpointError for what `save` did not write."""
        try:
            facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
            report, expert = Report(**facts["report"]), str(facts["expert"])
            tensors = load_file(folder / LAYERS)
            mean_D, spread_D = tensors.pop("mean_D"), tensors.pop("spread_D")
            discriminator = Discriminator(len(mean_D))
            discriminator.load_state_dict(tensors)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as e:
            raise CheckpointError(f"{folder}: no likeness to an expert can be read there: {e}") from e
        model = SpeakingModel.load(versions.find((folder / EXPERT,), expert).path)
        model.policy.autocast = bf16_pays(model.policy.device)  # a measure needs no more digits
        return cls(
            expert=model, discriminator=discriminator.requires_grad_(False), mean_D=mean_D, spread_D=spread_D,
            report=report,
        )  # fmt: skip


def fit_likeness(
    model: SpeakingModel,
    expert: Sequence[Episode],
    others: Sequence[Episode],
    config: ImitationConfig | None = None,
    *,
    progress: Callable[[str], None] = lambda line: None,
) -> Likeness:
    """From what an expert did and what others did, usually the model itself. Raises TrainingError for too few.

    The model becomes the copy that is fitted to the expert.
    """
    config = config or ImitationConfig()
    shown, said = ([row for row in (whole(e, model.renderer) for e in episodes) if fits(row, model.policy)]
                   for episodes in (expert, others))  # fmt: skip
    if min(len(shown), len(said)) < FEWEST:
        raise TrainingError(
            f"{len(shown)} conversations of the expert and {len(said)} others; at least {FEWEST} of each"
        )
    copied, held_out = split(len(shown), config.seed)
    rows = [*shown, *said]
    before = _totals(model, rows)
    _imitate(model, [shown[n] for n in copied], [shown[n] for n in held_out], config, progress)
    ratios = [now - then for now, then in zip(_totals(model, rows), before, strict=True)]

    def of(numbers: Tensor) -> Tensor:
        return torch.cat([ratios[n] for n in numbers.tolist()])[:, None]

    # What it was fitted to, the copy believes more than it may: the discriminator learns from others of the expert's.
    expert_R, expert_H = held_out[1::2], held_out[::2]
    others_R, others_H = (numbers + len(shown) for numbers in split(len(said), config.seed))
    mean_D, spread_D = scale(of(torch.cat([expert_R, others_R])))
    discriminator = Discriminator(1, seed=config.seed)
    train_discriminator(
        discriminator, (of(expert_R) - mean_D) / spread_D, (of(others_R) - mean_D) / spread_D, steps=config.steps,
        penalty=config.penalty, seed=config.seed,
    )  # fmt: skip
    discriminator.requires_grad_(False)
    expert_N, others_N = (discriminator((of(numbers) - mean_D) / spread_D) for numbers in (expert_H, others_H))
    report = Report(
        kind=KIND, fitted=sum(map(len, ratios)) - len(expert_N) - len(others_N), held_out=len(expert_N) + len(others_N),
        accuracy=float(((expert_N > 0).double().mean() + (others_N < 0).double().mean()) / 2), calibration_error=None,
    )  # fmt: skip
    return Likeness(expert=model, discriminator=discriminator, mean_D=mean_D, spread_D=spread_D, report=report)


def _imitate(
    model: SpeakingModel, rows: Sequence[Reply], held_out: Sequence[Reply], config: ImitationConfig,
    progress: Callable[[str], None],
) -> None:  # fmt: skip
    """The model's weights become those under which the held-out conversations are likeliest."""
    parameters = [p for p in model.policy.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=0.0)
    g = torch.Generator().manual_seed(config.seed)
    model.policy.eval()
    least, best = _surprise(model, held_out), copy.deepcopy(model.policy.state_dict())
    for epoch in range(1, config.epochs + 1):
        for block in torch.randperm(len(rows), generator=g).split(ROWS):
            found = judge(model.policy, [rows[n] for n in block.tolist()], model.renderer.pad_id)
            optimizer.zero_grad(set_to_none=True)
            (-masked_mean(found.logprobs_BT, found.mask_BT)).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
        surprise = _surprise(model, held_out)
        progress(f"copy {epoch} of {config.epochs}: {surprise:.4f} nats a token, {least:.4f} at least before")
        if surprise >= least:
            break
        least, best = surprise, copy.deepcopy(model.policy.state_dict())
    optimizer.zero_grad(set_to_none=True)
    model.policy.load_state_dict(best)


def _surprise(model: SpeakingModel, rows: Sequence[Reply]) -> float:
    """Nats a token."""
    return -float(torch.cat(_totals(model, rows)).sum()) / sum(sum(row.mask) for row in rows)


@torch.no_grad()
def _totals(model: SpeakingModel, rows: Sequence[Reply]) -> list[Tensor]:
    """Of each row, the log-probability of each step."""
    totals: list[Tensor] = []
    for start in range(0, len(rows), ROWS):
        block = rows[start : start + ROWS]
        found = judge(model.policy, block, model.renderer.pad_id)
        for row, logprobs_T, mask_T in zip(block, found.logprobs_BT, found.mask_BT, strict=True):
            steps = logprobs_T[mask_T].split([len(said) for _, said in row.steps])
            totals.append(torch.stack([step.sum() for step in steps]).cpu())
    return totals


def _sampled(episode: Episode, model: SpeakingModel) -> bool:
    steps, own = [*episode.steps], episode.tokenizer == model.renderer.fingerprint
    return own and bool(steps) and all(len(step.logprobs) == len(step.action_ids) > 0 for step in steps)
