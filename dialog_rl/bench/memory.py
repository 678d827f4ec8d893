"""The most memory that speaking and learning need, beside the usual ways, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dialog_rl.bench import rollout, update
from dialog_rl.bench.footprint import cost_of
from dialog_rl.bench.measure import machine
from dialog_rl.bench.workload import Workload
from dialog_rl.lm.policy import ModelShape, Policy
from dialog_rl.lm.precision import bf16_pays


def bench_memory(
    *,
    work: Workload | None = None,
    shape: ModelShape | None = None,
    repeats: int = 1,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Bytes beyond the model itself. Of repeats the least counts: what else a process keeps only adds to it."""
    work, policy = work or Workload(dialogues=8), Policy.fresh(shape or ModelShape(), seed=0)
    parts = {
        "rollout": {
            rollout.OURS: lambda: rollout.with_slots(policy, work),
            rollout.GENERATE: lambda: rollout.with_generate(policy.model, work),
        },
        "update": {
            **({update.OURS: lambda: update.by_episode(policy, work, bf16=True)} if bf16_pays() else {}),
            update.OURS_FP32: lambda: update.by_episode(policy, work, bf16=False),
            update.PADDED: lambda: update.by_turn(policy, work, padded=True),
            update.PACKED: lambda: update.by_turn(policy, work, padded=False),
        },
    }
    found: dict[str, dict[str, int]] = {}
    for part, ways in parts.items():
        found[part] = {}
        for name, way in ways.items():
            found[part][name] = min(cost_of(way).bytes for _ in range(repeats))
            progress(f"{part}, {name}: {found[part][name] / 1e6:.0f} MB")
    return {"bench": "memory", "work": str(work), "parts": found, "machine": machine()}


def lines(result: Mapping[str, Any]) -> list[str]:
    rows = [f"memory: {result['work']}, beyond the model itself"]
    for part, ways in result["parts"].items():
        ours = next(iter(ways.values()))
        rows += [
            f"  {part}: {name:48s} {most / 1e6:8.0f} MB  {most / max(1, ours):6.2f}x" for name, most in ways.items()
        ]
    return rows
