"""What can be done with packs, by command or on the screen: found, told, linted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialog_rl.cli.output import counted
from dialog_rl.errors import ScenarioError
from dialog_rl.sources import SourcedPack
from dialog_rl.text import table

if TYPE_CHECKING:
    from dialog_rl.lint_reading import Finding
    from dialog_rl.pack import Pack
    from dialog_rl.plugins.loading import Plugins


def folders_with_packs(folders: Sequence[Path]) -> list[Path]:
    """Those that are packs, and those in them that are."""
    found = (file for folder in folders for file in (*folder.glob("pack.yaml"), *folder.glob("*/pack.yaml")))
    return [file.parent for file in sorted(found)]


def names(plugins: Plugins, folders: Sequence[Path]) -> list[str]:
    """Of all packs, as commands take them: those in folders first, then those installed."""
    return [
        *(str(folder.resolve()) for folder in folders_with_packs(folders)),
        *sorted(plugins.registry.scenario_packs),
    ]


def customers_of(pack: Pack, split: str) -> int | None:
    """How many a pack has in a split; None where they are made without end."""
    return pack.source.customers(split) if isinstance(pack, SourcedPack) else None


def told(pack: Pack) -> Iterator[str]:
    """What is in a pack, a line each."""
    yield f"{pack.name}: {pack.file.title or 'no title'} ({pack.language}), {pack.folder}"
    yield "\nIntents"
    rows = [[name, ", ".join(intent.slots), ", ".join(intent.variants)] for name, intent in pack.file.intents.items()]
    yield table(["intent", "the customer tells", "circumstances"], rows)
    yield "\nTools"
    tools = [[name, tool.kind, ", ".join(tool.arguments), tool.description] for name, tool in pack.file.tools.items()]
    yield table(["tool", "kind", "arguments", "what it does"], tools)
    if pack.policy_text:
        yield f"\n{pack.policy_text.strip()}"


def briefly(pack: Pack) -> Iterator[str]:
    """The same where there is less room."""
    yield f"{pack.name}: {pack.file.title or 'no title'} ({pack.language})"
    yield f"{pack.folder}"
    yield "\nWhat customers want, tell and meet"
    for name, intent in pack.file.intents.items():
        yield f"- {name.replace('_', ' ')}: {', '.join(intent.slots) or 'nothing'}; {', '.join(intent.variants)}"
    yield "\nTools"
    for name, tool in pack.file.tools.items():
        yield f"- {name}({', '.join(tool.arguments)}), {tool.kind}: {tool.description}"
    if pack.policy_text:
        yield f"\n{pack.policy_text.strip()}"


def right(scenario: Any) -> str:
    """What would be right for a customer."""
    calls = ", ".join(map(_call, scenario.success.db.from_actions))
    told = "; ".join(
        f"“{c.any_of[0]}”" + (" or the like" if len(c.any_of) > 1 else "") for c in scenario.success.communicate
    )
    return " · ".join(part for part in (calls and f"do {calls}", told and f"tell {told}") if part) or "change nothing"


def _call(wanted: Any) -> str:
    return f"{wanted.tool}({', '.join(f'{name}: {value}' for name, value in wanted.arguments.items())})"


def line(finding: Finding) -> str:
    place = f": {finding.place}" if finding.place else ""
    return f"{finding.severity}: {finding.file}{place}: {finding.message}"


def counts(findings: Sequence[Finding]) -> str:
    errors = sum(finding.severity == "error" for finding in findings)
    return f"{counted(errors, 'error')}, {counted(len(findings) - errors, 'warning')}"


def findings(plugins: Plugins, pack: str, seeds: int) -> tuple[Path, tuple[Finding, ...]]:
    """Where the pack is, and what is wrong with it."""
    from dialog_rl.lint import lint as lint_pack
    from dialog_rl.lint_sourced import findings as findings_of_source
    from dialog_rl.staging import is_sourced, open_stage, pack_folder

    registry = plugins.registry
    if is_sourced(registry, pack):
        stage = open_stage(registry, pack)
        return stage.pack.folder, findings_of_source(stage)
    folder = pack_folder(registry, pack) if pack in registry.scenario_packs else Path(pack)
    if not folder.is_dir():
        known = ", ".join(sorted(registry.scenario_packs))
        raise ScenarioError(f"there is no pack or folder {pack!r}; installed are: {known}")
    agenda = registry.user_simulators["agenda"]
    return folder, lint_pack(folder, lambda loaded: agenda.make({}, {"pack": loaded}), seeds=seeds)
