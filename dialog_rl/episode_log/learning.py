"""What learning did with a log, told in the log itself: so every rating has a receipt wherever the log can be read.

A plan is written before an update and names its conversations, so an update that was killed is made again from the very
same ones, and a whole run can be made again from the log. What is told after an update is derived from its checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.episode_log.records import Kind, NewEvent, begin_key, encode, episode_key, name, own_key
from dialog_rl.errors import EpisodeLogError

LEARNT = "learnt"
"""The outcome of a conversation whose update was made. Any other outcome says that it taught nothing, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """One conversation of an update."""

    episode_id: str
    ratings: tuple[str, ...] = ()
    """Event ids of the ratings that held when it was chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one update is made from."""

    run: str
    update: int
    """From 1; a run uses each number once, also if it goes back to earlier weights."""
    horizon: int
    """Sequence number of the last event that was looked at."""
    why: str
    """What made it due."""
    start: str
    """The training state it begins from: `update:N` or `version:ID`."""
    anchor: str = ""
    """The frozen version it is held to."""
    champion: str = ""
    """The version that spoke then."""
    episodes: tuple[Chosen, ...]
    simulated: int = 0
    """Conversations with simulated customers that are spoken for this update."""
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """That an update took a conversation, and what came of it."""

    run: str
    update: int
    episode_id: str
    ratings: tuple[str, ...] = ()
    outcome: str = LEARNT


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of an update's weights."""

    run: str
    update: int
    version: str
    """Empty: the update was not made into a version."""
    promoted: bool
    """It is champion from here on."""
    reason: str
    gate: int = 0
    """Number of the gate it met; 0 if none was asked."""
    passed: bool = False
    """The gate had nothing against it. Passed and not promoted: it was tried in shadow, for the record."""
    evidence: Mapping[str, Any] = field(default_factory=dict)


def plan_key(run: str, update: int) -> str:
    return f"{Kind.UPDATE}:{run}:{update}"


def used_key(run: str, episode_id: str) -> str:
    return f"{Kind.USED}:{run}:{episode_id}"


def verdict_key(run: str, update: int) -> str:
    return f"{Kind.VERDICT}:{run}:{update}"


def tell(log: EpisodeLog, *facts: Plan | Used | Verdict) -> tuple[int, ...]:
    """Append what happened, all or none. Telling the same again changes nothing; something else under the same
    number raises EpisodeLogError, so two updaters cannot both make one update.
    """
    return log.writer.append([event_of(fact) for fact in facts]) if facts else ()


def quarantine(log: EpisodeLog, episode_id: str, reason: str, *, lifted: bool = False, event_id: str = "") -> int:
    """Keep a conversation from being trained on, or lift that. The last word counts."""
    event = quarantine_event(episode_id, {"reason": reason, "lifted": lifted}, event_id=event_id)
    return log.writer.append([event])[0]


def serving(log: EpisodeLog, version: str, process: str) -> int:
    """Tell that a process speaks with a version from here on: only now is it active. Once for each process."""
    return log.writer.append([serving_event({"version": version, "process": process})])[0]


def plan_of(log: EpisodeLog, run: str, update: int) -> Plan | None:
    event = log.find(plan_key(run, update))
    return plan_from(event.document) if event is not None else None


def verdict_of(log: EpisodeLog, run: str, update: int) -> Verdict | None:
    event = log.find(verdict_key(run, update))
    return verdict_from(event.document) if event is not None else None


def plan_from(document: Mapping[str, Any]) -> Plan:
    chosen = [Chosen(episode_id=c["episode_id"], ratings=tuple(c["ratings"])) for c in document["episodes"]]
    return Plan(**{**document, "episodes": tuple(chosen)})


def used_from(document: Mapping[str, Any]) -> Used:
    return Used(**{**document, "ratings": tuple(document["ratings"])})


def verdict_from(document: Mapping[str, Any]) -> Verdict:
    return Verdict(**document)


def plans(log: EpisodeLog, run: str) -> Sequence[Plan]:
    """All plans of a run, in order."""
    found = [plan_from(event.document) for event in log.events(kinds=(Kind.UPDATE,))]
    return sorted((plan for plan in found if plan.run == run), key=lambda plan: plan.update)


def event_of(fact: Plan | Used | Verdict) -> NewEvent:
    run = name(fact.run, "a run")
    body = encode(asdict(fact))
    if isinstance(fact, Used):
        episode_id = name(fact.episode_id, "an episode id")
        return NewEvent(
            event_id=used_key(run, episode_id), kind=Kind.USED, episode_id=episode_id, body=body,
            after=(episode_key(episode_id),),
        )  # fmt: skip
    if isinstance(fact, Plan):
        return NewEvent(event_id=plan_key(run, fact.update), kind=Kind.UPDATE, episode_id="", body=body)
    if fact.promoted and not fact.version:
        raise EpisodeLogError(f"verdict on update {fact.update} of {run!r}: nothing was promoted without a version")
    return NewEvent(event_id=verdict_key(run, fact.update), kind=Kind.VERDICT, episode_id="", body=body)


def quarantine_event(episode_id: str, document: Mapping[str, Any], *, event_id: str) -> NewEvent:
    return NewEvent(
        event_id=f"{Kind.QUARANTINE}:{own_key(event_id)}", kind=Kind.QUARANTINE,
        episode_id=name(episode_id, "an episode id"), body=encode(document),
        after=(episode_key(episode_id), begin_key(episode_id)),
    )  # fmt: skip


def serving_event(document: Mapping[str, Any]) -> NewEvent:
    key = f"{name(document['process'], 'a process')}:{name(document['version'], 'a version')}"
    return NewEvent(event_id=f"{Kind.SERVING}:{key}", kind=Kind.SERVING, episode_id="", body=encode(document))
