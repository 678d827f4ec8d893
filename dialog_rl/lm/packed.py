"""Matrix products with weights laid out once for the processor, as inference multiplies by the same ones all the time.

oneDNN's products of few rows are quicker than those that `torch.nn.functional.linear` takes for fp32 (MKL's): 32 rows,
192 by 1,024, one thread of an EPYC with AVX-512: 61 against 127 microseconds; with AVX2 alone 106 against 122. And a
row's bits do not depend on how many rows there are, for two or more of them, from SSE4.1 to AVX-512.
"""

from __future__ import annotations

import platform
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

FEWEST_ROWS = 2
"""With which a row's bits are those that it has among many, where oneDNN multiplies."""
FEWEST_ROWS_UNPACKED = 32
"""And elsewhere: MKL multiplies a few rows by other code than many; from 28 rows on a row has the same bits."""


@cache
def packs(dtype: torch.dtype) -> bool:
    """Whether oneDNN multiplies here. Other processors' have not been measured."""
    if platform.machine() not in ("x86_64", "AMD64") or not torch.backends.mkldnn.is_available():
        return False
    has_operators = hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return has_operators and (dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()))  # noqa: SLF001


def fewest_rows(dtype: torch.dtype) -> int:
    """Rows that a product must have, so that none depends on how many others there are."""
    return FEWEST_ROWS if packs(dtype) else FEWEST_ROWS_UNPACKED


class Packed:
    """x @ weight.T for x_ND and weight_OD, alone or together with what follows it. Not for autograd."""

    def __init__(self, weight_OD: Tensor, *, dtype: torch.dtype) -> None:
        weight_OD = weight_OD.detach().to(dtype, copy=True).contiguous()
        self._packs = packs(dtype)
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight_OD, None) if self._packs else weight_OD  # noqa: SLF001

    def __call__(self, x_ND: Tensor) -> Tensor:
        return self._fused(x_ND, "none") if self._packs else F.linear(x_ND, self._weight)

    def silu(self, x_ND: Tensor) -> Tensor:
        return self._fused(x_ND, "swish") if self._packs else F.silu(F.linear(x_ND, self._weight))

    def times(self, x_ND: Tensor, other_NO: Tensor) -> Tensor:
        return self._with(x_ND, other_NO, "mul") if self._packs else F.linear(x_ND, self._weight) * other_NO

    def plus(self, x_ND: Tensor, other_NO: Tensor) -> Tensor:
        return self._with(x_ND, other_NO, "add") if self._packs else F.linear(x_ND, self._weight) + other_NO

    def _fused(self, x_ND: Tensor, function: str) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x_ND, self._weight, None, function, [], "")  # noqa: SLF001

    def _with(self, x_ND: Tensor, other_NO: Tensor, function: str) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise.binary(x_ND, other_NO, self._weight, None, function)  # noqa: SLF001
