"""What is wrong with a pack, before anybody learns from it: words that are missing, goals that cannot be reached or are
reached by doing nothing, rules that the right conversation would break.

Reading finds the first kind (`lint_reading`). The second is found by playing: the scripted expert must reach every goal
and break no rule, an agent that only says hello must reach none, and one that does what is forbidden must not succeed,
whatever it does afterwards.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dialog_rl import metrics, undeserving
from dialog_rl.episode import Episode, Message, ToolCall
from dialog_rl.errors import ScenarioError
from dialog_rl.expert import Expert, call_message
from dialog_rl.expressions import resolve
from dialog_rl.goals import make_scenario
from dialog_rl.lint_reading import Finding, error, read
from dialog_rl.pack import Pack, load_pack
from dialog_rl.scenario import Scenario, validate
from dialog_rl.seeds import derive
from dialog_rl.staging import Simulator, Stage, document

Heard = tuple[Message, ...]

SPLITS = ("train", "heldout")
AT_LARGE = 5
"""Customers with any goal, two-item ones too, for each one of a given variant."""


def lint(folder: Path, simulator: Callable[[Pack], Simulator], *, seeds: int = 10) -> tuple[Finding, ...]:
    """Everything found in the pack in `folder`, errors first.

    `simulator` plays the customers; `seeds` is how many of them each variant of each intent is tried with, a split.
    A pack that reads wrong is not played.
    """
    try:
        pack = load_pack(folder)
    except ScenarioError as e:
        return tuple(error(folder / "pack.yaml", "", line) for line in str(e).splitlines())
    found = list(read(pack))
    if not any(f.severity == "error" for f in found):
        found += _Rehearsal(pack, simulator(pack)).findings(seeds)
    return tuple(sorted(found, key=lambda f: f.severity != "error"))


class _Rehearsal:
    """Every circumstance of a pack played by an agent that knows, one that does nothing and one that does harm."""

    def __init__(self, pack: Pack, simulator: Simulator) -> None:
        self._pack, self._file = pack, pack.folder / "pack.yaml"
        self._stage = Stage(pack=pack, simulator=simulator, simulator_name="agenda")

    def findings(self, seeds: int) -> Iterator[Finding]:
        for name, intent in self._pack.file.intents.items():
            for variant in intent.variants:
                yield from self._tried(f"intents.{name}.variants.{variant}", seeds, intent=name, variant=variant)
        yield from self._tried("intents", AT_LARGE * seeds)

    def _tried(self, place: str, seeds: int, **goal: str) -> Iterator[Finding]:
        """Each kind of fault once a place, with the customer who showed it first and how many did."""
        faults: dict[str, list[str]] = {}
        for split in SPLITS:
            for seed in range(seeds):
                for fault in self._faults(derive(seed, "lint", place), split, **goal):
                    kind, _, detail = fault.partition(": ")
                    faults.setdefault(kind, []).append(f"{detail} (customer {split} {seed})".strip())
        for kind, shown in faults.items():
            yield error(self._file, place, f"{kind}, {len(shown)} of {len(SPLITS) * seeds} times; first: {shown[0]}")

    def _faults(self, seed: int, split: str, **goal: Any) -> Iterator[str]:
        """What is wrong with one customer: "kind: detail"."""
        try:
            scenario = make_scenario(self._pack, seed, split=split, **goal)
            validate(Scenario, document(scenario), source="the scenario")
        except ScenarioError as e:
            yield f"no scenario can be made: {e}"
            return
        try:
            right = self._played(scenario, seed, _knowing(self._pack, seed))
        except ScenarioError as e:
            yield f"the conversation cannot be played: {e}"
            return
        if not metrics.success(right).reached:
            yield f"the expert does not reach the goal: {_why(right)}"
        for violation in metrics.violations(right):
            yield f"the expert breaks a rule: {violation.rule} by {violation.text!r}"
        yield from self._undeserved(scenario, seed)

    def _undeserved(self, scenario: Scenario, seed: int) -> Iterator[str]:
        for name in (undeserving.NOTHING, undeserving.CLAIMS):
            idle = undeserving.agent(name, document(scenario))
            if metrics.success(self._played(scenario, seed, idle.act)).reached:
                yield f"an agent that {undeserving.AGENTS[name]} reaches the goal: nothing has to be changed or told"
        for call in _forbidden_calls(self._pack, scenario):
            harmed = metrics.success(self._played(scenario, seed, _knowing(self._pack, seed), first=call))
            if harmed.reached and harmed.forbidden:
                yield f"a forbidden action does not matter: {call.name}"

    def _played(
        self, scenario: Scenario, seed: int, act: Callable[[Heard], Message], *, first: ToolCall | None = None
    ) -> Episode:
        conversation = self._stage.conversation(scenario, seed, episode_id=scenario.id)
        if first is not None:
            opening = conversation.unobserved()
            conversation.act(call_message(first))
            if conversation.stopped is None:
                conversation.act(act(opening))
        while conversation.stopped is None:
            conversation.act(act(conversation.unobserved()))
        return conversation.episode()


def _knowing(pack: Pack, seed: int) -> Callable[[Heard], Message]:
    return Expert(pack, random.Random(derive(seed, "expert"))).act


def _forbidden_calls(pack: Pack, scenario: Scenario) -> Iterator[ToolCall]:
    """The forbidden calls as a careless agent would make them: with what the customer says, without a look-up first."""
    goal = scenario.user.goal
    forbidden = {gold.tool for gold in scenario.success.actions.forbidden}
    for item in goal.items if goal else ():
        for step in pack.file.intents[item.intent].plan:
            if step.call in forbidden:
                try:
                    arguments: Any = resolve(dict(step.arguments), {"slots": item.inform})
                except ScenarioError:
                    continue
                yield ToolCall(name=step.call, arguments=arguments)


def _why(episode: Episode) -> str:
    judged = metrics.success(episode)
    return (
        f"{judged.right_changes} of {judged.expected_changes} changes right, {judged.wrong_changes} wrong, "
        f"{judged.told} of {judged.to_tell} told, {judged.forbidden} forbidden, ended: {episode.stop}"
    )
