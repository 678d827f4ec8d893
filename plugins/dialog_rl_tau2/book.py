"""The records of one conversation, shared until written, and the base of the desks whose tools work on them.

A row is copied when it is first changed, so beginning a conversation costs nothing and what was changed is known
without comparing. The sha256 of the whole records exists only to compare with tau2's own.
"""

from __future__ import annotations

import ast
import copy
import hashlib
import inspect
import json
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

Rows = Mapping[str, Mapping[str, Any]]
"""Table → row id → row. A row is any JSON value."""

F = TypeVar("F", bound=Callable[..., Any])
_GONE = object()


class Refused(Exception):
    """A tool's answer in words why it will not do what was asked."""


class Book:
    """Records over a shared base. What `get` and `rows` give must not be written; `edit` gives a copy that may be."""

    def __init__(self, base: Rows) -> None:
        self._base = base
        self._written: dict[tuple[str, str], Any] = {}

    def get(self, table: str, key: str) -> Any:
        """The row, or None."""
        row = self._written[table, key] if (table, key) in self._written else self._base.get(table, {}).get(key)
        return None if row is _GONE else row

    def has(self, table: str, key: str) -> bool:
        if (table, key) in self._written:
            return self._written[table, key] is not _GONE
        return key in self._base.get(table, {})

    def edit(self, table: str, key: str) -> Any:
        if (table, key) not in self._written:
            self._written[table, key] = copy.deepcopy(self._base[table][key])
        return self._written[table, key]

    def put(self, table: str, key: str, row: Any) -> None:
        self._written[table, key] = row

    def remove(self, table: str, key: str) -> None:
        self._written[table, key] = _GONE

    def settled(self) -> Book:
        """The same records as a base of their own: what was written so far is no change any more."""
        touched = {table for table, _ in self._written}
        return Book({**self._base, **{table: dict(self.rows(table)) for table in touched}})

    def rows(self, table: str) -> Iterator[tuple[str, Any]]:
        """The table's rows: those of the base in their order, then the added ones."""
        base = self._base.get(table, {})
        for key in base:
            if self.has(table, key):
                yield key, self.get(table, key)
        for (where, key), row in self._written.items():
            if where == table and key not in base and row is not _GONE:
                yield key, row

    def state(self) -> dict[str, dict[str, Any]]:
        """All records as they stand."""
        tables = dict.fromkeys([*self._base, *(table for table, _ in self._written)])
        return {table: dict(self.rows(table)) for table in tables}

    def changes(self) -> tuple[tuple[str, Any, Any], ...]:
        """What is different from the base, by path: before and after, None where there is nothing."""
        found: dict[str, tuple[Any, Any]] = {}
        for (table, key), row in self._written.items():
            before = self._base.get(table, {}).get(key)
            found.update(_differences(f"{table}/{key}", before, None if row is _GONE else row))
        return tuple((path, *found[path]) for path in sorted(found))


def _differences(path: str, before: Any, after: Any) -> Iterator[tuple[str, tuple[Any, Any]]]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            yield from _differences(f"{path}/{key}", before.get(key), after.get(key))
    elif before != after:
        yield path, (before, after)


def sha256_of(state: Any) -> str:
    """tau2's hash of records: of their JSON with sorted keys."""
    return hashlib.sha256(json.dumps(state, sort_keys=True, default=str).encode()).hexdigest()


def reads(function: F) -> F:
    """Marks a method as a tool that changes nothing."""
    function.tool_kind = "read"  # type: ignore[attr-defined]
    return function


def writes(function: F) -> F:
    """Marks a method as a tool that changes the records."""
    function.tool_kind = "write"  # type: ignore[attr-defined]
    return function


class Desk:
    """Whoever has tools: the agent's side, or the customer's. A public method marked `reads` or `writes` is a tool;
    the others are what tasks call to set a scene or to assert what has come about."""

    def __init__(self, book: Book) -> None:
        self.book = book

    @classmethod
    def tools(cls) -> dict[str, str]:
        """Name → "read" or "write"."""
        found = inspect.getmembers(cls, lambda m: hasattr(m, "tool_kind"))
        return {name: method.tool_kind for name, method in found}

    def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        """A tool's answer as text, and whether it is an error."""
        if name not in self.tools():
            return f"Error: Tool '{name}' not found", True
        try:
            return as_text(self.run(name, arguments)), False
        except Refused as refused:
            return f"Error: {refused}", True

    def run(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Any public method by name. Raises Refused, also for arguments that do not fit."""
        method = None if name.startswith("_") or name in _NOT_CALLABLE else getattr(self, name, None)
        if method is None:
            raise Refused(f"there is no {name} here")
        try:
            inspect.signature(method).bind(**arguments)
        except TypeError as e:
            raise Refused(str(e)) from None
        try:
            return method(**arguments)
        except (
            TypeError,
            AttributeError,
            LookupError,
            ValueError,
            ArithmeticError,
        ) as e:  # an argument of a wrong shape, from a model
            raise Refused(f"{type(e).__name__}: {e}") from None


_NOT_CALLABLE = frozenset({"book", "tools", "call", "run"})


class Row(dict[str, Any]):
    """A record within an answer: its numbers stay numbers, where those of an answer's own fields become text."""


def as_text(answer: Any) -> str:
    """How tau2 shows a tool's answer to a model."""
    if isinstance(answer, str):
        return answer
    return json.dumps(_shown(answer), default=str)


def _shown(value: Any) -> Any:
    if isinstance(value, Row):
        return dict(value)
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    return value if value is None or isinstance(value, str) else str(value)


_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip


def calculated(expression: str) -> str:
    """The value of an expression of + - * / and parentheses, to two decimals. Nothing else is run."""
    if len(expression) > 1000 or not all(c in "0123456789+-*/(). " for c in expression):
        raise Refused("Invalid characters in expression")
    try:
        return str(round(float(_value(ast.parse(expression.strip(), mode="eval").body)), 2))
    except (SyntaxError, ZeroDivisionError, OverflowError, RecursionError, MemoryError) as e:
        raise Refused(f"{expression!r} cannot be calculated: {type(e).__name__}") from None


def _value(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        return -_value(node.operand) if isinstance(node.op, ast.USub) else _value(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left), _value(node.right))
    raise Refused("only + - * / and parentheses can be calculated")
