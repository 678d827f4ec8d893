"""How learning stands, seen from another process: from the log, the journal of versions and the latest checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dialog_rl.episode_log import learning
from dialog_rl.episode_log.learning import Plan, Verdict
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.episode_log.records import Kind
from dialog_rl.errors import CheckpointError
from dialog_rl.lm import checkpoints, journal, versions
from dialog_rl.lm.journal import CHAMPION
from dialog_rl.online.course import CHECKPOINTS, read_state
from dialog_rl.online.eligibility import Rules, Summary, summarise
from dialog_rl.online.ledger import Ledger
from dialog_rl.online.pace import Pace, pace_of
from dialog_rl.online.selection import Due, Quiet, when
from dialog_rl.online.training_record import is_held


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    running: bool
    update: int
    """The last one that was made."""
    used: int
    """Conversations that were learnt from."""
    champion: str
    active: bool
    """A process has said that it speaks with the champion."""
    last: str
    """What became of the last update."""
    pending: Plan | None
    """An update that is being made, or was begun and is made when the updater is started again."""
    summary: Summary
    due: Due
    pace: Pace

    def next_update(self) -> str:
        """When it is due and what makes it so, in words."""
        if self.pending is not None:
            doing = "being made" if self.running else "begun; it is made as soon as the updater runs"
            return f"update {self.pending.update} is {doing}"
        if self.due.why:
            return f"due: {self.due.why}" + ("" if self.running else "; the updater is not running")
        left = "" if self.due.seconds is None else f", or in {self.due.seconds:.0f} seconds"
        return f"waits for {self.due.what_for}{left}"

    def document(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "running": self.running,
            "updates": self.update,
            "conversations_used": self.used,
            "champion": self.champion,
            "active": self.active,
            "last": self.last,
            "queued": [facts.episode_id for facts in self.summary.queued],
            "refused": {str(why): count for why, count in self.summary.refused.items()},
            "examples": {str(why): text for why, text in self.summary.examples.items()},
            "next": self.next_update(),
            "due_in_seconds": 0.0 if self.due.why else self.due.seconds,
            "pending": None if self.pending is None else asdict(self.pending),
        }


def look(folder: Path, log: EpisodeLog, stores: Sequence[Path], *, clock: Callable[[], float] = time.time) -> Outlook:
    """How a run of the updater stands, whether it is running or not."""
    plans = learning.plans(log, folder.name)
    verdicts = [learning.verdict_from(e.document) for e in log.events(kinds=(Kind.VERDICT,))]
    mine = {verdict.update: verdict for verdict in verdicts if verdict.run == folder.name}
    pending = plans[-1] if plans and plans[-1].update not in mine else None
    pace = pace_of(plans[-1].config) if plans else Pace()
    ledger = _ledger(folder, plans)
    ledger.follow(log)
    rules = rules_of(stores, max_lag=pace.max_lag)
    summary = summarise(ledger.waiting.values(), rules)
    champion = rules.champions[-1] if rules.champions else ""
    return Outlook(
        running=bool(is_held(folder)),
        update=max(mine, default=0),
        used=len(ledger.used),
        champion=champion,
        active=any(e.document["version"] == champion for e in log.events(kinds=(Kind.SERVING,))),
        last=_told(mine[max(mine)]) if mine else "",
        pending=pending,
        summary=summary,
        due=when(summary, pace, _quiet(log, summary, clock())),
        pace=pace,
    )


def rules_of(stores: Sequence[Path], *, max_lag: int = Pace().max_lag) -> Rules:
    """What conversations are judged by, from the store's files alone."""
    root, *_ = stores
    champions = tuple(p.version for p in journal.read(root) if p.alias == CHAMPION and p.event.moves and p.version)
    try:
        speaking = versions.find(stores, CHAMPION)
    except CheckpointError:
        return Rules(tokenizer="", champions=champions, kept=frozenset(), max_lag=max_lag)
    return Rules(
        tokenizer=speaking.manifest.fingerprint or _fingerprint(speaking.path),
        champions=champions or (speaking.id,),
        kept=frozenset(manifest.id for manifest in versions.list_versions(root)) | {speaking.id},
        max_lag=max_lag,
    )


def _fingerprint(folder: Path) -> str:
    """Of a version whose manifest does not tell."""
    from dialog_rl.lm.model import fingerprint_in

    return fingerprint_in(folder)


def _ledger(folder: Path, plans: Sequence[Plan]) -> Ledger:
    """The ledger of the latest checkpoint, with what is being learnt from at this moment already out of it."""
    found, _ = checkpoints.latest_valid(folder / CHECKPOINTS)
    if found is None:
        return Ledger(own_run=folder.name)
    ledger = Ledger.restored(folder.name, read_state(found.path)["ledger"])
    for plan in plans:
        if plan.update > found.step:
            ledger.use(plan.episodes, plan.update)
    return ledger


def _quiet(log: EpisodeLog, summary: Summary, now: float) -> Quiet:
    """By the log's clock: good enough to look at, not to decide by."""
    recent = [e.recorded_at for e in log.events(since=max(0, log.last_seq() - 50), kinds=(Kind.USER, Kind.TURN))]
    first = summary.queued[0] if summary.queued else None
    queued = [e.recorded_at for e in log.events_of(first.episode_id)] if first is not None else []
    return Quiet(since_word=now - max(recent, default=0.0), since_queued=max(0.0, now - max(queued)) if queued else 0.0)


def _told(verdict: Verdict) -> str:
    if not verdict.version:
        return f"update {verdict.update} made no candidate: {verdict.reason}"
    became = "promoted" if verdict.promoted else "passed in shadow" if verdict.passed else "refused"
    return f"update {verdict.update} made {verdict.version}, {became}: {verdict.reason}"
