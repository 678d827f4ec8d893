"""Reading tool calls as models write them. What cannot be read raises ValueError with words for the model itself."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from dialog_rl.episode import ToolCall

MAX_CALL_CHARS = 4000
"""A longer call is refused unread: no tool takes that much."""

TOOL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


def compact(arguments: Any) -> str:
    """Arguments as compact JSON, in their own order."""
    return json.dumps(dict(arguments), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def spaced(value: Any) -> str:
    """JSON as chat templates write it."""
    return json.dumps(value, ensure_ascii=False)


def read_named(text: str, *, arguments: str) -> ToolCall:
    """A call of the form {"name": …, `arguments`: {…}}; other keys are passed over."""
    _require_short(text)
    call = _json(text, "the call")
    if not isinstance(call, dict) or not isinstance(call.get("name"), str) or arguments not in call:
        raise ValueError(f'a call must read {{"name": "tool", "{arguments}": {{"argument": "value"}}}}')
    return checked(call["name"], call[arguments])


def read_arguments(name: str, text: str) -> ToolCall:
    """A call of the tool `name` with the arguments in `text`, a JSON object."""
    _require_short(text)
    return checked(name, _json(text, f"the arguments of {name}"))


def checked(name: str, arguments: Any) -> ToolCall:
    if not TOOL_NAME.fullmatch(name):
        raise ValueError(f"{name[:40]!r} is not the name of a tool")
    if not isinstance(arguments, dict):
        raise ValueError(f"the arguments of {name} must be an object, not {type(arguments).__name__}")
    if any(0xD800 <= ord(c) <= 0xDFFF for c in json.dumps(arguments, ensure_ascii=False)):
        raise ValueError(f"the arguments of {name} contain half a surrogate pair, which is no character")
    return ToolCall(name=name, arguments=arguments)


def _require_short(text: str) -> None:
    if len(text) > MAX_CALL_CHARS:
        raise ValueError(f"a call of {len(text)} characters; at most {MAX_CALL_CHARS} are read")


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    except json.JSONDecodeError as e:
        raise ValueError(f"{what} {'are' if what.startswith('the arguments') else 'is'} not JSON: "
                         f"{e.msg} at character {e.pos}") from e  # fmt: skip


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        repeated = next(name for name in out if sum(name == other for other, _ in pairs) > 1)
        raise ValueError(f"the argument {repeated!r} is given twice")
    return out


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")
