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
FIGURES = ("startup", "memory", "cost", "isolation", "gpu")
CAMPAIGNS = (
    "logging-kills", "updater-kills", "checkpoints", "intake", "postgres-kills", "postgres-chats", "swaps",
    "forgetting", "hostile", "live", "trolls",
)  # fmt: skip
WITH_CUSTOMERS = ("scale", "workers", "preferences")
WHAT = (*TIMED, "all", *FIGURES, "gate", "chat", *WITH_CUSTOMERS, *CAMPAIGNS)


@click.command()
@click.argument("what", type=click.Choice(WHAT), default="all")
@click.option("--dialogues", type=click.IntRange(min=1), help="Dialogues at once.")
@click.option("--large", is_flag=True, help="Of rollout, update, iteration: 27 million parameters, not 2.8.")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Rounds of each way.")
@click.option(
    "--full", is_flag=True, help="A whole campaign instead of a sample: thousands of gates, kills or damages."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of a campaign.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Of 'cost': draw it into this file.")
@click.option("--beside", metavar="COMMAND", help="Of 'chat': what runs meanwhile, such as a training.")
@as_json
def bench(
    what: str,
    dialogues: int | None,
    large: bool,
    repeats: int,
    full: bool,
    seed: int,
    plot: Path | None,
    beside: str | None,
    as_json: bool,
) -> None:
    """Measure rollouts, updates or a whole iteration against the usual way, same model and work.

    The usual ways: Hugging Face generate with the whole history fed again each turn, and one padded row a turn in PPO.
    Beside them stand the matrix products of the same work and nothing else: no way can be quicker than these.

    'startup' and 'memory' measure processes of their own, 'cost' an iteration over more and more dialogues, turns and
    weights; 'isolation' scores with one reward inside the program and in a stranger's process; 'gpu' decodes and learns
    in the shapes of Qwen2.5-0.5B and 7B, as shares of what the device can do at best.
    'gate' measures the gate instead: how often it passes candidates that it should not, and those that it should.
    'scale' foretells what thousands and millions of conversations a day would take, from what is measured here.
    'workers' serves the same customers in this process, with one of Ray's workers and with two. 'preferences' tells how
    many pairs, thumbs, corrections or hints it takes until somebody's hidden preference is met.
    'chat' measures how quick the chat is, on a real terminal: first paint, first token, keys, long things.
    'logging-kills', 'updater-kills' and 'postgres-kills' kill who logs, who learns and the database; 'checkpoints'
    damages checkpoints, 'intake' offers hostile ones, 'postgres-chats' lets fifty people chat over a long log, 'swaps'
    changes the champion under twenty chats, 'forgetting' forgets people: it is an error if anything is lost, doubled,
    accepted, run, mixed, still there, or other than without. 'hostile' feeds YAML and JSON as strangers might send it:
    an error unless each is refused at once and touches nothing. 'live' lets people who are played chat and rate beside
    an updater, 'trolls' some of them say the opposite: they tell what came of it.
    """
    if what in CAMPAIGNS:
        _campaign(what, full, seed, as_json)
        return
    if what in FIGURES:
        _figures(what, dialogues, repeats, full, plot, as_json)
        return
    if what == "gate":
        _gate(full, seed, as_json)
        return
    if what in WITH_CUSTOMERS:
        _with_customers(what, dialogues, repeats, full, seed, as_json)
        return
    if what == "chat":
        _chat(repeats, beside, as_json)
        return
    opening.prepare_torch(resolve().settings)
    for name in TIMED if what == "all" else (what,):
        result = _run(name, dialogues, repeats, large)
        if as_json:
            emit_json("bench", result)
        else:
            from dialog_rl.bench.measure import lines

            emit("\n".join(lines(result)) + "\n")


def _figures(what: str, dialogues: int | None, repeats: int, full: bool, plot: Path | None, as_json: bool) -> None:
    opening.prepare_torch(resolve({"agent.threads": 1}).settings)  # what is forked must have no threads
    from dialog_rl.bench import accelerator, cost, isolation, measure, memory, startup
    from dialog_rl.bench.workload import Workload

    if what == "startup":
        result, told = startup.bench_startup(repeats=repeats, progress=note), measure.lines
    elif what == "memory":
        work = Workload(dialogues=dialogues) if dialogues is not None else None
        result, told = memory.bench_memory(work=work, repeats=repeats, progress=note), memory.lines
    elif what == "isolation":
        result, told = isolation.bench_isolation(dialogues=dialogues or 128, repeats=repeats), isolation.lines
    elif what == "cost":
        sizes = cost.FULL if full else cost.Range()
        result, told = cost.bench_cost(sizes=sizes, repeats=repeats, progress=note), cost.lines
        if plot is not None:
            cost.draw(result, plot)
    else:
        result, told = accelerator.bench_accelerator(progress=note), accelerator.lines
    if as_json:
        emit_json("bench", result)
    else:
        emit("\n".join(told(result)) + "\n")


def _chat(repeats: int, beside: str | None, as_json: bool) -> None:
    from dialog_rl.bench.chat_figures import bench_chat, lines
    from dialog_rl.chat.session import RUN

    log = Path(RUN) / opening.LOG
    result = bench_chat(repeats=repeats, log=log, beside=beside, progress=note)
    if as_json:
        emit_json("bench", result)
    else:
        emit("\n".join(lines(result)) + "\n")


def _with_customers(
    what: str, dialogues: int | None, repeats: int, full: bool, seed: int, as_json: bool
) -> None:  # fmt: skip
    from tempfile import TemporaryDirectory

    from dialog_rl.plugins.loading import load_plugins

    opening.prepare_torch(resolve({"agent.threads": 1}).settings)
    from dialog_rl.bench import preferences, scale_figures, workers

    (stage,) = opening.open_stages(load_plugins(), ("retail",))
    if what == "scale":
        result, told = scale_figures.bench_scale(stage, seed=seed, progress=note), scale_figures.lines
    elif what == "workers":
        result = workers.bench_workers(stage, dialogues=dialogues or 256, repeats=repeats, seed=seed, progress=note)
        told = workers.lines
    else:
        size, told = preferences.FULL if full else preferences.Size(), preferences.lines
        with TemporaryDirectory(prefix="preferences-") as folder:
            result = preferences.bench_preferences(stage, Path(folder), size=size, seed=seed, progress=note)
    if as_json:
        emit_json("bench", result)
    else:
        emit("\n".join(told(result)) + "\n")


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


def _run(name: str, dialogues: int | None, repeats: int, large: bool) -> dict[str, Any]:
    from dialog_rl.bench.iteration import bench_iteration
    from dialog_rl.bench.rollout import bench_rollout
    from dialog_rl.bench.update import bench_update
    from dialog_rl.bench.workload import LARGE, Workload

    run = {"rollout": bench_rollout, "update": bench_update, "iteration": bench_iteration}[name]
    work = Workload(dialogues=dialogues) if dialogues is not None else None
    return run(work=work, shape=LARGE if large else None, repeats=repeats, progress=note)
