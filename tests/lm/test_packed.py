from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dialog_rl.lm import packed
from dialog_rl.lm.packed import Packed, fewest_rows


@pytest.fixture(params=[True, False], ids=["oneDNN", "plain"])
def packs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(packed, "packs", lambda dtype: False)
    elif not packed.packs(torch.float32):
        pytest.skip("oneDNN does not multiply here")


def numbers(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.usefixtures("packs")
@torch.inference_mode()
def test_products_and_what_follows_them_are_those_of_torch() -> None:
    x, weight, other = numbers(40, 24, seed=0), numbers(56, 24, seed=1), numbers(40, 56, seed=2)
    product, plain = Packed(weight, dtype=torch.float32), F.linear(x, weight)
    for got, wanted in (
        (product(x), plain), (product.silu(x), F.silu(plain)), (product.times(x, other), plain * other),
        (product.plus(x, other), plain + other),
    ):  # fmt: skip
        assert torch.allclose(got, wanted, atol=1e-5)


@pytest.mark.usefixtures("packs")
@torch.inference_mode()
def test_a_rows_bits_do_not_depend_on_how_many_rows_there_are() -> None:
    x, other = numbers(700, 192, seed=0), numbers(700, 512, seed=1)
    product = Packed(numbers(512, 192, seed=2), dtype=torch.float32)
    for of in (product, product.silu, lambda x: product.times(x, other[: len(x)])):
        whole = of(x)
        for rows in (fewest_rows(torch.float32), 3, 32, 33, 64, 333):
            if rows >= fewest_rows(torch.float32):
                assert torch.equal(of(x[:rows].clone()), whole[:rows]), rows


@pytest.mark.usefixtures("packs")
@torch.inference_mode()
def test_weights_are_copied() -> None:
    weight, x = numbers(8, 4, seed=0), numbers(32, 4, seed=1)
    product = Packed(weight, dtype=torch.float32)
    before = product(x)
    weight.zero_()
    assert torch.equal(product(x), before)


@torch.inference_mode()
def test_bf16_weights_give_bf16_products() -> None:
    x, weight = numbers(32, 24, seed=0), numbers(56, 24, seed=1)
    got = Packed(weight, dtype=torch.bfloat16)(x.bfloat16())
    assert got.dtype == torch.bfloat16
    assert (got.float() - F.linear(x, weight)).abs().max() < 0.2
