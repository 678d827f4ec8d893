"""What it costs that a stranger's reward runs in a process of its own: the same reward inside and confined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dialog_rl.bench import measure
from dialog_rl.episode import Episode
from dialog_rl.plugins.conformance import sample_episodes
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.plugins.rewards import build_rewards
from dialog_rl.scoring import Reward, RewardSpec, score_components

INSIDE, TOGETHER, ONE_BY_ONE = "inside", "confined, a batch a call", "confined, an episode a call"
NAME = "counting"
TURNS = 8
_REWARD = """
from dialog_rl import hookimpl

class Counting:
    def score(self, episodes):
        return [sum("thank" in turn.reply.lower() for turn in e.turns) / max(1, len(e.turns)) for e in episodes]

@hookimpl
def register_rewards(register):
    register("counting", Counting)
"""


def bench_isolation(
    *, dialogues: int = 128, repeats: int = 3, progress: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """A reward that does next to nothing, so that all but the first way is what the process's border costs."""
    episodes = conversations(dialogues)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        (folder / f"{NAME}.py").write_text(_REWARD, encoding="utf-8")

        def opened(trusted: Sequence[str]) -> tuple[Reward, ...]:
            plugins = stack.enter_context(load_plugins(files=[folder / f"{NAME}.py"], found=[], trusted=trusted))
            return build_rewards(plugins.registry, [RewardSpec(use=NAME)])

        inside, confined = opened([NAME]), opened([])
        ways: dict[str, measure.Way] = {
            INSIDE: lambda: score_components(inside, episodes),
            TOGETHER: lambda: score_components(confined, episodes),
            ONE_BY_ONE: lambda: [score_components(confined, [episode]) for episode in episodes],
        }
        timings = measure.alternate(ways, repeats=repeats, progress=progress)
    work = f"{dialogues} dialogues of {TURNS} turns"
    return {**measure.report(timings, ours=INSIDE, bench="isolation", work=work), "dialogues": dialogues}


def conversations(count: int) -> list[Episode]:
    """Ordinary ones of eight turns, with tool calls among them."""
    turns = [turn for episode in sample_episodes() for turn in episode.turns]
    eight = tuple((turns * TURNS)[:TURNS])
    return [replace(sample_episodes()[0], episode_id=f"e{number}", turns=eight) for number in range(count)]


def lines(result: Mapping[str, Any]) -> list[str]:
    """Milliseconds a dialogue. The CPU time is this process's, without that of the other one."""
    rows = [f"isolation: {result['work']}"]
    for name, way in result["ways"].items():
        each, cpu = (1000 * way[key] / result["dialogues"] for key in ("seconds", "cpu_seconds"))
        rows.append(f"  {name:30s} {each:8.3f} ms a dialogue  {cpu:8.3f} CPU ms")
    return rows
