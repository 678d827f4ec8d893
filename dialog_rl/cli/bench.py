"""`dialog-rl bench`: rollouts and updates beside the usual way of doing the same work; and what the gate lets pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dialog_rl.cli import opening
from dialog_rl.cli.options import as_json
from dialog_rl.cli.output import Progress, emit, emit_json, note
from dialog_rl.config import resolve

TIMED = ("rollout", "update", "iteration")
CAMPAIGNS = (
    "logging-kills", "updater-kills", "checkpoints", "postgres-kills", "swaps", "forgetting", "live", "trolls",
)  # fmt: skip


@click.command()
@click.argument("what", type=click.Choice([*TIMED, "all", "gate", "chat", *CAMPAIGNS]), default="all")
@click.option("--dialogues", type=click.IntRange(min=1), help="Dialogues at once.")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Rounds of each way.")
@click.option(
    "--full", is_flag=True, help="A whole campaign instead of a sample: thousands of gates, kills or damages."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of a campaign.")
@click.option("--beside", metavar="COMMAND", help="Of 'chat': what runs meanwhile, such as a training.")
@as_json
def bench(
    what: str, dialogues: int | None, repeats: int, full: bool, seed: int, beside: str | None, as_json: bool
) -> None:
    """Measure rollouts, updates or a whole iteration against the usual way, same model and work.

    The usual ways: Hugging Face generate with the whole history fed again each turn, and one padded row a turn in PPO.

    'gate' measures the gate instead: how often it passes candidates that it should not, and those that it should.
    'chat' measures how quick the chat is, on a real terminal: first paint, first token, keys, long things.
    'logging-kills', 'updater-kills' and 'postgres-kills' kill who logs, who learns and the database; 'checkpoints'
    damages checkpoints, 'swaps' changes the champion under twenty chats, 'forgetting' forgets people: it is an error if
    anything is lost, doubled, accepted, mixed, still there, or other than without. 'live' lets people who are played
    chat and rate beside an updater, 'trolls' some of them say the opposite: they tell what came of it.
    """
    if what in CAMPAIGNS:
        _campaign(what, full, seed, as_json)
        return
    if what == "gate":
        _gate(full, seed, as_json)
        return
    if what == "chat":
        _chat(repeats, beside, as_json)
        return
    opening.prepare_torch(resolve().settings)
    for name in TIMED if what == "all" else (what,):
        result = _run(name, dialogues, repeats)
        if as_json:
            emit_json("bench", result)
        else:
            from dialog_rl.bench.measure import lines

            emit("\n".join(lines(result)) + "\n")


def _chat(repeats: int, beside: str | None, as_json: bool) -> None:
    from dialog_rl.bench.chat_figures import bench_chat, lines
    from dialog_rl.chat.session import RUN

    log = Path(RUN) / opening.LOG
    result = bench_chat(repeats=repeats, log=log, beside=beside, progress=note)
    if as_json:
        emit_json("bench", result)
    else:
        emit("\n".join(lines(result)) + "\n")


def _gate(full: bool, seed: int, as_json: bool) -> None:
    from dataclasses import replace

    from dialog_rl.bench.gate import FULL, Size, bench_gate, lines
    from dialog_rl.plugins.loading import load_plugins

    stages = opening.open_stages(load_plugins(), ("retail",))
    result = bench_gate(stages, size=replace(FULL if full else Size(), seed=seed), progress=note)
    if as_json:
        emit_json("bench", result)
    else:
        emit("\n".join(lines(result)) + "\n")


def _campaign(what: str, full: bool, seed: int, as_json: bool) -> None:
    from dialog_rl.bench.campaigns import run_campaign

    opening.prepare_torch(resolve({"agent.threads": 1}).settings)  # what is forked must have no threads
    with Progress(what) as progress:
        result = run_campaign(what, full=full, seed=seed, progress=lambda done: progress.at(done))
    if as_json:
        emit_json("bench", result)
    else:
        emit(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in result.items()))


def _run(name: str, dialogues: int | None, repeats: int) -> dict[str, Any]:
    from dialog_rl.bench.iteration import bench_iteration
    from dialog_rl.bench.rollout import bench_rollout
    from dialog_rl.bench.update import bench_update
    from dialog_rl.bench.workload import Workload

    run = {"rollout": bench_rollout, "update": bench_update, "iteration": bench_iteration}[name]
    work = Workload(dialogues=dialogues) if dialogues is not None else None
    return run(work=work, repeats=repeats, progress=note)
