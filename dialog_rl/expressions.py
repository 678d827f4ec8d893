"""The little language of packs: paths, templates, conditions. Data only: nothing here can run code or reach a file.

`$order.status` is the value at a path; `"Order {order.id}"` is text with values in it; `{plus: [$a, $b]}` and
`{minus: [$a, $b]}` add and subtract amounts of money.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from dialog_rl.errors import ScenarioError

Scope = Mapping[str, Any]
_HOLE = re.compile(r"\{([a-zA-Z_][\w.]*)\}")


def lookup(path: str, scope: Scope) -> Any:
    """The value at a dotted path. Raises ScenarioError naming the part that is not there."""
    value: Any = scope
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            known = ", ".join(sorted(value)) if isinstance(value, Mapping) else type(value).__name__
            raise ScenarioError(f"'{path}' has no '{part}' here; there is: {known}")
        value = value[part]
    return value


def resolve(expression: Any, scope: Scope) -> Any:
    """An expression's value; anything that is not an expression is itself."""
    if isinstance(expression, str):
        if expression.startswith("$"):
            return lookup(expression[1:], scope)
        return fill(expression, scope) if "{" in expression else expression
    if isinstance(expression, Mapping):
        if len(expression) == 1:
            (operation, operands), *_ = expression.items()
            if operation in ("plus", "minus"):
                return _sum(operation, [resolve(o, scope) for o in operands])
        return {key: resolve(value, scope) for key, value in expression.items()}
    if isinstance(expression, list | tuple):
        return [resolve(value, scope) for value in expression]
    return expression


def fill(template: str, scope: Scope) -> str:
    """Text with `{path}` replaced by values."""
    return _HOLE.sub(lambda m: str(lookup(m.group(1), scope)), template)


def holes(template: str) -> tuple[str, ...]:
    """The paths a template needs."""
    return tuple(_HOLE.findall(template))


def holds(condition: Mapping[str, Any], scope: Scope) -> bool:
    """Whether every entry of the condition is true of the scope."""
    return all(_holds_one(lookup(path, scope), wanted, scope) for path, wanted in condition.items())


def _holds_one(found: Any, wanted: Any, scope: Scope) -> bool:
    if isinstance(wanted, Mapping):
        return all(_compare(found, operation, resolve(operand, scope)) for operation, operand in wanted.items())
    wanted = resolve(wanted, scope)
    return same(found, wanted) if not isinstance(wanted, list) else any(same(found, w) for w in wanted)


def _compare(found: Any, operation: str, operand: Any) -> bool:
    if operation == "not":
        return not any(same(found, w) for w in (operand if isinstance(operand, list) else [operand]))
    if operation == "min":
        return _number(found) >= _number(operand)
    if operation == "max":
        return _number(found) <= _number(operand)
    if operation == "outside":
        return not any(same(found, one) for one in operand)
    raise ScenarioError(f"'{operation}' is not a comparison; there are: not, min, max, outside")


def same(a: Any, b: Any) -> bool:
    """Equality as a clerk sees it: case and spacing of text do not matter."""
    return a == b or _plain(a) == _plain(b)


def _plain(value: Any) -> str:
    return " ".join(str(value).split()).casefold()


def _number(value: Any) -> Decimal:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise ScenarioError(f"{value!r} is not a number") from None


def _sum(operation: str, values: list[Any]) -> str:
    first, *rest = [_number(v) for v in values]
    total = first + sum(rest) if operation == "plus" else first - sum(rest)
    return str(total)
