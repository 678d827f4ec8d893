"""Recorded chats as scenarios: a regression set drafted from what a shop's customers and agents really said.

The customer says again what they said; the back office answers what it was seen to answer, and nothing else. Success
is drafted: the calls that changed something must be made again, and numbers that the agent told from a tool's answer
must be told again. A person should read a draft before leaning on it; a chat where nothing can be checked is refused.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from dialog_rl.episode import Change, Episode, Message, Role, ToolCall, to_json
from dialog_rl.errors import ScenarioError
from dialog_rl.pack import Pack
from dialog_rl.scenario import Scenario, validate
from dialog_rl.sources import Imported
from dialog_rl_simulators.replayed import read_exported

NAME = "chats"
CHATS = "chats.jsonl"
TOLD = 5
"""Numbers of a chat that must be told again, at most."""
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_READS = re.compile(
    r"(?:get|find|search|list|look|check|read|fetch|query|show|retrieve|lookup|calculate|think)(?:_|[A-Z]|$)"
)
_UNKNOWN = "error: nobody asked this in the recorded chat, so no answer is known"


class Drafts:
    """The importer, and what opens a folder that it wrote."""

    def bring(self, folder: Path, out: Path) -> tuple[Imported, ...]:
        raise ScenarioError(f"{folder}: chats are made into scenarios by 'dialog-rl episodes import FILE --draft DIR'")

    def draft(self, episodes: Sequence[Episode], base: Pack, out: Path) -> Imported:
        """Write a pack of the chats that can be checked, after the `base` pack. Raises ScenarioError."""
        if out.exists():
            raise ScenarioError(
                f"{out}: it is there already; a draft that somebody may have mended is not written over"
            )
        refused = {e.episode_id: why for e in episodes if (why := unfit(e, base))}
        kept = [e for e in episodes if e.episode_id not in refused]
        out.mkdir(parents=True)
        name = re.sub(r"\W", "_", out.name) or NAME
        head = {"schema": 1, "name": name, "title": f"recorded chats, after {base.name}", "source": NAME,
                "language": base.language, "brief": base.file.brief}  # fmt: skip
        (out / "pack.yaml").write_text(json.dumps(head, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        shutil.copyfile(base.folder / "phrasing.yaml", out / "phrasing.yaml")
        (out / "policy.md").write_text(base.policy_text, encoding="utf-8")
        self._write(out, [_drafted(e, base, name) for e in kept])
        return Imported(out, {"heldout": len(kept)}, refused)

    def open(self, folder: Path) -> DraftedChats:
        return DraftedChats(folder)

    def leave_out(self, folder: Path, why: Mapping[str, str]) -> None:
        self._write(folder, [e for e in read_exported(folder / CHATS) if e.episode_id not in why])

    def _write(self, folder: Path, episodes: Sequence[Episode]) -> None:
        lines = (json.dumps(to_json(e), ensure_ascii=False) + "\n" for e in episodes)
        (folder / CHATS).write_text("".join(lines), encoding="utf-8")


class DraftedChats:
    """`dialog_rl.sources.Source` over such a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def episodes(self) -> tuple[Episode, ...]:
        """The chats, each with its drafted scenario."""
        return tuple(read_exported(self._folder / CHATS))

    @cached_property
    def _by_id(self) -> Mapping[str, Episode]:
        return {str(e.scenario["id"]): e for e in self.episodes}

    def customers(self, split: str) -> int:
        if split != "heldout":
            raise ScenarioError(f"{self._folder}: there are no {split} customers; recorded chats are all heldout")
        return len(self.episodes)

    def scenario(self, number: int, *, split: str, phrasing: str) -> Scenario:
        return validate(Scenario, self.episodes[number].scenario, source=f"{self._folder / CHATS}, line {number + 1}")

    def office(self, scenario: Scenario) -> RecordedOffice:
        return RecordedOffice(self._by_id[scenario.id])

    def attended(self, user: Any, scenario: Scenario, office: Any) -> Any:
        return user

    def expert(self, scenario: Mapping[str, Any]) -> RecordedAgent:
        return RecordedAgent(self._by_id[str(scenario["id"])])

    def tools(self) -> tuple[Mapping[str, Any], ...]:
        """As they were seen to be called: every argument is text."""
        seen: dict[str, set[str]] = {}
        for episode in self.episodes:
            for call, _ in _calls(episode):
                seen.setdefault(call.name, set()).update(call.arguments)
        return tuple(
            {"type": "function", "function": {"name": name, "description": "", "parameters": {
                "type": "object", "properties": {one: {"type": "string"} for one in sorted(arguments)}}}}
            for name, arguments in sorted(seen.items())
        )  # fmt: skip


