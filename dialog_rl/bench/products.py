"""The matrix products of the same work and nothing else: what the machine's own multiplying leaves room for.

Shapes and memory are those of the real thing: every slot has keys and values of its own, so that reading them costs
what it costs. Norms, softmax, sampling, the optimizer and Python are what is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dialog_rl.bench.workload import Workload
from dialog_rl.lm.packed import Packed
from dialog_rl.lm.policy import ModelShape
from dialog_rl.lm.ragged import Ragged

PRODUCTS = "the matrix products alone"


def spoken(shape: ModelShape, work: Workload) -> Callable[[], None]:
    """Of rollouts with slots: each token is fed once, the last of a reply with what is said next."""
    layers, output_VD = _weights(shape)
    packed = [[Packed(weight, dtype=torch.float32) for weight in layer] for layer in layers]
    output, width, slots = Packed(output_VD, dtype=torch.float32), shape.hidden // shape.heads, work.dialogues
    cache_LPSHTK = torch.randn(shape.layers, 2, slots, shape.heads, work.length, width)
    several_BTD = torch.randn(slots, work.brief + work.said, shape.hidden)

    def feed(count: int, end: int) -> None:
        x_ND = several_BTD[:, :count].reshape(-1, shape.hidden)
        sizes = {"heads": shape.heads, "kv_heads": shape.heads, "slots": slots, "positions": work.length}
        ragged = Ragged([(slot, end) for slot in range(slots)], **sizes) if count == 1 else None
        for layer, cache_PSHTK in zip(packed, cache_LPSHTK, strict=True):
            query_ND = _linears(x_ND, layer)
            if ragged is not None:
                keys_CK, values_CK = cache_PSHTK.view(2, -1, width)
                ragged.sums(ragged.scores(query_ND.reshape(-1, width), keys_CK), values_CK)
                continue
            query_BHNK = query_ND.view(slots, count, shape.heads, width).transpose(1, 2)
            for query_HNK, keys_HTK, values_HTK in zip(query_BHNK, *cache_PSHTK, strict=True):
                query_HNK @ keys_HTK[:, :end].transpose(1, 2) @ values_HTK[:, :end]
        output(x_ND[:slots])

    @torch.inference_mode()
    def speak() -> None:
        for count, end in _feeds(work):
            feed(count, end)

    return speak


def _weights(shape: ModelShape) -> tuple[list[list[Tensor]], Tensor]:
    """Of each layer: query, key and value in one; out; gate and up in one; down. And those of the vocabulary."""
    d, m = shape.hidden, shape.intermediate
    layers = [
        [torch.randn(out, into) for out, into in ((3 * d, d), (d, d), (2 * m, d), (d, m))]
        for _ in range(shape.layers)
    ]  # fmt: skip
    return layers, torch.randn(shape.vocab_size, d)


def _feeds(work: Workload) -> Iterator[tuple[int, int]]:
    """Tokens fed to each dialogue at once, and how many it holds then. The last of a dialogue is never fed."""
    for turn in range(work.turns):
        before = work.end_of(turn) - work.reply
        yield (work.brief if turn == 0 else 1) + work.said, before
        for drawn in range(1, work.reply):
            yield 1, before + drawn


def _linears(x_ND: Tensor, layer: Sequence[Packed]) -> Tensor:
    qkv, out, gate_up, down = layer
    query_ND = qkv(x_ND)[:, : x_ND.shape[1]]
    out(query_ND)
    gate_ND, _ = gate_up(x_ND).chunk(2, dim=-1)
    down(gate_ND)
    return query_ND


def learnt(shape: ModelShape, work: Workload, *, tokens: int, dtype: torch.dtype) -> Callable[[], None]:
    """Of one forward and backward over whole episodes, `tokens` at once; half of causal attention is nothing."""
    layers, output_VD = _weights(shape)
    layers = [[weight.to(dtype) for weight in layer] for layer in layers]
    rows, width = max(1, tokens // work.length), shape.hidden // shape.heads
    counts = [rows] * (work.dialogues // rows) + [work.dialogues % rows] * (work.dialogues % rows > 0)
    heads = torch.randn(rows * shape.heads, work.length, width, dtype=dtype)
    inputs = {w.shape[1]: torch.randn(rows * work.length, w.shape[1], dtype=dtype) for w in layers[0]}
    outputs = {w.shape[0]: torch.randn(rows * work.length, w.shape[0], dtype=dtype) for w in layers[0]}
    acted = work.turns * work.reply
    hidden_ND, logits_NV = torch.randn(rows * acted, shape.hidden), torch.randn(rows * acted, shape.vocab_size)

    @torch.no_grad()
    def learn() -> None:
        for count in counts:
            n, half = count * work.length, work.length // 2
            for layer in layers:
                for weight in layer:
                    _forth_and_back(inputs[weight.shape[1]][:n], weight, outputs[weight.shape[0]][:n])
                x = heads[: count * shape.heads]
                scores = x @ x[:, :half].transpose(1, 2)
                scores @ x[:, :half]
                for _ in range(2):  # backward: as many again for each of both factors, twice
                    x @ x[:, :half].transpose(1, 2)
                    scores @ x[:, :half]
            _forth_and_back(hidden_ND[: count * acted], output_VD, logits_NV[: count * acted])

    return learn


def _forth_and_back(x_ND: Tensor, weight_OD: Tensor, grad_NO: Tensor) -> None:
    F.linear(x_ND, weight_OD)
    grad_NO @ weight_OD
    grad_NO.T @ x_ND
