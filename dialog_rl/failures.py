"""Why a conversation failed, in words that can be counted; and through which holes of a benchmark a score has passed.

Judged from logged facts alone, as everything about success is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dialog_rl import metrics
from dialog_rl.episode import Episode, StopReason

UNKNOWN_TOOL = "called a tool that is not there"
UNREADABLE = "wrote a call that cannot be read"
REFUSED_CALLS = "had a call refused"
CONTEXT = "ran out of context"
TURNS = "ran out of turns"
UNDONE = "left undone what was wanted"
MISDONE = "changed what was not wanted"
UNTOLD = "did not tell what had to be told"
FORBIDDEN = "did what was forbidden, or not what was required"
NOT_SHOWN = "left something that does not hold"

IDLE = "doing nothing is paid the same"
UNJUDGED = "a judge is missing"
RULES = "rules were broken"
NOT_OURS = "we do not count it"


def reasons(episode: Episode) -> tuple[str, ...]:
    """All that went wrong in a conversation that failed; empty where the goal was reached, or none is known."""
    if not episode.scenario.get("success"):
        return ()
    found = metrics.success(episode)
    return () if found.reached else tuple(name for name, is_so in _faults(episode, found).items() if is_so)


def holes(episode: Episode) -> tuple[str, ...]:
    """What is doubtful about a score by a benchmark's own rules; empty where it pays nothing, or there is none."""
    paid = metrics.benchmark(episode)
    if paid is None or not paid.reached:
        return ()
    held = {
        IDLE: _pays_nothing_done(episode),
        UNJUDGED: bool(episode.scenario["benchmark"].get("unjudged")),
        RULES: bool(metrics.violations(episode)),
        NOT_OURS: not metrics.success(episode).reached,
    }
    return tuple(name for name, is_so in held.items() if is_so)


def _faults(episode: Episode, found: metrics.Success) -> Mapping[str, bool]:
    failed = [step for step in episode.steps if step.result is not None and step.result.error]
    garbled = [step for step in failed if step.message.malformed]
    calls = [step for step in failed if not step.message.malformed]
    return {
        UNKNOWN_TOOL: any(_is_unknown(step.result.facts) for step in calls if step.result is not None),
        UNREADABLE: bool(garbled),
        REFUSED_CALLS: any(not _is_unknown(step.result.facts) for step in calls if step.result is not None),
        CONTEXT: episode.stop is StopReason.CONTEXT_FULL,
        TURNS: episode.stop is StopReason.MAX_TURNS,
        UNDONE: found.right_changes < found.expected_changes,
        MISDONE: found.wrong_changes > 0,
        UNTOLD: not found.gates["communicate"],
        FORBIDDEN: not found.gates["actions"],
        NOT_SHOWN: not found.gates["facts"],
    }


def _is_unknown(facts: Mapping[str, Any]) -> bool:
    """Of a tool's answer: the back office says of every tool that it has what kind it is."""
    return "kind" not in facts


def _pays_nothing_done(episode: Episode) -> bool:
    """Whether a customer who was told nothing, and whose records nobody touched, would be a success as well.

    What holds from the beginning is not known here: where something must hold in the end, it is taken not to.
    """
    idle = metrics.benchmark(replace(episode, turns=(), journal=(), stop=StopReason.USER_LEFT))
    return idle is not None and idle.reached
