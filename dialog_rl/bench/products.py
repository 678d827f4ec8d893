"""The matrix products of the same work and nothing else: what the machine's own multiplying leaves room for.

Shapes and memory are those of the real thing: every slot has keys and values of its own, so that reading them costs
what it costs. Norms, softmax, sampling, the optimizer and Python are what is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dialog_rl.bench.workload import Workload
from dialog_rl.lm.policy import ModelShape

PRODUCTS = "the matrix products alone"


class _Weights(NamedTuple):
    layers: Sequence[Sequence[Tensor]]
    """Of each layer: query, key and value in one; out; gate and up in one; down."""
    output_VD: Tensor

    @classmethod
    def random(cls, shape: ModelShape) -> _Weights:
        d, m = shape.hidden, shape.intermediate
        layers = [
            tuple(torch.randn(out, into) for out, into in ((3 * d, d), (d, d), (2 * m, d), (d, m)))
            for _ in range(shape.layers)
        ]
        return cls(layers, torch.randn(shape.vocab_size, d))


def spoken(shape: ModelShape, work: Workload) -> Callable[[], None]:
    """Of rollouts with slots: each token is fed once, the last of a reply with what is said next."""
    weights, width = _Weights.random(shape), shape.hidden // shape.heads
    cache = torch.randn(shape.layers, 2, work.dialogues, shape.heads, work.length, width)
    several = torch.randn(work.dialogues, work.brief + work.said, shape.hidden)

    def feed(count: int, end: int) -> None:
        x_ND = several[:, :count].reshape(-1, shape.hidden)
        for layer, (keys, values) in zip(weights.layers, cache, strict=True):
            query_BHNK = _linears(x_ND, layer).view(work.dialogues, count, shape.heads, width).transpose(1, 2)
            for query_HNK, key_HCK, value_HCK in zip(query_BHNK, keys, values, strict=True):
                scores_HNC = query_HNK @ key_HCK[:, :end].transpose(1, 2)
                scores_HNC @ value_HCK[:, :end]
        F.linear(x_ND[: work.dialogues], weights.output_VD)

    @torch.no_grad()
    def speak() -> None:
        for count, end in _feeds(work):
            feed(count, end)

    return speak


def _feeds(work: Workload) -> Iterator[tuple[int, int]]:
    """Tokens fed to each dialogue at once, and how many it holds then. The last of a dialogue is never fed."""
    for turn in range(work.turns):
        before = work.end_of(turn) - work.reply
        yield (work.brief if turn == 0 else 1) + work.said, before
        for drawn in range(1, work.reply):
            yield 1, before + drawn


def _linears(x_ND: Tensor, layer: Sequence[Tensor]) -> Tensor:
    qkv, out, gate_up, down = layer
    query_ND = F.linear(x_ND, qkv)[:, : x_ND.shape[1]]
    F.linear(query_ND, out)
    F.linear(F.linear(x_ND, gate_up)[:, : down.shape[1]], down)
    return query_ND


def learnt(shape: ModelShape, work: Workload, *, tokens: int, dtype: torch.dtype) -> Callable[[], None]:
    """Of one forward and backward over whole episodes, `tokens` at once; half of causal attention is nothing."""
    weights = _Weights.random(shape)
    weights = _Weights([[w.to(dtype) for w in layer] for layer in weights.layers], weights.output_VD)
    rows, width = max(1, tokens // work.length), shape.hidden // shape.heads
    counts = [rows] * (work.dialogues // rows) + [work.dialogues % rows] * (work.dialogues % rows > 0)
    heads = torch.randn(rows * shape.heads, work.length, width, dtype=dtype)
    inputs = {w.shape[1]: torch.randn(rows * work.length, w.shape[1], dtype=dtype) for w in weights.layers[0]}
    outputs = {w.shape[0]: torch.randn(rows * work.length, w.shape[0], dtype=dtype) for w in weights.layers[0]}
    acted = work.turns * work.reply
    hidden_ND, logits_NV = torch.randn(rows * acted, shape.hidden), torch.randn(rows * acted, shape.vocab_size)

    @torch.no_grad()
    def learn() -> None:
        for count in counts:
            n, half = count * work.length, work.length // 2
            for layer in weights.layers:
                for weight in layer:
                    _forth_and_back(inputs[weight.shape[1]][:n], weight, outputs[weight.shape[0]][:n])
                x = heads[: count * shape.heads]
                scores = x @ x[:, :half].transpose(1, 2)
                scores @ x[:, :half]
                for _ in range(2):  # backward: as many again for each of both factors, twice
                    x @ x[:, :half].transpose(1, 2)
                    scores @ x[:, :half]
            _forth_and_back(hidden_ND[: count * acted], weights.output_VD, logits_NV[: count * acted])

    return learn


def _forth_and_back(x_ND: Tensor, weight_OD: Tensor, grad_NO: Tensor) -> None:
    F.linear(x_ND, weight_OD)
    grad_NO @ weight_OD
    grad_NO.T @ x_ND
