"""A base model from demonstrations: tokenizer, then policy and critic, from nothing, the same for the same seed.

The language model learns every action token and some of what it observes; the value head learns the
return of the conversation from every prefix that the policy acts from. Muon turns the hidden matrices, AdamW the rest.
"""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaForCausalLM

from dialog_rl import seeds
from dialog_rl.errors import ConfigError
from dialog_rl.lm.augmentation import Pieces, rename, respell, roughen
from dialog_rl.lm.data_parallel import Crew
from dialog_rl.lm.demonstrations import Demonstration, Row, row_of, texts_of
from dialog_rl.lm.held_out import HeldOut, measure, padded, returns_of
from dialog_rl.lm.induction import seed_induction
from dialog_rl.lm.policy import EMBEDDED_SHAPE, ModelShape, Policy
from dialog_rl.lm.precision import bf16_pays
from dialog_rl.lm.renderer import EmbeddedRenderer
from dialog_rl.lm.tokenizer import Tokenizer, train_tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    tokens: int = 28_000_000
    """Ids to learn from, padding not counted. The schedule is laid out over these."""
    batch_tokens: int = 2048
    """Ids of one process in one step, padding counted."""
    ranks: int = 2
    """Processes that compute gradients. Another number makes another model: it does not follow the machine's cores."""
    vocabulary: int = 3072
    tokenizer_sample: int = 4000
    """Demonstrations the tokenizer is made from: the first ones."""
    muon_lr: float = 0.02
    adam_lr: float = 3e-3
    weight_decay: float = 0.01
    warmup: float = 0.02
    """Share of the tokens over which the learning rate rises; then it falls in a line to 2 % of its peak."""
    observed: float = 0.1
    """Share of the observed tokens that are learned as well: few, for the policy never says them."""
    copied_weight: float = 3.0
    """Of a token of a copied value, where a plain one weighs 1: one wrong digit, and the conversation is lost."""
    value_weight: float = 0.1
    respelled: float = 0.3
    """Share of the pieces of copied values that are split, so that values in unknown pieces are copied as well."""
    renamed: float = 0.8
    """Share of the words that a call repeats after the user which are exchanged for made-up ones."""
    roughened: float = 0.25
    """Share of the customer's messages in which words are lost or exchanged for unheard-of ones."""
    induction: bool = True
    """Start with attention that copies (see the module induction) instead of from noise alone."""
    gradient_norm: float = 1.0
    window: int = 2048
    """Rows sorted by length together, so that a batch holds rows of like length."""

    def __post_init__(self) -> None:
        for name in ("tokens", "batch_tokens", "ranks", "vocabulary", "tokenizer_sample", "window"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"pretraining: {name} is {getattr(self, name)}; it must be positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    tokens: int
    total_tokens: int
    loss: float
    """Mean negative log-likelihood of an action token since the last report, in nats."""
    value_loss: float
    tokens_per_second: float
    held_out: HeldOut | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    policy: Policy
    renderer: EmbeddedRenderer
    held_out: HeldOut | None
    tokens: int
    wall_seconds: float
    cpu_seconds: float
    """Of this process and those it waited for."""


def pretrain(
    demonstrations: Iterable[Demonstration],
    *,
    seed: int,
    held_out: Sequence[Demonstration] = (),
    shape: ModelShape = EMBEDDED_SHAPE,
    config: PretrainConfig | None = None,
    tokenizer: Tokenizer | None = None,
    start: Policy | None = None,
    report: Callable[[Progress], None] | None = None,
    report_every: int = 50,
    probe_every: int = 0,
) -> Pretrained:
    """Learn from demonstrations until `config.tokens` ids are used up or the demonstrations are.

    start is a policy to go on with, in place, instead of a fresh one; it needs its own tokenizer. Writes nothing: the
    caller saves what is returned. `report` gets the progress every `report_every` steps, with a look at `held_out`
    every `probe_every` steps (0: at the end only). Raises ConfigError if there is nothing to learn from.
    """
    config = config or PretrainConfig()
    started, cpu_started = time.monotonic(), sum(os.times()[:4])
    stream = iter(demonstrations)
    first = list(itertools.islice(stream, config.tokenizer_sample))
    if not first:
        raise ConfigError("no demonstrations to learn from")
    tokenizer = tokenizer or train_tokenizer(_sample(first, config, seed), vocabulary=config.vocabulary, seed=seed)
    renderer = EmbeddedRenderer(tokenizer)
    policy = start or _fresh(shape, tokenizer, config, seed)
    probe = [row_of(d, renderer, find_copies=True) for d in held_out]
    batches = _batches(itertools.chain(first, stream), renderer, policy.max_positions, config, seed)
    gradients = partial(gradients_of, config=config)
    with Crew(policy, gradients, ranks=config.ranks, sums=len(Sums._fields)) as crew:
        run = _Run(policy, crew, config)
        while run.tokens < config.tokens and (some := list(itertools.islice(batches, config.ranks))):
            run.step(some)
            probing = bool(probe and probe_every) and run.steps % probe_every == 0
            if report and (probing or run.steps % report_every == 0):
                report(run.progress(measure(policy, probe) if probing else None))
    return Pretrained(
        policy=policy,
        renderer=renderer,
        held_out=measure(policy, probe) if probe else None,
        tokens=run.tokens,
        wall_seconds=time.monotonic() - started,
        cpu_seconds=sum(os.times()[:4]) - cpu_started,
    )


def _sample(first: Sequence[Demonstration], config: PretrainConfig, seed: int) -> Iterator[str]:
    """What the tokenizer is made from: names as they will be learned, so that none but the commonest is one piece."""
    rng = seeds.generator(seed, "tokenizer")
    return texts_of(rename(demonstration, rng, share=config.renamed) for demonstration in first)


def _fresh(shape: ModelShape, tokenizer: Tokenizer, config: PretrainConfig, seed: int) -> Policy:
    policy = Policy.fresh(replace(shape, vocab_size=-(-len(tokenizer) // 64) * 64), seed=seed, autocast=bf16_pays())
    if config.induction:
        seed_induction(cast("LlamaForCausalLM", policy.model), seed=seeds.derive(seed, "induction"))
    return policy


class _Run:
    """Optimizers, schedule and running means of one pretraining."""

    def __init__(self, policy: Policy, crew: Crew, config: PretrainConfig) -> None:
        self.policy, self.crew, self.config = policy, crew, config
        self.tokens = self.steps = 0
        hidden = [p for name, p in policy.named_parameters() if p.ndim == 2 and ".layers." in name]
        known = {id(p) for p in hidden}
        rest = [p for p in policy.parameters() if id(p) not in known]
        muon = torch.optim.Muon(hidden, lr=config.muon_lr, momentum=0.95, weight_decay=config.weight_decay)
        adam = torch.optim.AdamW(rest, lr=config.adam_lr, betas=(0.9, 0.95), weight_decay=0.0)
        self._optimizers = [(muon, config.muon_lr), (adam, config.adam_lr)]
        self._sums = Sums(0.0, 0.0, 0.0, 0.0)
        self._since = time.monotonic()

    def step(self, batches: Sequence[Sequence[Row]]) -> None:
        factor = schedule(self.tokens / self.config.tokens, self.config.warmup)
        sums = Sums(*self.crew.compute([(self.steps, batch) for batch in batches]).tolist())
        torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.config.gradient_norm)
        for optimizer, rate in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
            optimizer.step()
        self.tokens += round(sums.tokens)
        self.steps += 1
        self._sums = Sums(*(a + b for a, b in zip(self._sums, sums, strict=True)))

    def progress(self, held_out: HeldOut | None) -> Progress:
        nll, value_loss, actions, used = self._sums
        self._sums = Sums(0.0, 0.0, 0.0, 0.0)
        elapsed, self._since = time.monotonic() - self._since, time.monotonic()
        return Progress(
            tokens=self.tokens,
            total_tokens=self.config.tokens,
            loss=nll / max(actions, 1),
            value_loss=value_loss / max(actions, 1),
            tokens_per_second=used / max(elapsed, 1e-9),
            held_out=held_out,
        )


def schedule(progress: float, warmup: float) -> float:
    if progress < warmup:
        return max(progress / warmup, 0.02)
    return max(0.02, (1 - progress) / (1 - warmup))


class Sums(NamedTuple):
    """Over the tokens of one or more batches."""

    nll: float
    value_error: float
    """Squared."""
    actions: float
    tokens: float


def gradients_of(policy: Policy, work: tuple[int, Sequence[Row]], *, config: PretrainConfig) -> Tensor:
    """Leave the gradient of a batch's loss at the policy; returns its `Sums`. work: the step's number and its rows."""
    step, rows = work
    loss, sums = loss_of(policy, rows, config, step=step)
    loss.backward()
    return torch.tensor(sums)


def loss_of(policy: Policy, rows: Sequence[Row], config: PretrainConfig, *, step: int = 0) -> tuple[Tensor, Sums]:
    """The loss of rows: of all their action tokens, and of the share of observed ones that is drawn for this step."""
    ids_BT, action_mask_BT, present_BT = padded(rows)
    drawn_BT = torch.rand(ids_BT.shape, generator=torch.Generator().manual_seed(step)) < config.observed
    learned_BT = action_mask_BT | (drawn_BT & present_BT)
    learned_BT[:, 0] = False
    rows_N, columns_N = _positions(learned_BT)
    before_ND = policy.hidden(ids_BT)[rows_N, columns_N - 1]
    with torch.autocast(policy.device.type, dtype=torch.bfloat16, enabled=policy.autocast):
        logits_NV = policy.logits(before_ND)
    nll_N = F.cross_entropy(logits_NV.float(), ids_BT[rows_N, columns_N], reduction="none")
    weight_N = _weights(rows, learned_BT, config)[rows_N, columns_N]
    acted_N = action_mask_BT[rows_N, columns_N]
    value_N, return_N = policy.value_head(before_ND).squeeze(-1), returns_of(rows)[rows_N]
    wanted_N = torch.where(return_N.isnan(), value_N.detach(), return_N)  # what nobody knows is no error
    error_N = torch.where(acted_N, value_N - wanted_N, 0.0).square()
    actions = acted_N.sum()
    loss = (weight_N * nll_N).sum() / weight_N.sum() + config.value_weight * error_N.sum() / actions
    with torch.no_grad():
        nll = torch.where(acted_N, nll_N, 0.0).sum()
    return loss, Sums(nll.item(), error_N.sum().item(), actions.item(), sum(map(len, rows)))


def _weights(rows: Sequence[Row], learned_BT: Tensor, config: PretrainConfig) -> Tensor:
    """What each position counts in the loss: weight_BT."""
    weight_BT = learned_BT.float()
    for b, row in enumerate(rows):
        for copy in row.copies:
            weight_BT[b, copy.start : copy.stop] *= config.copied_weight
    return weight_BT


def _positions(learned_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column of every learned position, filled up with (0, 0), which is none, to a multiple of 512."""
    rows_N, columns_N = learned_BT.nonzero(as_tuple=True)
    missing = -len(rows_N) % 512
    return F.pad(rows_N, (0, missing)), F.pad(columns_N, (0, missing))


def _batches(
    demonstrations: Iterable[Demonstration],
    renderer: EmbeddedRenderer,
    max_length: int,
    config: PretrainConfig,
    seed: int,
) -> Iterator[list[Row]]:
    """Batches of rows of like length, each demonstration once. A conversation too long for the model is left out."""
    rows = (row for row in _rows(demonstrations, renderer, config, seed) if len(row) <= max_length)
    for number in itertools.count():
        window = list(itertools.islice(rows, config.window))
        if not window:
            return
        yield from of_like_length(window, config.batch_tokens, seeds.generator(seed, "batches", number))


def _rows(
    demonstrations: Iterable[Demonstration], renderer: EmbeddedRenderer, config: PretrainConfig, seed: int
) -> Iterator[Row]:
    rng, pieces = seeds.generator(seed, "spelling"), Pieces.of(renderer.tokenizer)
    for demonstration in demonstrations:
        renamed = rename(demonstration, rng, share=config.renamed, pieces=pieces)
        harder = roughen(renamed, rng, share=config.roughened)
        yield respell(row_of(harder, renderer, find_copies=True), renderer.tokenizer, rng, share=config.respelled)


def of_like_length(rows: Sequence[Row], budget: int, rng: random.Random) -> list[list[Row]]:
    """Every row once, in batches of at most `budget` ids, padding counted, unless one row alone has more."""
    ordered = sorted(rng.sample(rows, len(rows)), key=len)
    batches: list[list[Row]] = [[]]
    for row in ordered:
        if batches[-1] and (len(batches[-1]) + 1) * len(row) > budget:
            batches.append([])
        batches[-1].append(row)
    return rng.sample(batches, len(batches))
