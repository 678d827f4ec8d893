"""Which of the queued conversations an update takes, and when the next one is due."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dialog_rl.online.eligibility import Summary
from dialog_rl.online.ledger import Facts
from dialog_rl.online.pace import Pace


def choose(queued: Sequence[Facts], batch: int, rater_share: float) -> tuple[Facts, ...]:
    """The oldest of the queue, at most `batch`, without any rater having more than their part of it.

    Of many raters none has more than `rater_share` of a batch; of a few, each has an equal part, and one who is alone
    has all of it. A conversation counts for everyone who rated it.
    """
    raters = {held.rater for facts in queued for held in facts.ratings}
    most = math.ceil(batch * max(rater_share, 1 / max(1, len(raters))))
    chosen: list[Facts] = []
    rated: Counter[str] = Counter()
    for facts in queued:
        mine = {held.rater for held in facts.ratings}
        if len(chosen) < batch and all(rated[rater] < most for rater in mine):
            chosen.append(facts)
            rated.update(mine)
    return tuple(chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """When the next update is made."""

    chosen: tuple[Facts, ...]
    """What it would take as things are."""
    why: str = ""
    """What made it due; empty: it is not."""
    what_for: str = ""
    """What would make it due."""
    seconds: float | None = None
    """Until it is due if nothing more is said; None if time alone does not make it so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """Seconds by the updater's own clock."""

    since_word: float
    """Since anybody said anything in a chat."""
    since_queued: float
    """Since the first of the queue was found eligible."""


def when(summary: Summary, pace: Pace, quiet: Quiet, *, now: bool = False) -> Due:
    """Whether an update is due. now: whoever asks wants one of whatever is queued."""
    chosen = choose(summary.queued, pace.batch, pace.rater_share)
    if not chosen:
        return Due(chosen=(), what_for=f"{pace.batch} rated conversations, or one and {_seconds(pace.wait)}")
    rest = max(0.0, pace.idle - quiet.since_word)
    if now:
        return Due(chosen=chosen, why=f"asked for, with {len(chosen)} rated conversations")
    if len(chosen) == pace.batch:
        if rest:
            return Due(chosen=chosen, seconds=rest, what_for=f"{_seconds(pace.idle)} without a word in any chat")
        return Due(chosen=chosen, why=f"{len(chosen)} rated conversations")
    left = max(rest, pace.wait - quiet.since_queued)
    if left <= 0:
        return Due(chosen=chosen, why=f"{len(chosen)} rated conversations for {_seconds(pace.wait)}")
    missing = pace.batch - len(chosen)
    return Due(
        chosen=chosen, seconds=None if math.isinf(left) else left, what_for=f"{missing} more rated conversations",
    )  # fmt: skip


def _seconds(seconds: float) -> str:
    return "no end of waiting" if math.isinf(seconds) else f"{seconds:g} seconds"
