"""A log leaves and enters as JSON lines, one event each, checked line by line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from dialog_rl import durable
from dialog_rl.episode import Episode, Message, Rating, Turn, episode_from_json, message_from_json, turn_from_json
from dialog_rl.episode_log import learning, records
from dialog_rl.episode_log.learning import Plan, Used, Verdict
from dialog_rl.episode_log.log import ALL, EpisodeLog, Query
from dialog_rl.episode_log.records import Kind, LoggedEvent, NewEvent
from dialog_rl.errors import EpisodeLogError
from dialog_rl.text import one_line

_BATCH = 200
_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class LogLine(BaseModel):
    """One line of an exported log."""

    model_config = _STRICT

    log: Literal[1]
    event_id: str
    kind: str
    episode_id: str
    body: Any
    sha256: str | None = None
    """Of the body as this program writes it. A line made by hand may leave it out."""
    run: str = ""
    split: str | None = None
    """None takes it from the scenario."""
    seq: int | None = None
    """Where it stood in the log it comes from; it gets a number of its own in the one it goes to."""
    recorded_at: float | None = None


class _Said(BaseModel):
    model_config = _STRICT

    turn: int
    said: Turn


class _UserSaid(BaseModel):
    model_config = _STRICT

    turn: int
    message: Message


class _Consent(BaseModel):
    model_config = _STRICT

    train: bool


class _Quarantine(BaseModel):
    model_config = _STRICT

    reason: str
    lifted: bool


class _Serving(BaseModel):
    model_config = _STRICT

    version: str
    process: str


# in a list, because a bare dataclass would not take the strict configuration
_SHAPES: Mapping[str, TypeAdapter[Any]] = {
    Kind.EPISODE: TypeAdapter(list[Episode], config=_STRICT),
    Kind.BEGIN: TypeAdapter(list[Episode], config=_STRICT),
    Kind.RATING: TypeAdapter(list[Rating], config=_STRICT),
    Kind.USER: TypeAdapter(list[_UserSaid]),
    Kind.TURN: TypeAdapter(list[_Said]),
    Kind.CONSENT: TypeAdapter(list[_Consent]),
    Kind.UPDATE: TypeAdapter(list[Plan], config=_STRICT),
    Kind.USED: TypeAdapter(list[Used], config=_STRICT),
    Kind.VERDICT: TypeAdapter(list[Verdict], config=_STRICT),
    Kind.QUARANTINE: TypeAdapter(list[_Quarantine]),
    Kind.SERVING: TypeAdapter(list[_Serving]),
}
_LEARNING: Mapping[str, Callable[[Any], Plan | Used | Verdict]] = {
    Kind.UPDATE: learning.plan_from,
    Kind.USED: learning.used_from,
    Kind.VERDICT: learning.verdict_from,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    appended: int
    present: int
    """Lines whose event was in the log already."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Lines of kinds this program does not know, by kind."""


def lines(log: EpisodeLog, query: Query = ALL, *, since: int = 0) -> Iterator[str]:
    """The log as JSON lines: every event, or with a query the episodes that fit and what people said of them."""
    if query == ALL:
        yield from map(_line, log.events(since=since))
        return
    for logged in log.episodes(query, since=since):
        about = log.events_of(logged.episode.episode_id)
        yield from (_line(event) for event in about if event.kind in (Kind.EPISODE, Kind.RATING, Kind.CONSENT))


def export_file(log: EpisodeLog, target: Path, query: Query = ALL) -> int:
    """Write the log to a file that must not exist yet, whole or not at all; how many lines it has."""
    with durable.failing_as(EpisodeLogError, f"{target}: cannot be written"), durable.filling(target.parent) as folder:
        with (folder / "export.jsonl").open("w", encoding="ascii") as file:
            written = sum(1 for line in lines(log, query) if file.write(line + "\n"))
        durable.publish(folder / "export.jsonl", target)
    return written


def import_file(log: EpisodeLog, source: Path) -> Imported:
    """Append the lines of an exported log. What is there already stays, so an import that was cut off is run again.

    Raises EpisodeLogError that names the first line which is wrong, and how; what stood before it may be imported.
    """
    with durable.failing_as(EpisodeLogError, f"{source}: cannot be read"), source.open("rb") as file:
        return import_lines(log, file, name=str(source))


def import_lines(log: EpisodeLog, source: Iterable[bytes], *, name: str) -> Imported:
    """`import_file` from anything that yields lines; `name` is what an error calls it."""
    reader = _Reader(log, name)
    for number, line in enumerate(source, 1):
        if line.strip():
            reader.take(line, number)
    return reader.finish()


