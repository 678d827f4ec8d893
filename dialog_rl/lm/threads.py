"""How many CPU threads torch may use: a property of the process, so only a command sets it."""

from __future__ import annotations

import os

import torch

from dialog_rl.lm.precision import bf16_pays


def use_threads(count: int | None) -> int:
    """Give torch `count` threads, or one for every core this process may run on. Returns how many."""
    threads = count or available_cores()
    torch.set_num_threads(threads)
    return threads


def available_cores() -> int:
    """In a container these can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def describe_device() -> str:
    """Where torch would compute, in words."""
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()} beside {available_cores()} CPU cores"
    bf16 = "learns in bf16" if bf16_pays() else "no bf16"
    return (
        f"CPU, {available_cores()} cores, {torch.get_num_threads()} threads, "
        f"{torch.backends.cpu.get_cpu_capability()}, {bf16}"
    )
