"""A base model from demonstrations: tokenizer, then policy and critic, from nothing, the same for the same seed.

The language model learns every action token, and, with a small weight, what it observes; the value head learns the
return of the conversation from every prefix that the policy acts from. Muon turns the hidden matrices, AdamW the rest.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaForCausalLM

from dialog_rl import seeds
from dialog_rl.errors import ConfigError
from dialog_rl.lm.demonstrations import Demonstration, Row, drill, rename, respell, row_of, texts_of
from dialog_rl.lm.held_out import HeldOut, measure, padded, returns_of
from dialog_rl.lm.induction import seed_induction
from dialog_rl.lm.policy import EMBEDDED_SHAPE, ModelShape, Policy
from dialog_rl.lm.renderer import EmbeddedRenderer
from dialog_rl.lm.tokenizer import Tokenizer, train_tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    tokens: int = 9_000_000
    """Ids to learn from, padding not counted. The schedule is laid out over these."""
    batch_tokens: int = 4096
    """Ids in one step, padding counted."""
    vocabulary: int = 3072
    tokenizer_sample: int = 4000
    """Demonstrations the tokenizer is made from: the first ones."""
    muon_lr: float = 0.02
    adam_lr: float = 3e-3
    weight_decay: float = 0.01
    warmup: float = 0.02
    """Share of the tokens over which the learning rate rises; then it falls in a line to 2 % of its peak."""
    observation_weight: float = 0.1
    value_weight: float = 0.1
    drill_tokens: int = 0
    """Ids of copying drill, mixed into the first tenth of the training."""
    respelled: float = 0.3
    """Share of the pieces of copied values that are split, so that values in unknown pieces are copied as well."""
    renamed: float = 0.6
    """Share of the words that a call repeats after the user which are exchanged for made-up ones."""
    induction: bool = True
    """Start with attention that copies (see the module induction) instead of from noise alone."""
    gradient_norm: float = 1.0
    window: int = 2048
    """Rows sorted by length together, so that a batch holds rows of like length."""

    def __post_init__(self) -> None:
        for name in ("tokens", "batch_tokens", "vocabulary", "tokenizer_sample", "window"):
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
    started, cpu_started = time.monotonic(), time.process_time()
    stream = iter(demonstrations)
    first = list(itertools.islice(stream, config.tokenizer_sample))
    if not first:
        raise ConfigError("no demonstrations to learn from")
    tokenizer = tokenizer or train_tokenizer(texts_of(first), vocabulary=config.vocabulary, seed=seed)
    renderer = EmbeddedRenderer(tokenizer)
    policy = start or _fresh(shape, tokenizer, config, seed)
    probe = [row_of(d, renderer, find_copies=True) for d in held_out]
    run = _Run(policy, config)
    for batch in _batches(itertools.chain(first, stream), renderer, policy.max_positions, config, seed):
        run.step(batch)
        probing = bool(probe and probe_every) and run.steps % probe_every == 0
        if report and (probing or run.steps % report_every == 0):
            report(run.progress(measure(policy, probe) if probing else None))
        if run.tokens >= config.tokens:
            break
    return Pretrained(
        policy=policy,
        renderer=renderer,
        held_out=measure(policy, probe) if probe else None,
        tokens=run.tokens,
        wall_seconds=time.monotonic() - started,
        cpu_seconds=time.process_time() - cpu_started,
    )


def _fresh(shape: ModelShape, tokenizer: Tokenizer, config: PretrainConfig, seed: int) -> Policy:
    policy = Policy.fresh(replace(shape, vocab_size=-(-len(tokenizer) // 64) * 64), seed=seed, autocast=True)
    if config.induction:
        seed_induction(cast("LlamaForCausalLM", policy.model), seed=seeds.derive(seed, "induction"))
    return policy


class _Run:
    """Optimizers, schedule and running means of one pretraining."""

    def __init__(self, policy: Policy, config: PretrainConfig) -> None:
        self.policy, self.config = policy, config
        self.tokens = self.steps = 0
        hidden = [p for name, p in policy.named_parameters() if p.ndim == 2 and ".layers." in name]
        known = {id(p) for p in hidden}
        rest = [p for p in policy.parameters() if id(p) not in known]
        muon = torch.optim.Muon(hidden, lr=config.muon_lr, momentum=0.95, weight_decay=config.weight_decay)
        adam = torch.optim.AdamW(rest, lr=config.adam_lr, betas=(0.9, 0.95), weight_decay=0.0)
        self._optimizers = [(muon, config.muon_lr), (adam, config.adam_lr)]
        self._sums = torch.zeros(4, dtype=torch.float64)
        self._since = time.monotonic()

    def step(self, rows: Sequence[Row]) -> None:
        factor = schedule(self.tokens / self.config.tokens, self.config.warmup)
        loss, sums = loss_of(self.policy, rows, self.config)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.config.gradient_norm)
        for optimizer, rate in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
            optimizer.step()
            optimizer.zero_grad()
        used = sum(map(len, rows))
        self.tokens += used
        self.steps += 1
        self._sums += torch.cat([sums.double(), torch.tensor([float(used)], dtype=torch.float64)])

    def progress(self, held_out: HeldOut | None) -> Progress:
        nll, value_loss, actions, used = self._sums.tolist()
        self._sums.zero_()
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


def loss_of(policy: Policy, rows: Sequence[Row], config: PretrainConfig) -> tuple[Tensor, Tensor]:
    """The loss, and the sums (action NLL, squared value error, action tokens) for the progress report."""
    ids_BT, action_mask_BT, present_BT = padded(rows)
    weight_BT = torch.where(action_mask_BT, 1.0, config.observation_weight * present_BT)
    weight_BT[:, 0] = 0.0
    rows_N, columns_N = _positions(weight_BT)
    before_ND = policy.hidden(ids_BT)[rows_N, columns_N - 1]
    with torch.autocast(policy.device.type, dtype=torch.bfloat16):
        logits_NV = policy.logits(before_ND)
    nll_N = F.cross_entropy(logits_NV.float(), ids_BT[rows_N, columns_N], reduction="none")
    weight_N, acted_N = weight_BT[rows_N, columns_N], action_mask_BT[rows_N, columns_N]
    return_N = returns_of(rows)[rows_N]
    valued_N = acted_N & return_N.isfinite()
    error_N = torch.where(valued_N, policy.value_head(before_ND).squeeze(-1) - return_N.nan_to_num(), 0.0).square()
    actions = acted_N.sum().clamp(min=1)
    loss = (weight_N * nll_N).sum() / weight_N.sum() + config.value_weight * error_N.sum() / valued_N.sum().clamp(min=1)
    with torch.no_grad():
        sums = torch.stack([torch.where(acted_N, nll_N, 0.0).sum(), error_N.sum(), actions.float()])
    return loss, sums


def _positions(weight_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column of every position that weighs, filled up with (0, 0), which does not, to a multiple of 512."""
    rows_N, columns_N = weight_BT.nonzero(as_tuple=True)
    missing = -len(rows_N) % 512
    return F.pad(rows_N, (0, missing)), F.pad(columns_N, (0, missing))


