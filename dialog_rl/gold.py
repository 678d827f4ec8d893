"""What a right conversation comes to: from the gold calls and what is to be said, to what counts as success."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dialog_rl.episode import ToolCall
from dialog_rl.errors import ScenarioError
from dialog_rl.pack import Pack
from dialog_rl.world import Records, expected_journal


def success_of(
    pack: Pack, records: Records, facts: Mapping[str, str], items: Sequence[Mapping[str, Any]], gold: Sequence[ToolCall]
) -> dict[str, Any]:
    """`scenario.Success` as a document. `items`: `scenario.Item` as documents. Raises ScenarioError if a gold call is
    refused."""
    journal = expected_journal(pack, records, facts, tuple(gold))
    told = [{"any_of": (value,), "numeric": _is_number(value)} for item in items for value in item["request"].values()]
    told += [{"any_of": item["evidence"]} for item in items if item.get("refusal")]
    right = {call.name for call in gold}
    writes = {s.call for i in items if i.get("refusal") for s in pack.file.intents[i["intent"]].plan
              if s.call and pack.file.tools[s.call].kind == "write"}  # fmt: skip
    return {
        "db": {
            "from_actions": [{"tool": c.name, "arguments": c.arguments} for c in gold],
            "patch": [{"path": c.path, "before": c.before, "after": c.after} for c in journal],
        },
        "communicate": told,
        "actions": {"forbidden": [{"tool": tool} for tool in sorted(writes - right)]},
        "policy": [rule.model_dump() for rule in pack.file.policy],
    }


def evidence_of(pack: Pack, reason: str) -> tuple[str, ...]:
    """Words of which a right refusal for this reason says one. Raises ScenarioError if the pack has none."""
    evidence = pack.phrasing.evidence.get(reason)
    if not evidence:
        raise ScenarioError(f"{pack.folder / 'phrasing.yaml'}: 'evidence.{reason}' is missing")
    return evidence


def _is_number(value: str) -> bool:
    return value.replace(".", "", 1).isdigit()
