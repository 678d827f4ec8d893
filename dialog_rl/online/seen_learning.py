"""Learning from people as seen from outside: what waits and why not, each update's figures, what the gate said."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dialog_rl.episode_log import learning
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.episode_log.records import Kind, LoggedEvent
from dialog_rl.errors import DialogRLError
from dialog_rl.lm import journal
from dialog_rl.lm.journal import CANDIDATE
from dialog_rl.online import drift, looking_in, seen
from dialog_rl.online.drift import Liking
from dialog_rl.online.looking_in import Outlook
from dialog_rl.online.seen import Alive, Chart, Note, Notes, Seen, Update, column
from dialog_rl.online.training_record import Tail, is_held

_RENEWED = 10.0
"""Seconds after which the log is looked through again though nothing was added: what is due depends on the time."""


class LearningWatch:
    """One run of the updater beside the log that it follows; the log is only read, in short transactions."""

    def __init__(
        self, folder: Path, log: EpisodeLog, stores: Sequence[Path], *, clock: Callable[[], float] = time.time
    ) -> None:
        """stores: where versions are, one's own first."""
        self._folder, self._log, self._stores, self._clock = folder, log, stores, clock
        self._tail = Tail(folder)
        self._news: list[dict[str, Any]] = []
        self._state: object = None
        self._looked = -_RENEWED
        self._seen: Seen | None = None
        self._verdicts: dict[int, LoggedEvent] = {}
        self._liking = Liking(folder.name)

    def look(self) -> Seen:
        """Raises DialogRLError if the log cannot be read the first time; later that is told, and tried again."""
        state, now = self._changes(), self._clock()
        if self._seen is not None and state == self._state and now - self._looked < _RENEWED:
            return self._seen
        try:
            self._seen = self._look()
        except DialogRLError as e:
            if self._seen is None:
                raise
            return replace(self._seen, alive=Alive.SILENT, told=seen.words(f"not to be read just now: {e}"))
        self._state, self._looked = state, now
        return self._seen

    def news(self) -> Iterator[Update]:
        news, self._news = self._news, []
        for record in news:
            yield Update(record=record, told=told(record, self._verdict(record["update"])))

    def _changes(self) -> object:
        """Differs whenever something has happened."""
        try:
            last = self._log.last_seq()
        except DialogRLError:
            last = -1
        files = (self._stores[0] / journal.JOURNAL, self._folder / "metrics.jsonl")
        return last, is_held(self._folder), *(_stamp(path) for path in files)

    def _look(self) -> Seen:
        outlook = looking_in.look(self._folder, self._log, self._stores, clock=self._clock)
        told = self._log.events(kinds=(Kind.VERDICT,))
        mine = (event for event in told if event.document["run"] == self._folder.name)
        self._verdicts = {event.document["update"]: event for event in mine}
        self._news += self._tail.look()
        self._liking.look(self._log)
        verdicts = [self._verdict(one["update"]) for one in self._tail.updates]
        liked = [self._liking.of(one["update"]) for one in self._tail.updates]
        return Seen(
            name=self._folder.name,
            alive=_alive(outlook),
            told=_life(outlook),
            update=outlook.update,
            of=None,
            charts=charts(self._tail.updates, verdicts, liked),
            notes=(
                Notes(key="queue", title="queue", notes=tuple(_queue(outlook))),
                Notes(key="versions", title="versions and gates", notes=tuple(self._versions())),
                Notes(key="guard", title="guard", notes=tuple(_guard(self._tail.updates, verdicts, liked))),
            ),
        )

    def _verdict(self, update: int) -> Mapping[str, Any]:
        return self._verdicts[update].document if update in self._verdicts else {}

    def _versions(self) -> Iterator[Note]:
        """What the gate said of each update, and what else moved an alias, newest first."""
        said = [(event.recorded_at, _judged(event.document)) for event in self._verdicts.values()]
        ours = {event.document["version"] for event in self._verdicts.values() if event.document["promoted"]}
        for line in journal.read(self._stores[0]):
            # The gate's own decisions stand among the verdicts.
            if line.alias != CANDIDATE and not (line.event is journal.Event.PROMOTED and line.version in ours):
                said.append((line.at, _decided(line)))
        if not said:
            yield Note(text="no version has been made yet")
        yield from (note for _, note in sorted(said, key=lambda one: one[0], reverse=True))


