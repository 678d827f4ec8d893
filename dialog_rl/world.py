"""The back office of one episode: records, the pack's tools over them, and a journal of what changed.

Records are shared and never written: a changed row is copied first, so making a World costs nothing and the journal is
exactly the difference. A tool's answer is compact JSON, as a policy reads it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from dialog_rl.episode import Change, Message, Role, ToolCall
from dialog_rl.errors import ScenarioError
from dialog_rl.expressions import holds, lookup, resolve, same
from dialog_rl.help_search import best_article
from dialog_rl.pack import Change as ChangeRule
from dialog_rl.pack import Pack, Tool

Records = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Table → row id → fields."""


class Refusal(Exception):
    """A tool's answer in words why it will not do what was asked."""


class World:
    def __init__(self, pack: Pack, records: Records, facts: Mapping[str, str]) -> None:
        self._pack, self._records, self._facts = pack, records, facts
        self._changed: dict[tuple[str, str], dict[str, Any]] = {}

    def call(self, call: ToolCall) -> Message:
        """Run a tool. A wrong call or a refused one answers in words and changes nothing."""
        tool = self._pack.file.tools.get(call.name)
        if tool is None:
            return _answer(f"error: no tool {call.name}", error=True)
        wrong = _wrong_arguments(tool, call.arguments)
        if wrong:
            return _answer(f"error: {wrong}", error=True, facts={"kind": tool.kind})
        if tool.kind == "search":
            return _answer(
                best_article(self._pack, str(call.arguments["query"]), self._facts), facts={"kind": "search"}
            )
        return self._run(tool, call)

    def ends_conversation(self, call: ToolCall) -> bool:
        tool = self._pack.file.tools.get(call.name)
        return tool is not None and tool.kind == "end"

    def journal(self) -> tuple[Change, ...]:
        """What is different from the start, net, sorted by path."""
        changes: list[Change] = []
        for (table, key), row in self._changed.items():
            before = self._records.get(table, {}).get(key, {})
            for name in {*before, *row}:
                if before.get(name) != row.get(name):
                    path = f"{table}/{key}/{name}"
                    changes.append(Change(path=path, before=before.get(name), after=row.get(name)))
        return tuple(sorted(changes, key=lambda c: c.path))

    def rows(self, table: str) -> dict[str, Mapping[str, Any]]:
        """A table as it stands."""
        rows: dict[str, Mapping[str, Any]] = dict(self._records.get(table, {}))
        rows.update({key: row for (name, key), row in self._changed.items() if name == table})
        return rows

    def _run(self, tool: Tool, call: ToolCall) -> Message:
        scope: dict[str, Any] = dict(call.arguments)
        facts: dict[str, Any] = {"kind": tool.kind}
        try:
            for name, find in tool.find.items():
                scope[name] = self._find(find.table, find.where, scope, find.otherwise)
            if tool.subject:
                facts["subject"] = lookup(tool.subject, scope)
            for rule in tool.require:
                if not holds(rule.that, scope):
                    raise Refusal(resolve(rule.otherwise, scope))
        except Refusal as refusal:
            return _answer(str(refusal), error=True, facts=facts)
        for rule in tool.change:
            self._change(rule, scope)
        if tool.identifies:
            facts["identifies"] = lookup(tool.identifies, scope)
        return _answer(
            json.dumps(self._shown(tool.answer, scope), ensure_ascii=False, separators=(",", ":")), facts=facts
        )

    def _find(self, table: str, where: Mapping[str, Any], scope: Mapping[str, Any], otherwise: str) -> dict[str, Any]:
        wanted = {field: resolve(value, scope) for field, value in where.items()}
        for row in self.rows(table).values():
            if all(same(row.get(field), value) for field, value in wanted.items()):
                return {**row, "_table": table}
        raise Refusal(resolve(otherwise, scope))

    def _change(self, rule: ChangeRule, scope: dict[str, Any]) -> None:
        if rule.add:
            row = {field: resolve(value, scope) for field, value in rule.row.items()}
            self._changed[rule.add, str(row["id"])] = row
            return
        name, _, field = rule.set.partition(".")
        row = scope[name]
        place = (row["_table"], str(row["id"]))
        changed = self._changed.setdefault(place, {k: v for k, v in row.items() if k != "_table"})
        changed[field] = row[field] = resolve(rule.to, scope)

    def _shown(self, answer: Mapping[str, Any], scope: Mapping[str, Any]) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for key, value in answer.items():
            if isinstance(value, Mapping) and "list" in value:
                where = {f: resolve(v, scope) for f, v in value.get("where", {}).items()}
                rows = [
                    r for r in self.rows(value["list"]).values() if all(same(r.get(f), v) for f, v in where.items())
                ]
                shown[key] = [r[value["show"]] for r in rows]
            else:
                shown[key] = resolve(value, scope)
        return shown


def expected_journal(
    pack: Pack, records: Records, facts: Mapping[str, str], gold: tuple[ToolCall, ...]
) -> tuple[Change, ...]:
    """The journal of a conversation that did just the gold calls. Raises ScenarioError if one of them is refused."""
    world = World(pack, records, facts)
    for call in gold:
        answer = world.call(call)
        if answer.error:
            raise ScenarioError(
                f"{pack.folder}: the gold call {call.name} {dict(call.arguments)} answers: {answer.text}"
            )
    return world.journal()


def _answer(text: str, *, error: bool = False, facts: Mapping[str, Any] | None = None) -> Message:
    return Message(role=Role.TOOL, text=text, error=error, facts=facts or {})


def _wrong_arguments(tool: Tool, given: Mapping[str, Any]) -> str:
    """What is wrong with a call's arguments, and what would be right; empty if nothing is."""
    for name in given:
        if name not in tool.arguments:
            return f"no argument {name}; there are: {', '.join(tool.arguments)}"
    for name, kind in tool.arguments.items():
        value = given.get(name)
        if value is None:
            return f"{name} is missing"
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            return f"{name} must be text"
        if isinstance(kind, tuple) and str(value) not in kind:
            return f"{name} must be one of: {', '.join(kind)}"
        if kind == "number" and not re.fullmatch(r"\d{1,12}(\.\d{1,2})?", str(value)):
            return f"{name} must be a number"
    return ""
