"""Conversations for a report: the same customer with several agents side by side, and turns that break a rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from dialog_rl import metrics
from dialog_rl.episode import Episode, Turn
from dialog_rl.errors import ScenarioError
from dialog_rl.evaluation.document import Line, Side, Talks
from dialog_rl.evaluation.summaries import Key, Result, reached
from dialog_rl.seeds import generator

SIDES = 3
"""Conversations that fit beside each other."""
QUOTED = 2
"""Breaches of one rule by one agent that are quoted."""


def side_by_side(results: Sequence[Result], count: int, *, seed: int = 0) -> list[Talks]:
    """Up to `count` customers: first those with whom the agents fared differently, then failures, then successes.

    With more agents than fit beside each other, the last ones. A customer is drawn by chance among those of a kind.
    """
    shown = [result for result in results if result.episodes][-SIDES:]
    if not shown:
        return []
    keys = [key for key in shown[0].episodes if all(key in r.episodes for r in shown) and key[2] == 0]
    shown = shown if keys else shown[-1:]
    keys = keys or list(shown[0].episodes)
    rng = generator(seed, "excerpts")
    rng.shuffle(keys)
    chosen: list[tuple[str, Key]] = []
    kinds = list(_kinds(shown))
    each = max(1, count // len(kinds))
    for title, fits in kinds:
        left = [key for key in keys if key not in [k for _, k in chosen] and fits(key)]
        chosen += [(title, key) for key in left[:each]]
    return [_talks(title, shown, key) for title, key in chosen[:count]]


def _kinds(shown: Sequence[Result]) -> Iterator[tuple[str, Callable[[Key], bool]]]:
    first, last = shown[0], shown[-1]
    if len(shown) > 1:
        yield f"{last.name} served them, {first.name} did not", lambda k: _served(last, k) and not _served(first, k)
        yield f"{first.name} served them, {last.name} did not", lambda k: _served(first, k) and not _served(last, k)
    if len(shown) > 2:
        middle = shown[1]
        yield f"{middle.name} served them, {first.name} did not", lambda k: _served(middle, k) and not _served(first, k)
        yield f"{first.name} served them, {middle.name} did not", lambda k: _served(first, k) and not _served(middle, k)
    yield "Nobody served them" if len(shown) > 1 else "Not served", lambda k: not any(_served(r, k) for r in shown)
    yield "Everybody served them" if len(shown) > 1 else "Served", lambda k: all(_served(r, k) for r in shown)


def _served(result: Result, key: Key) -> bool:
    return reached(result.episodes[key])


def _talks(title: str, shown: Sequence[Result], key: Key) -> Talks:
    episode = shown[0].episodes[key]
    about = ", ".join(intent.replace("_", " ") for intent in dict.fromkeys(metrics.intents(episode))) or episode.pack
    sides = tuple(side(result.name, result.episodes[key]) for result in shown)
    return Talks(title=f"{title}: {about} ({key[0]}, customer {key[1]})", sides=sides)


def side(name: str, episode: Episode) -> Side:
    """A whole conversation with its verdict, and marks where rules are broken."""
    try:
        good = reached(episode)
    except ScenarioError:
        good = None
    marks = {(v.turn, v.text): v.rule for v in metrics.violations(episode)}
    lines = tuple(line for number, turn in enumerate(episode.turns) for line in _lines(turn, number, marks))
    verdict = f"ended: {episode.stop}" if good is None else "served" if good else f"not served ({_why(episode)})"
    return Side(name=name, verdict=verdict, good=good, lines=lines)


def _why(episode: Episode) -> str:
    found = metrics.success(episode)
    missing = [words for gate, words in _MISSING.items() if not found.gates.get(gate, True)]
    return ", ".join(missing) or f"ended: {episode.stop}"


_MISSING = {
    "db": "records not as they should be",
    "communicate": "not told what was asked",
    "actions": "a wrong action",
    "facts": "not what was to come about",
}


def _lines(turn: Turn, number: int, marks: Mapping[tuple[int, str], str]) -> Iterator[Line]:
    if turn.user.text:
        yield Line(who="customer", text=turn.user.text)
    for step in turn.steps:
        mark = marks.get((number, step.message.text), "")
        who = "call" if step.result is not None else "agent"
        yield Line(who=who, text=step.message.text, mark=f"breaks {mark.replace('_', ' ')}" if mark else "")
        if step.result is not None:
            yield Line(who="answer", text=step.result.text)


def breaches(results: Sequence[Result]) -> list[Talks]:
    """For each policy rule that was broken, the turns that broke it, the offending step marked."""
    found: dict[str, list[Side]] = {}
    for result in results:
        quoted: dict[str, int] = {}
        for key, episode in result.episodes.items():
            for violation in metrics.violations(episode):
                if quoted.setdefault(violation.rule, 0) < QUOTED:
                    quoted[violation.rule] += 1
                    found.setdefault(violation.rule, []).append(_quote(result.name, key, episode, violation))
    return [Talks(title=rule.replace("_", " "), sides=tuple(sides)) for rule, sides in sorted(found.items())]


def _quote(name: str, key: Key, episode: Episode, violation: metrics.Violation) -> Side:
    marks = {(violation.turn, violation.text): violation.rule}
    lines = tuple(_lines(episode.turns[violation.turn], violation.turn, marks))
    return Side(name=name, verdict=f"{key[0]}, customer {key[1]}, turn {violation.turn + 1}", good=None, lines=lines)
