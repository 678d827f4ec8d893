"""What it costs that workers of Ray's speak: the same customers served by this process, by one worker and by two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

from dialog_rl.bench import measure
from dialog_rl.episode import Episode
from dialog_rl.errors import DialogRLError
from dialog_rl.lm.model import EMBEDDED, SpeakingModel
from dialog_rl.lm.rollouts import Rollouts, rollouts
from dialog_rl.staging import Customers, Stage

HERE = "this process"
MOST = 2
"""Workers at once: one more is of no use where there are two cores."""


class SaidOtherwise(DialogRLError):
    """Workers that do not say what this process says: their times mean nothing."""


def bench_workers(
    stage: Stage, *, dialogues: int = 256, repeats: int = 3, seed: int = 0,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:  # fmt: skip
    """One thread each. Raises ConfigError without Ray, SaidOtherwise if the workers say anything else."""
    from dialog_rl.scale.cluster import cluster

    model = SpeakingModel.load(EMBEDDED / "base")
    customers = tuple(Customers(split="train", seed=seed).scenarios(stage.pack, dialogues))
    said: dict[str, list[Episode]] = {}

    def serve(name: str, speak: Rollouts) -> None:
        conversations = [
            stage.conversation(scenario, each, episode_id=f"{number:06d}", temperature=1.0)
            for number, (scenario, each) in enumerate(customers)
        ]
        episodes = speak(
            model.policy, model.renderer, conversations, slots=32, max_length=model.policy.max_positions,
            temperature=1.0, version=model.version,
        )  # fmt: skip
        said[name] = sorted(episodes, key=lambda episode: episode.episode_id)

    with ExitStack() as stack:
        stack.enter_context(cluster(cpus=MOST * (MOST + 1) // 2))
        from dialog_rl.scale.fleet import Fleet

        ways: dict[str, measure.Way] = {HERE: partial(serve, HERE, rollouts)}
        for count in range(1, MOST + 1):
            ways[_name(count)] = partial(serve, _name(count), stack.enter_context(Fleet(count)).rollouts)
        timings = measure.alternate(ways, repeats=repeats, progress=progress)
    if differing := [name for name in said if said[name] != said[HERE]]:
        raise SaidOtherwise(f"{', '.join(differing)} did not say what this process says")
    return measure.report(timings, ours=HERE, bench="workers", work=f"{dialogues} customers of {stage.pack.name}")


def _name(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"


def lines(result: Mapping[str, Any]) -> list[str]:
    """Seconds, and what each way takes of the time that this process takes."""
    rows = [f"workers: {result['work']}, one thread each"]
    for name, way in result["ways"].items():
        rows.append(f"  {name:14s} {way['seconds']:8.2f} s  {way['times_ours']:6.2f} of this process's time")
    return rows
