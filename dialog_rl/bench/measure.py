"""Timing several ways of doing one piece of work, in turn, so that a machine's moods hit all of them alike."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

Way = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds of each repeat of one way."""

    wall: tuple[float, ...]
    cpu: tuple[float, ...]
    """All threads of the process together."""


def alternate(ways: Mapping[str, Way], *, repeats: int, progress: Callable[[str], None]) -> dict[str, Timing]:
    """Run every way once to warm up, then `repeats` rounds of each in turn."""
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(repeats + 1):
        for name, way in ways.items():
            wall_start, cpu_start = time.perf_counter(), time.process_time()
            way()
            if number:
                wall[name].append(time.perf_counter() - wall_start)
                cpu[name].append(time.process_time() - cpu_start)
                progress(f"round {number} of {repeats}: {name} took {wall[name][-1]:.2f} s")
    return {name: Timing(wall=tuple(wall[name]), cpu=tuple(cpu[name])) for name in ways}


def report(timings: Mapping[str, Timing], *, ours: str, **facts: Any) -> dict[str, Any]:
    """Medians, and how many times longer than `ours` each way took: the median of the rounds' own ratios."""
    best = timings[ours]
    ways = {
        name: {
            "seconds": statistics.median(timing.wall),
            "cpu_seconds": statistics.median(timing.cpu),
            "times_ours": statistics.median(a / b for a, b in zip(timing.wall, best.wall, strict=True)),
            "times_ours_cpu": statistics.median(a / b for a, b in zip(timing.cpu, best.cpu, strict=True)),
            "rounds": list(timing.wall),
        }
        for name, timing in timings.items()
    }
    return {**facts, "ours": ours, "ways": ways, "machine": machine()}


def machine() -> dict[str, Any]:
    return {
        "processor": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


def lines(result: Mapping[str, Any]) -> list[str]:
    """A result as lines of text."""
    rows = [f"{result['bench']}: {result['work']}, {result['machine']['threads']} thread(s)"]
    for name, way in result["ways"].items():
        rows.append(
            f"  {name:44s} {way['seconds']:8.2f} s  {way['cpu_seconds']:8.2f} CPU s"
            f"  {way['times_ours']:6.2f}x  {way['times_ours_cpu']:6.2f}x CPU"
        )
    return rows
