"""Attention by batched products equals torch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dialog_rl.lm.attention import causal_attention


@pytest.mark.parametrize("length", [1, 2, 7])
def test_it_is_causal_attention_forward_and_backward(length: int) -> None:
    generator = torch.Generator().manual_seed(length)
    inputs = [torch.randn(2, 3, length, 4, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(3)]
    ours_BTHK, _ = causal_attention(torch.nn.Identity(), inputs[0], inputs[1], inputs[2], None)
    theirs_BHTK = F.scaled_dot_product_attention(inputs[0], inputs[1], inputs[2], is_causal=True)
    assert torch.allclose(ours_BTHK.transpose(1, 2), theirs_BHTK)
    ours = torch.autograd.grad(ours_BTHK.square().sum(), inputs)
    theirs = torch.autograd.grad(theirs_BHTK.square().sum(), inputs)
    assert all(torch.allclose(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_cache_or_a_mask_is_refused() -> None:
    query, key = torch.zeros(1, 1, 1, 4), torch.zeros(1, 1, 3, 4)
    with pytest.raises(ValueError, match="whole rows"):
        causal_attention(torch.nn.Identity(), query, key, key, None)
    with pytest.raises(ValueError, match="whole rows"):
        causal_attention(torch.nn.Identity(), query, query, query, torch.zeros(1, 1))
