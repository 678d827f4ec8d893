"""`bench scale`: what the parts take here, whether the simulation foretells what they take together, and the plan."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy

from dialog_rl.bench.campaign_logging import made_up
from dialog_rl.bench.measure import machine
from dialog_rl.bench.update import by_episode
from dialog_rl.bench.workload import Workload
from dialog_rl.episode import Episode
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.lm.model import EMBEDDED, SpeakingModel
from dialog_rl.lm.precision import bf16_pays
from dialog_rl.lm.rollouts import rollouts
from dialog_rl.scale import plan, simulation
from dialog_rl.scale.plan import Assumed, Plan
from dialog_rl.scale.simulation import Costs, Script
from dialog_rl.staging import Customers, Stage

SIZES = (1_000, 100_000, 10_000_000)
FITTED = ((1, 6), (2, 8), (6, 18), (16, 32))
"""Slots and conversations of the runs that costs are taken from."""
FORETOLD = ((4, 16), (10, 30))
"""Of those that the simulation must foretell."""


def bench_scale(
    stage: Stage, *, seed: int = 0, progress: Callable[[str], object] = lambda line: None
) -> dict[str, Any]:
    """Costs in CPU seconds of one thread, so that what else the machine does hardly counts."""
    model = SpeakingModel.load(EMBEDDED / "champion")
    runs = [_run(model, stage, slots, count, progress) for slots, count in (*FITTED, *FORETOLD)]
    speaking = fit(runs[: len(FITTED)])
    commit, event = _log_costs()
    progress("the log is timed")
    costs = Costs(**speaking, commit=commit, event=event, learnt=_learning_cost(model))
    checked = [
        {
            "slots": slots,
            "conversations": len(scripts),
            "measured": seconds,
            "foretold": foretold(scripts, slots, costs),
        }
        for slots, scripts, seconds in runs[len(FITTED) :]
    ]
    for one in checked:
        one["error"] = one["foretold"] / one["measured"] - 1
    scripts = [script for _, held, _ in runs for script in held]
    plans = [plan.plan(size, scripts, costs, Assumed(), seed=seed) for size in SIZES]
    return {"bench": "scale", **plan.document(plans, costs, Assumed()), "checked": checked, "machine": machine()}


Run = tuple[int, Sequence[Script], float]
"""Slots, what was said, and the seconds it took."""


def fit(runs: Iterable[Run]) -> dict[str, float]:
    """What each kind of step and token takes, by least squares of relative errors over whole runs, none below 0."""
    rows, ones = list[list[float]](), list[float]()
    for slots, scripts, seconds in runs:
        done = simulation.host(((0.0, script) for script in scripts), NOTHING, slots=slots).counts
        rows.append([done.prefills / seconds, done.heard / seconds, done.steps / seconds, done.said / seconds])
        ones.append(1.0)
    found: dict[str, float] = {"prefill": 0.0, "heard": 0.0, "step": 0.0, "said": 0.0}
    names = list(found)
    while names:
        columns = [list(found).index(name) for name in names]
        weights, *_ = numpy.linalg.lstsq(numpy.array(rows)[:, columns], numpy.array(ones), rcond=None)
        if (weights >= 0).all():
            return found | dict(zip(names, map(float, weights), strict=True))
        names = [name for name, weight in zip(names, weights, strict=True) if weight > 0]
    return found


NOTHING = Costs(prefill=0, heard=0, step=0, said=0, commit=0, event=0, learnt=0)


def _checked(run: Run, costs: Costs) -> dict[str, float]:
    slots, scripts, measured = run
    told = foretold(scripts, slots, costs)
    return {
        "slots": slots, "conversations": len(scripts), "measured": measured, "foretold": told,
        "error": told / measured - 1,
    }  # fmt: skip


def foretold(scripts: Sequence[Script], slots: int, costs: Costs) -> float:
    return simulation.host(((0.0, script) for script in scripts), costs, slots=slots).busy


def script_of(episode: Episode) -> Script:
    turns = (tuple((len(s.observation_ids), len(s.action_ids)) for s in turn.steps) for turn in episode.turns)
    return tuple(turn for turn in turns if turn)


def _run(model: SpeakingModel, stage: Stage, slots: int, count: int, progress: Callable[[str], object]) -> Run:
    """Conversations of the champion with simulated customers, in the order in which they were begun."""
    met = Customers(split="validation").scenarios(stage.pack, count, first=slots * 1000)
    conversations = [
        stage.conversation(scenario, seed, episode_id=f"{number:04d}", tokenizer=model.renderer.fingerprint)
        for number, (scenario, seed) in enumerate(met)
    ]
    started = time.thread_time()
    episodes = list(rollouts(
        model.policy, model.renderer, conversations, slots=slots, max_length=model.policy.max_positions,
    ))  # fmt: skip
    seconds = time.thread_time() - started
    progress(f"{count} conversations in {slots} slots took {seconds:.1f} s")
    return slots, [script_of(e) for e in sorted(episodes, key=lambda e: e.episode_id)], seconds


def _log_costs(rounds: int = 20, many: int = 64) -> tuple[float, float]:
    """Seconds of a commit, and of each event in it, by the clock on the wall: it waits for the disk."""
    with TemporaryDirectory(prefix="log-") as folder, EpisodeLog.open(Path(folder) / "log.sqlite") as log:
        alone, together, number = list[float](), list[float](), 0
        for _ in range(rounds):
            for size, taken in ((1, alone), (many, together)):
                episodes = [made_up(7 * n) for n in range(number, number + size)]
                number += size
                started = time.perf_counter()
                log.append_many(episodes)
                taken.append(time.perf_counter() - started)
    one, all_of_them = statistics.median(alone), statistics.median(together)
    event = max(0.0, (all_of_them - one) / (many - 1))
    return max(0.0, one - event), event


def _learning_cost(model: SpeakingModel, dialogues: int = 8, epochs: int = 2) -> float:
    """CPU seconds that an update takes for each conversation: its epochs, and one look each by old and reference."""
    work = Workload(dialogues=dialogues, vocab_size=model.policy.vocab_size)
    bf16 = bf16_pays()
    by_episode(model.policy, work, bf16=bf16)
    started = time.process_time()
    for _ in range(epochs):
        by_episode(model.policy, work, bf16=bf16)
        by_episode(model.policy, work, bf16=bf16, learn=False)
    return (time.process_time() - started) / dialogues


def lines(result: dict[str, Any]) -> list[str]:
    """The plan as a table, what it was made from, and how good the simulation is."""
    told = [
        f"{'conversations a day':>22} {'cores that speak':>17} {'load':>6} {'first token p95':>16} {'logs':>5} "
        f"{'ack p99':>9} {'learners':>9} {'learnt from':>12} {'staleness p50, p95':>20}"
    ]
    for document in result["plans"]:
        one = Plan(**document)
        told.append(
            f"{one.conversations:>22,} {one.hosts:>17,} {one.host_load:>6.0%} {one.first_token_p95:>14.2f} s "
            f"{one.logs:>5} {1000 * one.ack_p99:>6.0f} ms {one.learners:>9} {one.learnt:>12.0%} "
            f"{one.staleness_p50 / 60:>8.0f}, {one.staleness_p95 / 60:.0f} min"
        )
    told.append("measured: " + ", ".join(f"{name} {1000 * s:.3g} ms" for name, s in result["measured"].items()))
    told.append("assumed: " + ", ".join(f"{name} {value:g}" for name, value in result["assumed"].items()))
    told += [
        f"foretold: {one['conversations']} conversations in {one['slots']} slots {one['foretold']:.2f} s, "
        f"measured {one['measured']:.2f} s ({one['error']:+.1%})"
        for one in result["checked"]
    ]
    return told
