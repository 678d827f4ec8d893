"""A conversation for elsewhere: Markdown for people, JSON Lines for programs, pairs for learning from preferences."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

from dialog_rl.chat.pairs import PAIR
from dialog_rl.episode import Episode, Rating, Turn, short, to_json
from dialog_rl.errors import ConfigError
from dialog_rl.text import one_line, printable

KINDS = ("md", "json", "pairs")


def export(kind: str, episode: Episode, ratings: Sequence[Rating], *, title: str, trains: bool | None) -> str:
    """Markdown, JSON Lines or preference pairs. Raises ConfigError for anything else."""
    if kind == "md":
        return as_markdown(episode, ratings, title)
    if kind == "json":
        return as_json(episode, ratings, trains=trains) + "\n"
    if kind == "pairs":
        return "".join(f"{line}\n" for line in preferences(episode, ratings))
    raise ConfigError(f"{one_line(kind, 20)!r} is nothing to export to; there is {', '.join(KINDS)}")


def as_markdown(episode: Episode, ratings: Sequence[Rating] = (), title: str = "") -> str:
    """What was said, called and thought. What a stranger wrote stays text: it is quoted, and steers nothing."""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(episode.started_at))
    lines = [
        f"# {_inline(title or episode.episode_id)}",
        f"{when}, pack {_inline(episode.pack)}, {_inline(episode.episode_id)}",
    ]
    for number, turn in enumerate(episode.turns):
        if turn.user.text:
            lines += ["**You**", _quoted(turn.user.text)]
        lines += _answer(turn)
        lines += [_opinion(rating) for rating in ratings if rating.turn == number]
    lines += [f"Of the whole: {_opinion(rating)}" for rating in ratings if rating.turn is None]
    return "\n\n".join(lines) + "\n"


def as_json(episode: Episode, ratings: Sequence[Rating] = (), *, trains: bool | None = None) -> str:
    """One line of ASCII: the whole episode, what was thought of it, and whether it may be learnt from."""
    document = {"episode": to_json(episode), "ratings": [to_json(rating) for rating in ratings], "consent": trains}
    return json.dumps(document, allow_nan=False)


def preferences(episode: Episode, ratings: Sequence[Rating]) -> Iterator[str]:
    """A line a preference: the messages before a reply, the reply that was wanted, and the one that was not.

    From corrections, and from pairs of which one was better.
    """
    for rating in ratings:
        if rating.turn is None or rating.turn >= len(episode.turns):
            continue
        said = episode.turns[rating.turn].reply
        for source, chosen, rejected in _preferred(rating, said):
            document = {
                "episode_id": episode.episode_id, "turn": rating.turn, "source": source,
                "prompt": _before(episode, rating.turn), "chosen": chosen, "rejected": rejected,
            }  # fmt: skip
            yield json.dumps(document, allow_nan=False)


def _preferred(rating: Rating, said: str) -> Iterator[tuple[str, str, str]]:
    if rating.correction and rating.correction != said:
        yield "correction", rating.correction, said
    compared = rating.extra.get(PAIR, {})
    if compared.get("chosen") in ("said", "other"):
        other = compared["other"]["steps"][-1]["message"]["text"]
        yield ("pair", said, other) if compared["chosen"] == "said" else ("pair", other, said)


def _before(episode: Episode, number: int) -> list[dict[str, Any]]:
    messages = [episode.system]
    for turn in episode.turns[:number]:
        messages.append(turn.user)
        messages += [m for step in turn.steps for m in (step.message, step.result) if m is not None]
    return [{"role": str(m.role), "content": m.text} for m in [*messages, episode.turns[number].user]]


def _answer(turn: Turn) -> Iterator[str]:
    for step in turn.steps:
        if step.message.tool_call is not None or step.message.malformed:
            answer = f" → {one_line(step.result.text)}" if step.result else ""
            yield f"    {one_line(step.message.text)}{answer}"
    if turn.reply:
        yield f"**Agent** ({_inline(short(turn.steps[-1].policy_version) or '?')})"
        yield _quoted(turn.reply)


def _opinion(rating: Rating) -> str:
    value = "" if rating.value is None else f"{rating.value:+g}"
    told = [value, *rating.tags, rating.comment, f"rather: {rating.correction}" if rating.correction else ""]
    return f"*{_inline(', '.join(part for part in told if part))}*"


def _quoted(text: str) -> str:
    return "\n".join(f"> {_escaped(line)}" for line in printable(text).split("\n"))


def _inline(text: str) -> str:
    return _escaped(one_line(text))


def _escaped(text: str) -> str:
    return "".join(f"\\{char}" if char in "\\`*_[]<>#|!" else char for char in text)
