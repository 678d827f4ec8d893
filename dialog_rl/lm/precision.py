"""Whether bf16 is quicker than fp32 here: it is on every GPU, and on processors that have instructions for it."""

from __future__ import annotations

from functools import cache

import torch


def bf16_pays(device: torch.device | str = "cpu") -> bool:
    """On a processor without such instructions torch computes bf16 an order of magnitude slower than fp32."""
    return torch.device(device).type != "cpu" or _processor_has_bf16()


@cache
def _processor_has_bf16() -> bool:
    can = torch.cpu.get_capabilities()
    return bool(can.get("amx_bf16") or can.get("avx512_bf16"))
