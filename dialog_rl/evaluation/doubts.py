"""What the figures of an evaluation cannot bear: said on the page before anybody leans on them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dialog_rl.evaluation.report import label
from dialog_rl.evaluation.statistics import Paired, detectable, pairs_needed
from dialog_rl.evaluation.suites import Evaluation
from dialog_rl.evaluation.summaries import Summary

FEW = 30
"""Customers below which a share says little."""
WIDE = 0.10
"""Half width of an interval from which a success share is known only roughly."""
FEW_IN_GROUP = 20
BROKEN = 0.05
"""Share of conversations that the simulator broke, from which the rest may be a selection."""


def doubts(found: Evaluation) -> tuple[str, ...]:
    """A line each, the weightiest first; none where the sample bears what is claimed."""
    lines = [*_samples(found), *(line for pair in found.comparisons.items() for line in _difference(*pair))]
    lines += [line for s in found.summaries for line in _broken(s)]
    if found.suite.get("phrasing") == "train" and found.suite.get("split") == "heldout":
        lines.append("These customers are new, but speak as those did that were trained on.")
    elif found.suite.get("split") == "train":
        lines.append("These customers are of the training split: who was trained on it may serve new ones worse.")
    groups = sorted({key for s in found.summaries for key, share in s.by_intent.items() if share.total < FEW_IN_GROUP})
    if groups:
        some = ", ".join(label(group, found) for group in groups[:4]) + (
            f" and {len(groups) - 4} more" if len(groups) > 4 else ""
        )
        lines.append(f"Fewer than {FEW_IN_GROUP} conversations each: {some}. Their shares say little.")
    return tuple(lines)


def _samples(found: Evaluation) -> Iterator[str]:
    customers = {result.name: len({key[:2] for key in result.episodes}) for result in found.results}
    few = [name for name, count in customers.items() if 0 < count < FEW]
    if few:
        yield f"Only {min(customers[name] for name in few)} customers: what is said of {_and(few)} may be chance."
    wide = {
        s.name: (s.success_interval.high - s.success_interval.low) / 2
        for s in found.summaries
        if s.name not in few and (s.success_interval.high - s.success_interval.low) / 2 > WIDE
    }
    if wide:
        most = 100 * max(wide.values())
        yield f"The success of {_and(list(wide))} is known to within {most:.0f} points only."


def _difference(names: tuple[str, str], paired: Paired) -> Iterator[str]:
    d = paired.difference
    if not paired.pairs:
        yield f"{names[0]} and {names[1]} met no customer in common: the difference mixes them with whom they met."
        return
    if math.isnan(d.value) or not d.low <= 0 <= d.high:
        return
    discordant = (paired.discordant + 1) / (paired.pairs + 2)
    seen = abs(d.value)
    needed = pairs_needed(seen, max(discordant, seen))
    more = f"; to show the {100 * seen:.1f} points seen here takes about {math.ceil(needed):,}" if seen > 0.004 else ""
    yield (
        f"No difference between {names[0]} and {names[1]} is shown. {paired.pairs} customers show one of "
        f"{100 * detectable(paired.pairs, discordant):.0f} points four times out of five{more}."
    )


def _broken(s: Summary) -> Iterator[str]:
    total = s.episodes + s.broken
    if total and s.broken > BROKEN * total:
        yield f"The simulator broke {s.broken} of {total} conversations with {s.name}: the others may be the easy ones."


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
