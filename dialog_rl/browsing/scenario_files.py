"""A conversation as a scenario that can be played again, linted and learnt from.

One about a customer's goal keeps it. One in which somebody wanted whatever they liked becomes a customer who says the
same and for whom what was done then is right.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from dialog_rl import durable, safe_yaml
from dialog_rl.episode import Episode
from dialog_rl.errors import ScenarioError
from dialog_rl.scenario import ChangeExpected, Customer, Database, GoldCall, Provenance, Scenario, Success, validate
from dialog_rl.staging import document, scenario_of

ENDING = ".scenario.json"


def scenario_from(episode: Episode) -> Scenario:
    """Raises ScenarioError if the episode's own scenario no longer fits the schema."""
    played = scenario_of(episode)
    changed: dict[str, Any] = {
        "id": f"from-{episode.episode_id}",
        "provenance": Provenance(source="conversation", task=episode.episode_id, licence=played.provenance.licence),
    }
    goal = played.user.goal
    if goal is None or not goal.items:
        said = "\n".join(turn.user.text for turn in episode.turns if turn.user.text)
        told = f"You say, one after the other:\n{said}"
        changed |= {
            "user": Customer(persona=played.user.persona, goal=goal, instructions=told),
            "success": _as_it_was(episode),
        }
    return played.model_copy(update=changed)


def write(episode: Episode, path: Path) -> None:
    """Raises ScenarioError if there is such a file already, or it cannot be written."""
    if path.exists():
        raise ScenarioError(f"{path} is there already; choose another name")
    text = json.dumps(document(scenario_from(episode)), indent=1, allow_nan=False)
    with durable.failing_as(ScenarioError, f"{path}: cannot be written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.write_file(path, text.encode("ascii"))


def read(path: Path) -> Scenario:
    """The scenario in a file, JSON or YAML. Raises ScenarioError that names key and line."""
    found = safe_yaml.load(path)
    return validate(Scenario, found.data, source=str(path), lines=found.lines)


def file_name(episode_id: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", episode_id) + ENDING


def _as_it_was(episode: Episode) -> Success:
    writes = tuple(
        GoldCall(tool=step.message.tool_call.name, arguments=dict(step.message.tool_call.arguments))
        for step in episode.steps
        if step.message.tool_call is not None
        and step.result is not None
        and not step.result.error
        and step.result.facts.get("kind") == "write"
    )
    patch = tuple(ChangeExpected(path=c.path, before=c.before, after=c.after) for c in episode.journal)
    return Success(db=Database(from_actions=writes, patch=patch))
