"""Causal attention in bf16 for training on a CPU.

PyTorch's fused CPU kernel is no quicker in bf16 than in fp32, while plain matrix products are several times quicker:
forward and backward of 8 rows of 400 tokens, 4 heads of 64, one thread: 54 ms fused, 21 ms here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel

NAME = "dialog_rl_bf16"
CHUNK = 256
"""Queries handled together. They see no key after the last of them, so long rows skip what the mask would hide."""


def causal_attention(query_BHTK: Tensor, key_BGTK: Tensor, value_BGTK: Tensor, *, scale: float) -> Tensor:
    """Self-attention of whole rows, in bf16. Returns attended_BTHK. G key-value heads serve H query heads."""
    groups = query_BHTK.shape[1] // key_BGTK.shape[1]
    query_BHTK = (query_BHTK * scale).bfloat16()
    key_BHTK, value_BHTK = (x.bfloat16().repeat_interleave(groups, 1) if groups > 1 else x.bfloat16()
                            for x in (key_BGTK, value_BGTK))  # fmt: skip
    length = query_BHTK.shape[2]
    hidden_TT = torch.full((length, length), -torch.inf, dtype=torch.bfloat16, device=query_BHTK.device).triu(1)
    chunks = []
    for start in range(0, length, CHUNK):
        end = min(start + CHUNK, length)
        scores = query_BHTK[:, :, start:end] @ key_BHTK[:, :, :end].transpose(-1, -2) + hidden_TT[start:end, :end]
        chunks.append(scores.softmax(-1) @ value_BHTK[:, :, :end])
    return torch.cat(chunks, dim=2).transpose(1, 2)


def _for_transformers(
    module: object, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    if attention_mask is not None or query.shape[2] != key.shape[2]:
        raise ValueError("only whole rows without a mask: pad on the right, keep no cache")
    with torch.autocast(query.device.type, enabled=False):
        return causal_attention(query, key, value, scale=options["scaling"]).contiguous(), None


AttentionInterface.register(NAME, _for_transformers)


@contextmanager
def used_by(model: PreTrainedModel) -> Iterator[None]:
    """Within the block, `model` attends with `causal_attention`; afterwards as before."""
    before = model.config._attn_implementation  # noqa: SLF001 - the public setter rebuilds more than this
    model.config._attn_implementation = NAME  # noqa: SLF001
    try:
        yield
    finally:
        model.config._attn_implementation = before  # noqa: SLF001