def _batches(
    demonstrations: Iterable[Demonstration],
    renderer: EmbeddedRenderer,
    max_length: int,
    config: PretrainConfig,
    seed: int,
) -> Iterator[list[Row]]:
    """Batches of rows of like length, each demonstration once; drills come every other batch until they are used up.

    A conversation too long for the model is left out.
    """
    rows = (row for row in _rows(demonstrations, renderer, config, seed) if len(row) <= max_length)
    drills = _drills(renderer, config, seed)
    for number in itertools.count():
        window = list(itertools.islice(rows, config.window))
        if not window:
            return
        for batch in of_like_length(window, config.batch_tokens, seeds.generator(seed, "batches", number)):
            yield batch
            yield from itertools.islice(drills, 1)


def _rows(
    demonstrations: Iterable[Demonstration], renderer: EmbeddedRenderer, config: PretrainConfig, seed: int
) -> Iterator[Row]:
    rng = seeds.generator(seed, "spelling")
    for demonstration in demonstrations:
        renamed = rename(demonstration, rng, share=config.renamed)
        row = row_of(renamed, renderer, find_copies=config.respelled > 0)
        yield respell(row, renderer.tokenizer, rng, share=config.respelled) if config.respelled > 0 else row


def of_like_length(rows: Sequence[Row], budget: int, rng: random.Random) -> list[list[Row]]:
    """Every row once, in batches of at most `budget` ids, padding counted, unless one row alone has more."""
    ordered = sorted(rng.sample(rows, len(rows)), key=len)
    batches: list[list[Row]] = [[]]
    for row in ordered:
        if batches[-1] and (len(batches[-1]) + 1) * len(row) > budget:
            batches.append([])
        batches[-1].append(row)
    return rng.sample(batches, len(batches))


def _drills(renderer: EmbeddedRenderer, config: PretrainConfig, seed: int) -> Iterator[list[Row]]:
    rng = seeds.generator(seed, "drills")
    made = 0
    while made < config.drill_tokens:
        batch = [drill(renderer.tokenizer, rng) for _ in range(max(1, config.batch_tokens // 160))]
        made += sum(map(len, batch))
        yield batch
