"""The same customers played by several simulators: how far success moves between them, and whose fault failures were.

A figure that holds with one kind of customer only says as much about that kind as about the agent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Any

from dialog_rl.episode import Act, Episode, StopReason, Turn
from dialog_rl.evaluation.statistics import Interval, Paired
from dialog_rl.evaluation.suites import Evaluation, pair
from dialog_rl.evaluation.summaries import Result, reached

CONFUSED = ("confused", "diverged")
"""Acts of a customer who cannot make sense of a reply, or has no answer to it."""
SETBACKS = (*CONFUSED, "protest", "ask", "dont_know", "deny")
"""Acts of a customer who does not get what they want."""
TOLD = ("inform", "correct")
EVIDENCE = 3
"""Failures of each side that are named."""

_LONG_NUMBER = re.compile(r"\d{4,}")
_LETTERS = re.compile(
    r"[^\W\u3040-\u30ff\u3400-\u9fff]{41,}|(.{2,8}?)\1{3,}|\b(\w+)(?:\W+\2\b){2,}|[{}<>|_\ufffd]", re.IGNORECASE
)
"""An endless word, the same again and again, or marks that nobody says aloud."""


class Side(StrEnum):
    """Who was to blame for a failure."""

    AGENT = "agent"
    LOST_CUSTOMER = "customer could not understand"
    UNRULY_CUSTOMER = "customer broke the protocol"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """Who was to blame for one failure, and what shows it."""

    side: Side
    evidence: str = ""
    """What the customer made up, or the reply that they could not understand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """What one contestant's failures with one simulator came of."""

    contestant: str
    simulator: str
    conversations: int
    """Those that the simulator broke are among them."""
    by_side: Mapping[Side, int]
    named: tuple[tuple[str, Blame], ...]
    """Failures of the customers by the episode's id, the first few of each side."""

    @property
    def failed(self) -> int:
        return sum(self.by_side.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """How one contestant's success differs between two simulators that played the same customers."""

    contestant: str
    simulator: str
    against: str
    paired: Paired


@dataclass(frozen=True, slots=True, kw_only=True)
class Across:
    """One suite with several simulators."""

    evaluations: Mapping[str, Evaluation]
    """By simulator, in the order they were named."""
    moves: tuple[Move, ...]
    failures: tuple[Failures, ...]


def across(evaluations: Mapping[str, Evaluation]) -> Across:
    """Evaluations of the same contestants on the same customers, by simulator."""
    return Across(
        evaluations=evaluations,
        moves=tuple(
            Move(contestant=late.name, simulator=two, against=one, paired=pair(late, early))
            for one, two in combinations(evaluations, 2)
            for early, late in zip(evaluations[one].results, evaluations[two].results, strict=True)
        ),
        failures=tuple(
            failures(result, simulator) for simulator, found in evaluations.items() for result in found.results
        ),
    )  # fmt: skip


def failures(result: Result, simulator: str) -> Failures:
    """Every failure of one contestant with one simulator, with the side to blame."""
    failed = [(e.episode_id, blame(e)) for e in result.episodes.values() if not reached(e)]
    customers = [side for side in Side if side is not Side.AGENT]
    return Failures(
        contestant=result.name,
        simulator=simulator,
        conversations=len(result.episodes),
        by_side={side: sum(found.side is side for _, found in failed) for side in Side},
        named=tuple(one for side in customers for one in [f for f in failed if f[1].side is side][:EVIDENCE]),
    )


def widest(moves: Iterable[Move]) -> Interval | None:
    """The largest difference between two simulators, for the headline; None without any."""
    found = [move.paired.difference for move in moves if move.paired.pairs]
    return max(found, key=lambda interval: abs(interval.value), default=None)


def blame(episode: Episode) -> Blame:
    """Whose fault a failed conversation was, from what the customer meant by each message.

    The customer broke the protocol: the simulator failed, or the customer told a value that is not theirs, or hung up
    before the agent had said a word. The customer could not understand: at least half of all setbacks, and the last of
    them, were readable replies that they could make nothing of. Everything else is the agent's. A customer without
    acts, whom a language model plays, can be found out by made-up values alone.
    """
    broken = _broken_protocol(episode)
    if broken:
        return Blame(side=Side.UNRULY_CUSTOMER, evidence=broken)
    if episode.stop is not StopReason.AGENT_DONE and not _left_content(episode):
        setbacks = list(_setbacks(episode))
        lost = [reply for reply, is_lost in setbacks if is_lost]
        if lost and setbacks[-1][1] and 2 * len(lost) >= len(setbacks):
            return Blame(side=Side.LOST_CUSTOMER, evidence=lost[-1])
    return Blame(side=Side.AGENT)


def _broken_protocol(episode: Episode) -> str:
    if episode.stop is StopReason.USER_ERROR:
        return episode.note or "the simulator failed"
    invented = next(_made_up(episode), "")
    if invented:
        return f"told {invented!r}, which is not theirs"
    if episode.stop is StopReason.USER_LEFT and not any(turn.steps for turn in episode.turns[:-1]):
        return "hung up before the agent had answered"
    return ""


def _made_up(episode: Episode) -> Iterator[str]:
    """Values that the customer told and neither has by the scenario nor was told before."""
    own = {value.casefold() for value in _own_values(episode)}
    if not own:
        return
    heard = [episode.system.text]
    for turn in episode.turns:
        if turn.user.acts:
            yield from (a.value for a in turn.user.acts if a.kind in TOLD and a.value.casefold() not in own)
        else:
            known = " ".join([*own, *heard])
            yield from (number for number in _LONG_NUMBER.findall(turn.user.text) if number not in known)
        heard += [m.text for step in turn.steps for m in (step.message, step.result) if m is not None]


def _own_values(episode: Episode) -> Iterator[str]:
    """Every value that the scenario gives the customer, the wrong ones they are to begin with included."""
    goal: Mapping[str, Any] = episode.scenario.get("user", {}).get("goal") or {}
    yield from goal.get("known", {}).values()
    for item in goal.get("items", ()):
        for kind in ("inform", "wrong", "request", "change_of_mind"):
            yield from item.get(kind, {}).values()
        for hint in item.get("hints", {}).values():
            yield from hint.values()


def _left_content(episode: Episode) -> bool:
    """The customer believed that all was done, so what was wrong they were told by the agent."""
    return bool(episode.turns) and any(act.kind == "thanks" for act in episode.turns[-1].user.acts)


def _setbacks(episode: Episode) -> Iterator[tuple[str, bool]]:
    """The replies that got the customer no further, with whether it was the customer who could not understand."""
    for before, turn in zip(episode.turns, episode.turns[1:], strict=False):
        act = next((act for act in turn.user.acts if act.kind in SETBACKS), None)
        if act is not None:
            yield before.reply, act.kind in CONFUSED and (_is_noise(act) or _is_readable(before))


def _is_noise(act: Act) -> bool:
    """A customer who misheard, or has no answer left, whatever the reply was."""
    return bool(act.value) or act.kind == "diverged"


def _is_readable(turn: Turn) -> bool:
    """Whether the reply is words rather than letters: nobody could have understood the latter."""
    return any(char.isalnum() for char in turn.reply) and not _LETTERS.search(turn.reply)
