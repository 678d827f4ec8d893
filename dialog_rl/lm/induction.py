"""A start from which copying is near: two layers of attention that look up what followed the last time.

Layer 0 brings to each token what stood one, two and three places before it, one head a distance, into parts of the
residual stream that embeddings leave free. Layer 1 looks for the place where the same tokens stood before and repeats
what came there: one head compares one token, the next two, the third three. From noise such heads form only after
millions of tokens. They are a start, not a constraint: training changes every weight.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM

CONSTANT = 8.0
"""Embedding dimension 0 is the same for all tokens, in units of the others' spread: heads that attend by distance
alone read it, and the softmax over tokens does not feel it."""
FAST = 16
"""Rotary frequencies, fastest first, by which a head tells distances apart."""
SLOW = 0.004
"""Radians a token: dimensions that rotate no faster compare contents across hundreds of tokens."""
DISTANCES = 3
CARRIED = 32
"""Dimensions of a token's content that are carried from each distance."""
NEAR, SHARP, WRITE, COPY = 4.0, 14.0, 1.5, 4.0
"""How peaked the heads of layer 0 and 1 are, and how loud they write, found by looking at what they attend to."""


def seed_induction(model: LlamaForCausalLM, *, seed: int) -> None:
    """Overwrite, in place, the attention of the first two layers and some dimensions of the embedding.

    What every other part would write begins at zero, so that noise does not drown the little that is there.
    """
    config, generator = model.config, torch.Generator().manual_seed(seed)
    heads, spread = config.num_attention_heads, config.initializer_range
    width = config.hidden_size // heads
    size = min(CARRIED, width, config.hidden_size // (2 * DISTANCES + 2))
    free = config.hidden_size - DISTANCES * size
    rates = cast("Tensor", model.model.rotary_emb.inv_freq)
    basis = torch.linalg.qr(torch.randn(free - 1, free - 1, generator=generator))[0]
    content = torch.zeros(free - 1, config.hidden_size)
    content[:, 1:free] = basis
    first, second = (cast("Any", layer).self_attn for layer in model.model.layers[:2])
    with torch.no_grad():
        table = cast("Tensor", model.get_input_embeddings().weight)
        table[:, 0] = CONSTANT * spread
        table[:, free:] = 0.0
        for layer in cast("Any", model.model.layers):
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        for head in range(min(DISTANCES, heads)):
            rows = slice(head * width, (head + 1) * width)
            block = slice(free + head * size, free + (head + 1) * size)
            _attend_by_distance(first, rows, rates, head + 1)
            first.v_proj.weight[rows][:size] = content[:size]
            first.o_proj.weight[block, rows] = WRITE * spread * torch.eye(size, width)
            _attend_by_content(second, rows, rates, content[:size], free, matched=head + 1)
            said = content[head * width : (head + 1) * width]
            second.v_proj.weight[rows][: len(said)] = said
            second.o_proj.weight[:, rows][:, : len(said)] = COPY * spread * said.T


def _attend_by_distance(attention: Any, rows: slice, rates: Tensor, distance: int) -> None:
    """Query and key are constants whose rotations meet when the key stands `distance` places back."""
    half, hidden = len(rates), attention.q_proj.in_features
    constant = CONSTANT / math.sqrt(1 + CONSTANT**2 / hidden)
    scale = math.sqrt(NEAR * math.sqrt(2 * half)) / constant
    fast = torch.arange(min(FAST, half))
    for projection, turn in ((attention.q_proj, 0.0), (attention.k_proj, float(distance))):
        weight = cast("nn.Linear", projection).weight[rows]
        weight.zero_()
        weight[fast, 0] = scale * torch.cos(turn * rates[fast])
        weight[half + fast, 0] = scale * torch.sin(turn * rates[fast])


def _attend_by_content(attention: Any, rows: slice, rates: Tensor, content: Tensor, free: int, *, matched: int) -> None:
    """The query's last `matched` tokens are compared with those before the key, in slowly rotating dimensions."""
    half, size = len(rates), len(content)
    slow = [i for i in range(half) if rates[i] <= SLOW]
    dims = [d for i in slow for d in (i, i + half)]
    query, key = attention.q_proj.weight[rows], attention.k_proj.weight[rows]
    query.zero_()
    key.zero_()
    for back in range(matched):
        mine = dims[back::matched][:size]
        gain = math.sqrt(SHARP * math.sqrt(2 * half) / (len(mine) * matched))
        for k, dim in enumerate(mine):
            key[dim, free + back * size + k] = gain
            if back == 0:
                query[dim] = gain * content[k]
            else:
                query[dim, free + (back - 1) * size + k] = gain
