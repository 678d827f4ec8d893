from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dialog_rl.lm.attention import CHUNK, NAME, causal_attention, used_by
from dialog_rl.lm.policy import ModelShape, Policy


@pytest.mark.parametrize("length", [1, 7, CHUNK, CHUNK + 1, 2 * CHUNK + 40])
@pytest.mark.parametrize("kv_heads", [1, 4])
def test_chunked_attention_equals_the_fused_kernel_forwards_and_backwards(length: int, kv_heads: int) -> None:
    g = torch.Generator().manual_seed(length)
    inputs = [torch.randn(2, heads, length, 16, generator=g) for heads in (4, kv_heads, kv_heads)]
    mine, fused = ([x.bfloat16().float().requires_grad_() for x in inputs] for _ in range(2))
    out = causal_attention(*mine, scale=0.25).transpose(1, 2).float()
    query, key, value = fused
    wanted = F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)  # 0.25 = 16 ** -0.5
    assert (out - wanted).abs().max() < 0.03
    weights = torch.randn(out.shape, generator=g)
    (out * weights).sum().backward()
    (wanted * weights).sum().backward()
    for a, b in zip(mine, fused, strict=True):
        assert a.grad is not None and b.grad is not None
        # Of one key alone the gradient is exactly 0, and the fused kernel rounds to some 1e-6.
        assert (a.grad - b.grad).norm() < 0.02 * b.grad.norm() + 1e-5


def test_a_token_never_sees_what_comes_after_it() -> None:
    g = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 2, CHUNK + 9, 8, generator=g) for _ in range(3))
    before = causal_attention(q, k, v, scale=1.0)
    for x in (q, k, v):
        x[:, :, 40:] = 99.0
    assert torch.equal(causal_attention(q, k, v, scale=1.0)[:, :40], before[:, :40])


def test_the_model_attends_as_before_after_the_block() -> None:
    model = Policy.fresh(ModelShape(vocab_size=9, hidden=16, layers=1, heads=2, intermediate=8), seed=0).model
    with pytest.raises(RuntimeError), used_by(model):
        assert model.config._attn_implementation == NAME  # noqa: SLF001
        raise RuntimeError
    assert model.config._attn_implementation == "sdpa"  # noqa: SLF001


def test_masks_and_caches_are_refused() -> None:
    model = Policy.fresh(ModelShape(vocab_size=9, hidden=16, layers=1, heads=2, intermediate=8), seed=0).model
    ids = torch.tensor([[1, 2, 3]])
    with used_by(model), torch.autocast("cpu", dtype=torch.bfloat16):
        cache = model(ids, use_cache=True).past_key_values
        with pytest.raises(ValueError, match="whole rows"):
            model(ids, past_key_values=cache)
