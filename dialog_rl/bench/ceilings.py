"""What a machine can do at best: how fast it multiplies matrices, and how fast it reads its memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

_SECONDS = 0.3
"""Of measuring each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    flops: float
    """Floating-point operations a second in large products of matrices."""
    bandwidth: float
    """Bytes read a second, from memory far larger than caches."""


def wait_for(device: torch.device) -> None:
    """Until everything that was asked of an accelerator is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def seconds_of(work: Callable[[], object], device: torch.device, *, least: float = _SECONDS) -> float:
    """Of one time of it: the quickest of repeats that together take `least`, after one that does not count."""
    work()
    wait_for(device)
    best, spent = float("inf"), 0.0
    while spent < least:
        began = time.perf_counter()
        work()
        wait_for(device)
        took = time.perf_counter() - began
        best, spent = min(best, took), spent + took
    return best


def measure_ceilings(device: torch.device, dtype: torch.dtype, *, side: int = 8192, size: int = 1 << 30) -> Ceilings:
    """side: of square matrices. size: bytes that are read."""
    multiplying, copying = _multiplying(device, dtype, side), _copying(device, size)
    return Ceilings(flops=2 * side**3 / multiplying, bandwidth=2 * size / copying)


def _multiplying(device: torch.device, dtype: torch.dtype, side: int) -> float:
    one, other = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    product = torch.empty_like(one)
    return seconds_of(lambda: torch.mm(one, other, out=product), device)


def _copying(device: torch.device, size: int) -> float:
    """As many bytes are written as read."""
    source = torch.zeros(size // 4, device=device, dtype=torch.float32)
    target = torch.empty_like(source)
    return seconds_of(lambda: target.copy_(source), device)
