"""What is wrong with a pack that a plugin brings: every customer of it, played by who knows and by who does nothing.

The expert must reach each goal. Agents that deserve nothing must reach none; where the benchmark that a scenario comes
from would pay them, that is a hole of its own, and is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from dialog_rl import metrics, undeserving
from dialog_rl.episode import Episode
from dialog_rl.errors import ScenarioError
from dialog_rl.lint_reading import Finding, error, warning
from dialog_rl.scenario import SPLITS, Scenario
from dialog_rl.seeds import derive
from dialog_rl.sources import SourcedPack
from dialog_rl.staging import Stage

IDLE, CLAIMING = undeserving.NOTHING, undeserving.CLAIMS
FLOOR = (IDLE, CLAIMING)
"""Agents that must reach no goal at all. Who refuses everything is right where a refusal is."""
EXPERT = "expert"


@dataclass(slots=True)
class Played:
    """How one split's customers, or all, fared with each agent."""

    customers: int = 0
    reached: dict[str, list[str]] = field(default_factory=dict)
    """Agent → the tasks in which it reached the goal, as we count."""
    paid: dict[str, list[str]] = field(default_factory=dict)
    """The same as their benchmark counts."""
    graded: int = 0
    """Customers whose benchmark has rules of its own."""
    failed: dict[str, str] = field(default_factory=dict)
    """Task → why the expert did not reach its goal."""
    broken: dict[str, list[str]] = field(default_factory=dict)
    """Policy rule → the tasks in which the expert broke it."""


def play(stage: Stage, on_task: Callable[[], None] = lambda: None) -> Played:
    """Every customer of a sourced pack with the expert and with both who do nothing."""
    played = Played(reached={name: [] for name in (EXPERT, *FLOOR)}, paid={name: [] for name in (EXPERT, *FLOOR)})
    for scenario, number in customers(stage.pack):
        task = scenario.provenance.task or scenario.id
        played.customers += 1
        for agent in (EXPERT, *FLOOR):
            try:
                episode = _episode(stage, scenario, derive(0, "lint", number), agent)
            except ScenarioError as e:
                played.failed.setdefault(task, f"it cannot be played: {e}")
                break
            _judge(played, agent, task, episode)
        on_task()
    return played


def customers(pack: object) -> Iterator[tuple[Scenario, int]]:
    """Every customer of a sourced pack, split after split."""
    assert isinstance(pack, SourcedPack)
    for split in SPLITS:
        try:
            count = pack.source.customers(split)
        except ScenarioError:
            continue
        for number in range(count):
            yield pack.scenario(number, split=split, phrasing="train"), number


def _judge(played: Played, agent: str, task: str, episode: Episode) -> None:
    ours, theirs = metrics.success(episode), metrics.benchmark(episode)
    if ours.reached:
        played.reached[agent].append(task)
    if theirs is not None and theirs.reached:
        played.paid[agent].append(task)
    if agent == EXPERT:
        played.graded += theirs is not None
        if not ours.reached:
            gates = ", ".join(name for name, held in ours.gates.items() if not held) or "all that is demanded holds"
            played.failed[task] = f"after {len(episode.turns)} turns it ended with {episode.stop}; missing: {gates}"
        for violation in metrics.violations(episode):
            played.broken.setdefault(violation.rule, []).append(task)


def _episode(stage: Stage, scenario: Scenario, seed: int, agent: str) -> Episode:
    conversation = stage.conversation(scenario, seed, episode_id=scenario.id)
    speaker = stage.expert(conversation) if agent == EXPERT else undeserving.agent(agent, conversation.scenario)
    while conversation.stopped is None:
        conversation.act(speaker.act(conversation.unobserved()))
    return conversation.episode()


def findings(stage: Stage) -> tuple[Finding, ...]:
    """Everything found, errors first."""
    played, file = play(stage), stage.pack.folder / "pack.yaml"
    found = [error(file, task, f"the expert does not reach the goal: {why}") for task, why in played.failed.items()]
    for rule, tasks in played.broken.items():
        found.append(warning(file, _some(tasks), f"the expert breaks the rule {rule}"))
    for agent in FLOOR:
        found += [
            error(file, task, f"an agent that {undeserving.AGENTS[agent]} reaches the goal")
            for task in played.reached[agent]
        ]
    for agent, tasks in _holes(played).items():
        paid = f"{len(tasks)} of {played.customers}"
        found.append(
            warning(
                file,
                _some(tasks),
                f"an agent that {undeserving.AGENTS[agent]} is paid by the benchmark's own rules: {paid}",
            )
        )
    return tuple(found)


def _holes(played: Played) -> Mapping[str, list[str]]:
    return {agent: played.paid[agent] for agent in FLOOR if played.paid[agent]}


def _some(tasks: list[str]) -> str:
    return f"tasks {', '.join(tasks[:40])}" + (", …" if len(tasks) > 40 else "")
