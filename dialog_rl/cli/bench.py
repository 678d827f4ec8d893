"""`dialog-rl bench`: our rollouts and updates beside the usual way of doing the same work, in one run."""

from __future__ import annotations

from typing import Any

import click

from dialog_rl.cli import opening
from dialog_rl.cli.options import as_json
from dialog_rl.cli.output import emit, emit_json, note
from dialog_rl.config import resolve


@click.command()
@click.argument("what", type=click.Choice(["rollout", "update", "iteration", "all"]), default="all")
@click.option("--dialogues", type=click.IntRange(min=1), help="Dialogues at once.")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Rounds of each way.")
@as_json
def bench(what: str, dialogues: int | None, repeats: int, as_json: bool) -> None:
    """Measure rollouts, updates or a whole iteration against the usual way, same model and work.

    The usual ways: Hugging Face generate with the whole history fed again each turn, and one padded row a turn in PPO.
    """
    opening.prepare_torch(resolve().settings)
    for name in ("rollout", "update", "iteration") if what == "all" else (what,):
        result = _run(name, dialogues, repeats)
        if as_json:
            emit_json("bench", result)
        else:
            from dialog_rl.bench.measure import lines

            emit("\n".join(lines(result)) + "\n")


def _run(name: str, dialogues: int | None, repeats: int) -> dict[str, Any]:
    from dialog_rl.bench.iteration import bench_iteration
    from dialog_rl.bench.rollout import bench_rollout
    from dialog_rl.bench.update import bench_update
    from dialog_rl.bench.workload import Workload

    run = {"rollout": bench_rollout, "update": bench_update, "iteration": bench_iteration}[name]
    work = Workload(dialogues=dialogues) if dialogues is not None else None
    return run(work=work, repeats=repeats, progress=note)