def _line(event: LoggedEvent) -> str:
    line: dict[str, Any] = {"log": 1, "seq": event.seq, "event_id": event.event_id, "kind": event.kind}
    line |= {"episode_id": event.episode_id, "recorded_at": event.recorded_at}
    if event.kind == Kind.EPISODE:
        line |= {"run": event.run, "split": event.split}
    return records.encode({**line, "sha256": event.sha256, "body": event.document})


class _Reader:
    """Turns lines into events and appends them in batches."""

    def __init__(self, log: EpisodeLog, name: str) -> None:
        self._log, self._name = log, name
        self._batch: list[NewEvent] = []
        self._turns: dict[str, int] = {}
        """How many turns the episodes in the batch have."""
        self._skipped: Counter[str] = Counter()
        self._taken = self._appended = 0

    def take(self, line: bytes, number: int) -> None:
        where = f"{self._name}, line {number}"
        read = read_line(line, where)
        if read.kind not in _SHAPES:
            self._skipped[read.kind] += 1
            return
        with _saying(where):
            event = self._event(read)
        self._batch.append(event)
        if len(self._batch) >= _BATCH:
            self._append_batch()

    def finish(self) -> Imported:
        self._append_batch()
        present = self._taken - self._appended
        return Imported(appended=self._appended, present=present, skipped=dict(self._skipped))

    def _append_batch(self) -> None:
        before = self._log.last_seq()
        self._appended += sum(seq > before for seq in set(self._log.writer.append(self._batch)))
        self._taken += len(self._batch)
        self._batch, self._turns = [], {}

    def _event(self, read: LogLine) -> NewEvent:
        event = replace(self._new_event(read), recorded_at=read.recorded_at)
        if (event.event_id, event.episode_id) != (read.event_id, read.episode_id):
            raise EpisodeLogError(f"the ids do not fit what the line tells; its event id would be {event.event_id}")
        if read.sha256 not in (None, records.digest(event.body)):
            raise EpisodeLogError("altered: its sha256 does not fit its body")
        return event

    def _new_event(self, read: LogLine) -> NewEvent:
        body, key = read.body, read.event_id.removeprefix(f"{read.kind}:")
        if read.kind == Kind.EPISODE:
            episode = episode_from_json(body)
            self._turns[episode.episode_id] = len(episode.turns)
            return records.episode_event(episode, run=read.run, split=read.split)
        if read.kind == Kind.BEGIN:
            return records.begin_event(episode_from_json(body))
        if read.kind == Kind.USER:
            return records.user_event(read.episode_id, body["turn"], message_from_json(body["message"]))
        if read.kind == Kind.TURN:
            return records.turn_event(read.episode_id, body["turn"], turn_from_json(body["said"]))
        if read.kind == Kind.CONSENT:
            return records.consent_event(read.episode_id, body["train"], event_id=key)
        if read.kind == Kind.QUARANTINE:
            return learning.quarantine_event(read.episode_id, body, event_id=key)
        if read.kind == Kind.SERVING:
            return learning.serving_event(body)
        if read.kind in _LEARNING:
            return learning.event_of(_LEARNING[read.kind](body))
        rating = records.rating_from_json(body)
        turns = self._turns.get(rating.episode_id)
        turns = self._log.turns_of(rating.episode_id) if turns is None else turns
        return records.rating_event(rating, event_id=key, finished_turns=turns)


def read_line(line: bytes, where: str) -> LogLine:
    """One line of an exported log, its shape checked. Raises EpisodeLogError that begins with `where`."""
    with _saying(where):
        return _read(line)


@contextmanager
def _saying(where: str) -> Iterator[None]:
    """Whatever is wrong with a line becomes an error that says which."""
    try:
        yield
    except ValidationError as e:
        fault = e.errors(include_input=False, include_url=False)[0]
        place = one_line(".".join(map(str, fault["loc"])), 120)
        raise EpisodeLogError(f"{where}: {place}: {one_line(fault['msg'])}") from None
    except (ValueError, RecursionError) as e:
        raise EpisodeLogError(f"{where}: not a line of JSON: {one_line(str(e))}") from None
    except EpisodeLogError as e:
        raise EpisodeLogError(f"{where}: {e}") from None


def _read(line: bytes) -> LogLine:
    if len(line) > records.BODY_LIMIT:
        raise EpisodeLogError(f"{len(line)} bytes; the limit is {records.BODY_LIMIT}")
    read = LogLine.model_validate(json.loads(line))
    if read.kind in _SHAPES:
        # shape alone: pydantic's parser takes no lone surrogates, which a log may hold
        shown = json.dumps([read.body], ensure_ascii=False).encode("utf-8", "replace")
        _SHAPES[read.kind].validate_json(shown)
    return read
