"""How facts travel between the program and a plugin's worker process: one line of JSON each way.

The program's side trusts nothing that comes back: `read_scores` and `read_reply` rebuild every object from parts.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dialog_rl.conversation import UserReply
from dialog_rl.episode import (
    Episode,
    Message,
    Rating,
    Role,
    Step,
    Turn,
    episode_from_json,
    message_from_json,
    to_json,
)
from dialog_rl.errors import PluginError
from dialog_rl.scoring import Score

TEXT_LIMIT = 100_000
"""Characters of one message that a worker may send back."""


def encode(value: Any) -> Any:
    """Any fact, or mapping or sequence of facts, as JSON that `decode` turns back."""
    if isinstance(value, Episode):
        return {"$episode": to_json(without_ids(value))}
    if isinstance(value, Message):
        return {"$message": to_json(value)}
    if isinstance(value, Rating):
        return {"$rating": to_json(value)}
    if isinstance(value, Score):
        return {"$score": write_score(value)}
    if isinstance(value, Mapping):
        return {"$mapping": {str(key): encode(item) for key, item in value.items()}}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, numbers.Real):
        return float(value)
    return str(value)[:1000]


def decode(value: Any) -> Any:
    """The inverse of `encode`; for the worker's side, which reads what the program wrote."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    match kind:
        case "$episode":
            return episode_from_json(content)
        case "$message":
            return message_from_json(content)
        case "$rating":
            return Rating(**{**content, "tags": tuple(content.get("tags", ()))})
        case "$score":
            return _score(content)
        case _:
            return {key: decode(item) for key, item in content.items()}


def without_ids(episode: Episode) -> Episode:
    """The episode as people and rewards see it: token ids and their log-probs are for gradients alone."""

    def bare(step: Step) -> Step:
        return replace(step, observation_ids=(), action_ids=(), logprobs=())

    turns = tuple(Turn(user=turn.user, steps=tuple(map(bare, turn.steps))) for turn in episode.turns)
    return replace(episode, turns=turns)


def write_score(score: object) -> Any:
    """A score, or the bare number that stands for one; whatever else it is goes as its type's name."""
    if isinstance(score, Score):
        steps = None if score.per_step is None else [_plain(value) for value in score.per_step]
        reason = str(score.reason)[:500]
        return {"value": _plain(score.value), "per_step": steps, "reason": reason, "failed": bool(score.failed)}
    return _plain(score)


def _plain(value: object) -> Any:
    if value is None or type(value) in (int, float):
        return value
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    return {"junk": f"{type(value).__name__} {str(value)[:40]!r}"}


def read_scores(reply: Any) -> list[Score]:
    """Scores from a worker. Raises PluginError for anything that is not one; their number is the caller's to check."""
    if not isinstance(reply, list):
        raise PluginError(f"score() gave {_name(reply)}; it must give a list of scores")
    return [_score(item) for item in reply]


def _score(item: Any) -> Score:
    if not isinstance(item, dict) or "junk" in item:
        return Score(value=_number(item))
    steps = item.get("per_step")
    if steps is not None and not isinstance(steps, list):
        raise PluginError(f"per_step is {_name(steps)}; it must be a list with one value a step, or None")
    return Score(
        value=_number(item.get("value")),
        per_step=None if steps is None else tuple(map(_number, steps)),
        reason=str(item.get("reason", ""))[:500],
        failed=item.get("failed") is True,
    )


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PluginError(f"a score is a number or None, not {_name(value)}")
    try:
        number = float(value)
    except OverflowError as e:
        raise PluginError("a score is too large for a float") from e
    if not math.isfinite(number):
        raise PluginError(f"a score is {number}; it must be finite, or None")
    return number


def read_reply(reply: Any) -> UserReply:
    """What a simulated customer said. Raises PluginError if it is no message."""
    if not isinstance(reply, dict) or not isinstance(reply.get("text"), str):
        raise PluginError(f"the customer gave {_name(reply)}; it must be a UserReply")
    acts = reply.get("acts", [])
    message = message_from_json({"role": Role.USER, "text": reply["text"][:TEXT_LIMIT], "acts": acts})
    return UserReply(message=message, leaves=reply.get("leaves") is True)


def write_reply(reply: UserReply) -> Any:
    return {"text": reply.message.text, "acts": to_json(reply.message.acts), "leaves": bool(reply.leaves)}


def read_figures(reply: Any) -> dict[str, float]:
    """A metric's figures. Raises PluginError unless they are finite numbers by name."""
    if not isinstance(reply, dict):
        raise PluginError(f"measure() gave {_name(reply)}; it must give a mapping of names to numbers")
    figures = {str(key)[:100]: _number(value) for key, value in reply.items()}
    return {key: value for key, value in figures.items() if value is not None}


def line(document: Any) -> bytes:
    """One line of ASCII JSON; lone surrogates and line separators travel as escapes."""
    return json.dumps(document, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def sealed(key: str, document: Any) -> bytes:
    """A line that answers the one request which brought `key`: a digest of the JSON under that key, then the JSON."""
    text = line(document)
    return _digest(key, text) + b" " + text


def unsealed(key: str, text: bytes) -> Any:
    """What was sealed under `key`. Raises ValueError for any other line, however like an answer it looks."""
    digest, _, content = text.partition(b" ")
    if not hmac.compare_digest(digest, _digest(key, content)):
        raise ValueError("not sealed under this key")
    return json.loads(content)


def _digest(key: str, text: bytes) -> bytes:
    return hashlib.blake2b(text, key=key.encode(), digest_size=16).hexdigest().encode()


def _name(value: Any) -> str:
    if isinstance(value, dict) and "junk" in value:
        return str(value["junk"])[:80]
    return f"a {type(value).__name__}"


def names(values: Sequence[str]) -> str:
    return ", ".join(map(repr, values))
