"""A receipt for every rating: what became of it, from the queue to the version that speaks. Read from the log alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from dialog_rl.episode import Rating
from dialog_rl.episode_log import learning
from dialog_rl.episode_log.learning import LEARNT, Used, Verdict
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.episode_log.records import Kind, LoggedEvent, rating_from_json
from dialog_rl.online.eligibility import Rules, judge
from dialog_rl.online.ledger import Ledger


class Fate(StrEnum):
    """How far a rating has come."""

    WITHDRAWN = "withdrawn"
    REPLACED = "replaced"
    """The same rater said something else about the same turn later."""
    NO_VALUE = "no value"
    """A comment, tags or a correction, which are no reward."""
    WAITING = "waiting"
    """In the log, and not learnt from: the reason says why, or that it is next."""
    TOO_LATE = "too late"
    """The conversation had been learnt from before the rating came."""
    IN_USE = "in use"
    """An update has planned it, and is not done."""
    USED = "used"
    """An update learnt from it; its weights are with the gate."""
    NOT_LEARNT = "not learnt"
    """The update came to nothing."""
    PROMOTED = "promoted"
    ACTIVE = "active"
    """A process speaks with the version that learnt from it."""
    REFUSED = "refused"
    """The version that learnt from it did not pass the gate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of one rating."""

    event_id: str
    seq: int
    rating: Rating
    fate: Fate
    reason: str = ""
    run: str = ""
    update: int = 0
    """The update that used it."""
    version: str = ""
    """The version that was made of it."""
    seconds: float | None = None
    """From the rating to the verdict on the version that learnt from it, by the log's clock."""


def receipts(log: EpisodeLog, episode_id: str, rules: Rules | None = None, run: str = "") -> tuple[Receipt, ...]:
    """The receipts of all ratings of a conversation, in the order in which they were given.

    rules: what a waiting conversation is judged by; without them it is only said that it waits. run: the updater's, if
    several follow the log.
    """
    events = list(log.events_of(episode_id))
    reader = _Reader(log, events, rules, run)
    return tuple(reader.receipt(event) for event in events if event.kind == Kind.RATING)


def all_receipts(log: EpisodeLog, rules: Rules | None = None, run: str = "", *, last: int = 20) -> tuple[Receipt, ...]:
    """The receipts of the latest ratings, oldest first."""
    rated = deque(log.events(kinds=(Kind.RATING,)), maxlen=last)
    wanted = {event.event_id for event in rated}
    found: list[Receipt] = []
    for episode_id in dict.fromkeys(event.episode_id for event in rated):
        found += [r for r in receipts(log, episode_id, rules, run) if r.event_id in wanted]
    return tuple(sorted(found, key=lambda receipt: receipt.seq))


class _Reader:
    """One conversation's events, and what they say of its ratings."""

    def __init__(self, log: EpisodeLog, events: Sequence[LoggedEvent], rules: Rules | None, run: str) -> None:
        self._log, self._events, self._rules, self._run = log, events, rules, run

    def receipt(self, event: LoggedEvent) -> Receipt:
        rating = rating_from_json(event.document)
        told = Receipt(event_id=event.event_id, seq=event.seq, rating=rating, fate=Fate.WAITING)
        used = self._used()
        if used is not None and event.event_id in used[0].ratings:
            return self._after_use(event, rating, *used)
        plan = self._planned(event)
        if plan is not None:
            return _with(told, Fate.IN_USE, f"update {plan.update} is being made", run=plan.run, update=plan.update)
        later = self._later_word(event, rating)
        if later is not None:
            return _with(told, *later)
        if rating.value is None:
            return _with(told, Fate.WITHDRAWN if rating.says_nothing else Fate.NO_VALUE, "it is no reward")
        if used is not None:
            number = used[0].update
            return _with(told, Fate.TOO_LATE, f"update {number} had learnt from the conversation before", update=number)
        return _with(told, Fate.WAITING, self._why_waiting(event.episode_id))

    def _used(self) -> tuple[Used, LoggedEvent] | None:
        """The use of this conversation, if there was one."""
        for event in self._events:
            if event.kind == Kind.USED and (used := learning.used_from(event.document)).run == (self._run or used.run):
                return used, event
        return None

    def _planned(self, rating: LoggedEvent) -> learning.Plan | None:
        """The plan that names a rating, if its update is not done yet. Only the latest plans can be."""
        for event in self._log.events(since=rating.seq, kinds=(Kind.UPDATE,)):
            plan = learning.plan_from(event.document)
            if (not self._run or plan.run == self._run) and any(rating.event_id in c.ratings for c in plan.episodes):
                return plan
        return None

    def _later_word(self, event: LoggedEvent, rating: Rating) -> tuple[Fate, str] | None:
        for other in self._events:
            if other.kind == Kind.RATING and other.seq > event.seq:
                later = rating_from_json(other.document)
                if (later.rater, later.turn) == (rating.rater, rating.turn):
                    gone = later.value is None
                    return (Fate.WITHDRAWN, "before it was used") if gone else (Fate.REPLACED, "by a later rating")
        return None

    def _why_waiting(self, episode_id: str) -> str:
        if self._rules is None:
            return ""
        ledger = Ledger(own_run="")
        for event in self._events:
            if event.kind in (Kind.BEGIN, Kind.EPISODE, Kind.RATING, Kind.CONSENT, Kind.QUARANTINE):
                ledger.take(event)
        judgement = judge(ledger.waiting[episode_id], self._rules)
        if judgement.why is None:
            return "queued for the next update"
        return f"{judgement.why}: {judgement.detail}" if judgement.detail else str(judgement.why)

    def _after_use(self, event: LoggedEvent, rating: Rating, used: Used, use: LoggedEvent) -> Receipt:
        told = Receipt(
            event_id=event.event_id, seq=event.seq, rating=rating, fate=Fate.USED, run=used.run, update=used.update,
            reason="its version is with the gate",
        )  # fmt: skip
        if used.outcome != LEARNT:
            return _with(told, Fate.NOT_LEARNT, used.outcome)
        found = self._log.find(learning.verdict_key(used.run, used.update))
        if found is None:
            return told
        verdict = learning.verdict_from(found.document)
        return _with(
            told, *self._said(verdict), version=verdict.version, seconds=found.recorded_at - event.recorded_at
        )  # fmt: skip

    def _said(self, verdict: Verdict) -> tuple[Fate, str]:
        if not verdict.promoted:
            passed = "it passed in shadow: " if verdict.passed else ""
            return Fate.REFUSED if verdict.version else Fate.NOT_LEARNT, passed + verdict.reason
        serving = next(_serving(self._log, verdict.version), "")
        return (Fate.ACTIVE, f"{serving} speaks with it") if serving else (Fate.PROMOTED, verdict.reason)


def _serving(log: EpisodeLog, version: str) -> Iterator[str]:
    """The processes that have said that they speak with a version."""
    for event in log.events(kinds=(Kind.SERVING,)):
        if event.document["version"] == version:
            yield event.document["process"]


def _with(receipt: Receipt, fate: Fate, reason: str, **changed: Any) -> Receipt:
    return replace(receipt, fate=fate, reason=reason, **changed)