class RecordedOffice:
    """Answers a call as it was answered in the chat."""

    def __init__(self, episode: Episode) -> None:
        self._answers = {_key(call): answer for call, answer in _calls(episode)}

    def call(self, call: ToolCall) -> Message:
        return self._answers.get(_key(call), Message(role=Role.TOOL, text=_UNKNOWN, error=True))

    def journal(self) -> tuple[Change, ...]:
        return ()

    def ends_conversation(self, call: ToolCall) -> bool:
        return False


class RecordedAgent:
    """Says and does again what the agent of the chat did."""

    def __init__(self, episode: Episode) -> None:
        self._left = [step.message for step in episode.steps]

    def act(self, observed: tuple[Message, ...]) -> Message:
        return self._left.pop(0) if self._left else Message(role=Role.ASSISTANT, text="Goodbye.")


def unfit(episode: Episode, base: Pack) -> str:
    """Why nothing could be learnt from playing a chat again; empty if something can."""
    if not any(turn.reply for turn in episode.turns):
        return "the agent says nothing in it"
    if not _gold(episode, base) and not _told(episode):
        return "nothing in it can be checked: no call changed anything, and no number from a tool's answer was told"
    return ""


def _drafted(episode: Episode, base: Pack, pack: str) -> Episode:
    from dataclasses import replace

    success = {
        "gate": ["actions", "communicate"],
        "actions": {"required": [{"tool": c.name, "arguments": dict(c.arguments)} for c in _gold(episode, base)]},
        "communicate": [{"any_of": [number], "numeric": True} for number in _told(episode)],
    }
    more = {"pack": pack, "split": "heldout", "phrasing": "heldout", "language": base.language, "success": success,
            "limits": {"turns": max(16, 2 * len(episode.turns)), "calls": 16}}  # fmt: skip
    scenario = validate(Scenario, {**episode.scenario, **more}, source=episode.episode_id)
    document = {"schema": 1, **scenario.model_dump(mode="json", by_alias=True, exclude_defaults=True)}
    return replace(episode, pack=pack, scenario=document)


def _calls(episode: Episode) -> Iterator[tuple[ToolCall, Message]]:
    for step in episode.steps:
        if step.message.tool_call is not None and step.result is not None:
            yield step.message.tool_call, step.result


def _key(call: ToolCall) -> str:
    return json.dumps([call.name, call.arguments], sort_keys=True, ensure_ascii=False, default=str)


def _gold(episode: Episode, base: Pack) -> list[ToolCall]:
    """Calls that went well and changed something: by the base pack's word, else by their name."""
    known = base.file.tools
    return [
        call
        for call, answer in _calls(episode)
        if not answer.error
        and (known[call.name].kind == "write" if call.name in known else not _READS.match(call.name))
    ]


def _told(episode: Episode) -> list[str]:
    """Numbers that the agent told, that a tool had answered, and that the customer had not said."""
    answered = {n for _, answer in _calls(episode) if not answer.error for n in _NUMBER.findall(answer.text)}
    heard = {n for turn in episode.turns for n in _NUMBER.findall(turn.user.text)}
    spoken = [n for turn in episode.turns for n in _NUMBER.findall(turn.reply)]
    return [n for n in dict.fromkeys(spoken) if n in answered and n not in heard and len(n) > 1][:TOLD]
