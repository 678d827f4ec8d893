"""Sequence labels as actions: a tagger taught by examples, then by policy gradient with entity-level F1 as reward.

Tags are numbers: 0 is outside, 2 k + 1 begins an entity of class k, 2 k + 2 goes on with it. A token comes as a bag of
feature numbers, so this room need not know what a word is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Entity = tuple[int, int, int]
"""Class, first token, one past the last."""


def entities(tags: Sequence[int]) -> set[Entity]:
    """What a sequence of tags says; what goes on without having begun begins there."""
    found: set[Entity] = set()
    start, kind = 0, -1
    for place, tag in enumerate([*tags, 0]):
        now = (tag - 1) // 2 if tag else -1
        goes_on = tag > 0 and tag % 2 == 0 and now == kind
        if not goes_on:
            if kind >= 0:
                found.add((kind, start, place))
            start, kind = place, now
    return found


def entity_f1(said: set[Entity], true: set[Entity]) -> float:
    """2 TP / (2 TP + FP + FN); 1 where there is nothing to find and nothing is found."""
    total = len(said) + len(true)
    return 2 * len(said & true) / total if total else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassReport:
    kind: int
    """Class; -1 for all of them together."""
    precision: float
    recall: float
    f1: float
    support: int
    """True entities."""


def classification_report(said: Sequence[set[Entity]], true: Sequence[set[Entity]]) -> tuple[ClassReport, ...]:
    """Class by class, those that occur, and all together last."""
    kinds = sorted({entity[0] for some in (*said, *true) for entity in some})
    rows = [_row(kind, said, true, {kind}) for kind in kinds]
    return (*rows, _row(-1, said, true, set(kinds)))


def _row(kind: int, said: Sequence[set[Entity]], true: Sequence[set[Entity]], kinds: set[int]) -> ClassReport:
    right = sum(len({e for e in a & b if e[0] in kinds}) for a, b in zip(said, true, strict=True))
    claimed = sum(e[0] in kinds for a in said for e in a)
    support = sum(e[0] in kinds for b in true for e in b)
    return ClassReport(
        kind=kind, precision=right / claimed if claimed else 0.0, recall=right / support if support else 0.0,
        f1=2 * right / (claimed + support) if claimed + support else 0.0, support=support,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    features: tuple[tuple[int, ...], ...]
    """Of each token, the numbers of its features."""
    tags: tuple[int, ...]


class Tagger(nn.Module):
    """π(tags | sentence), token by token from the features in its neighbourhood."""

    def __init__(self, features: int, tags: int, *, width: int = 64, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.bag = nn.EmbeddingBag(features, width, mode="sum")
            nn.init.normal_(self.bag.weight, std=0.1)
            self.out = nn.Sequential(nn.ReLU(), nn.Linear(width, tags))

    def forward(self, sentences: Sequence[Sentence]) -> Tensor:
        """log π of every tag of every token, the sentences' tokens one after the other."""
        bags = [token for sentence in sentences for token in sentence.features]
        offsets = torch.tensor([0, *(len(bag) for bag in bags[:-1])]).cumsum(0)
        numbers = torch.tensor([number for bag in bags for number in bag])
        return self.out(self.bag(numbers, offsets)).log_softmax(-1)

    @torch.no_grad()
    def tag(self, sentences: Sequence[Sentence]) -> list[list[int]]:
        """The likeliest tags."""
        return _by_sentence(self(sentences).argmax(-1), sentences)


def _by_sentence(tags_N: Tensor, sentences: Sequence[Sentence]) -> list[list[int]]:
    return [part.tolist() for part in tags_N.split([len(sentence.tags) for sentence in sentences])]


def self_critical_loss(logprobs_B: Tensor, rewards_B: Tensor, baseline_B: Tensor) -> Tensor:
    """REINFORCE whose baseline is what the likeliest labels would have earned.

    Source: Rennie et al. 2017, arXiv:1612.00563.
    """
    return -(rewards_B - baseline_B).detach() * logprobs_B


def teach(model: Tagger, sentences: Sequence[Sentence], *, epochs: int, learning_rate: float, seed: int) -> list[float]:
    """Supervised: the cross-entropy of each epoch."""
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    seen: list[float] = []
    for epoch in range(epochs):
        total = count = 0.0
        for block in _blocks(sentences, seed + epoch):
            true_N = torch.tensor([tag for sentence in block for tag in sentence.tags])
            loss = F.nll_loss(model(block), true_N)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total, count = total + float(loss.detach()), count + 1
        seen.append(total / count)
    return seen


def practise(
    model: Tagger, sentences: Sequence[Sentence], *, epochs: int, learning_rate: float, samples: int, seed: int
) -> list[float]:
    """Policy gradient with entity-level F1 as reward: the mean reward of each epoch's samples."""
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    g = torch.Generator().manual_seed(seed)
    seen: list[float] = []
    for epoch in range(epochs):
        earned: list[float] = []
        for block in _blocks(sentences, seed + epoch):
            logprobs_NK = model(block)
            losses: list[Tensor] = []
            baseline_B = rewards(logprobs_NK.argmax(-1), block)
            for _ in range(samples):
                drawn_N = torch.multinomial(logprobs_NK.detach().exp(), 1, generator=g)[:, 0]
                rewards_B = rewards(drawn_N, block)
                losses.append(self_critical_loss(_total(logprobs_NK, drawn_N, block), rewards_B, baseline_B).mean())
                earned += rewards_B.tolist()
            optimizer.zero_grad(set_to_none=True)
            torch.stack(losses).mean().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        seen.append(sum(earned) / len(earned))
    return seen


def rewards(tags_N: Tensor, sentences: Sequence[Sentence]) -> Tensor:
    """Entity-level F1 of each sentence."""
    said = _by_sentence(tags_N, sentences)
    return torch.tensor([
        entity_f1(entities(mine), entities(sentence.tags)) for mine, sentence in zip(said, sentences, strict=True)
    ])  # fmt: skip


def _total(logprobs_NK: Tensor, tags_N: Tensor, sentences: Sequence[Sentence]) -> Tensor:
    chosen_N = logprobs_NK.gather(1, tags_N[:, None])[:, 0]
    return torch.stack([part.sum() for part in chosen_N.split([len(sentence.tags) for sentence in sentences])])


def _blocks(sentences: Sequence[Sentence], seed: int, size: int = 32) -> Iterator[list[Sentence]]:
    order = torch.randperm(len(sentences), generator=torch.Generator().manual_seed(seed)).tolist()
    for start in range(0, len(order), size):
        yield [sentences[n] for n in order[start : start + size]]