def charts(
    updates: Sequence[Mapping[str, Any]], verdicts: Sequence[Mapping[str, Any]], liked: Sequence[float | None]
) -> tuple[Chart, ...]:
    """The figures of each update, and of the gate that followed it. A figure that no update has is left out."""
    at = [float(record["update"]) for record in updates]

    def chart(key: str, title: str, *lines: seen.Line, **more: Any) -> Chart:
        return Chart(key=key, title=title, at=at, axis="updates", lines=lines, **more)

    def of(name: str, *path: str) -> seen.Line:
        return seen.line(name, column(updates, *path))

    def served(who: str) -> seen.Line:
        return seen.line(who, column(verdicts, "evidence", "served", who))

    made = (
        chart("reward", "reward", of("reward", "stats", "reward_mean")),
        chart(
            "served", "success at the gate", *map(served, ("candidate", "champion", "anchor")), percent=True, floor=0.0,
            ceiling=1.0,
        ),
        chart("liked", "what people think", seen.line("mean rating", liked), floor=-1.0, ceiling=1.0),
        chart("kl", "KL, nats a token", of("from anchor", "signs", "kl_anchor"), of("an update", "stats", "kl_old"),
              floor=0.0),
        chart("entropy", "entropy, nats a token", of("policy", "signs", "entropy"),
              of("anchor", "signs", "anchor_entropy"), floor=0.0),
        chart("taught", "taught by", of("ratings", "ratings"), of("dialogues", "episodes"),
              of("simulated", "simulated"), floor=0.0),
        chart("speed", "episodes a second", seen.line("episodes/s", speeds(updates)), floor=0.0),
        chart("wording", "wording", of("varied", "signs", "wording", "distinct"),
              of("repeated", "signs", "wording", "duplicates"), percent=True, floor=0.0, ceiling=1.0),
    )  # fmt: skip
    return tuple(one for one in made if not one.empty) or made[:1]


def speeds(updates: Sequence[Mapping[str, Any]]) -> list[float | None]:
    """Episodes a second of each update, those of people and simulated ones."""
    columns = [column(updates, name) for name in ("episodes", "simulated", "seconds")]
    return [
        ((people or 0) + (simulated or 0)) / seconds if seconds else None
        for people, simulated, seconds in zip(*columns, strict=True)
    ]


def told(record: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    """One update on one line."""

    def value(*path: str) -> str:
        return seen.figure(column([record], *path)[0])

    parts = [
        f"update {record['update']}",
        f"{value('episodes')} rated dialogues, {value('simulated')} simulated",
        f"reward {value('stats', 'reward_mean')}",
        f"KL {value('signs', 'kl_anchor')}",
        f"entropy {value('signs', 'entropy')}",
        f"{value('seconds')} s",
        _judged(verdict).text.partition(": ")[2] if verdict else seen.words(record.get("outcome")),
        seen.words(record.get("warning")),
    ]
    return "  ".join(part for part in parts if part)


def _alive(outlook: Outlook) -> Alive:
    if outlook.running:
        return Alive.RUNNING if outlook.update else Alive.WAITING
    return Alive.GONE if outlook.pending is not None else Alive.ENDED


def _life(outlook: Outlook) -> str:
    if outlook.running:
        return outlook.next_update()
    begun = f"; update {outlook.pending.update} was begun" if outlook.pending is not None else ""
    return f"not running{begun}; start it: dialog-rl learn"


def _queue(outlook: Outlook) -> Iterator[Note]:
    queued = outlook.summary.queued
    raters = len({held.rater for facts in queued for held in facts.ratings})
    yield Note(text=outlook.next_update())
    yield Note(text=f"rated conversations that wait: {len(queued)}, of raters: {raters}; learnt from: {outlook.used}")
    yield Note(text=f"champion {outlook.champion}" + ("" if outlook.active else ", and no process speaks with it yet"))
    for why, count in outlook.summary.refused.items():
        yield Note(text=f"{count} not learnt from, {why}: {seen.words(outlook.summary.examples[why])}")


def _guard(
    updates: Sequence[Mapping[str, Any]], verdicts: Sequence[Mapping[str, Any]], liked: Sequence[float | None]
) -> Iterator[Note]:
    """Whether what is liked still serves; then why updates were withheld or came to nothing, newest first."""
    drifting = drift.alarm(liked, column(verdicts, "evidence", "served", "candidate"))
    if drifting:
        yield Note(text=drifting, bad=True)
    for record in reversed(updates):
        outcome, warning = seen.words(record.get("outcome")), seen.words(record.get("warning"))
        if outcome and outcome != learning.LEARNT:
            yield Note(text=f"update {record['update']} {outcome}", bad=True)
        if warning:
            yield Note(text=f"update {record['update']}: {warning}")
    if not drifting and not any(
        record.get("warning") or record.get("outcome") != learning.LEARNT for record in updates
    ):
        yield Note(text="nothing to object to")


def _judged(verdict: Mapping[str, Any]) -> Note:
    version, reason = seen.words(verdict["version"]), seen.words(verdict["reason"])
    if not version:
        return Note(text=f"update {verdict['update']}: no candidate: {reason}", bad=True)
    passed = bool(verdict.get("passed"))
    became = "promoted" if verdict["promoted"] else "passed in shadow" if passed else "refused"
    return Note(text=f"update {verdict['update']}: version {version[:8]} {became}: {reason}", bad=not passed)


def _decided(line: journal.Promotion) -> Note:
    what = f"{str(line.event).replace('_', ' ')} {line.alias}".strip()
    by = f" by {seen.words(line.by, 40)}" if line.by else ""
    return Note(text=f"version {line.version[:8] or 'none'} {what}{by}: {seen.words(line.reason)}")


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
