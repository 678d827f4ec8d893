"""The log folded into what the updater must know of each conversation: one pass over the events, in their order.

What it holds is a function of the events up to its cursor alone, so a checkpoint of it and the rest of the log give the
same again as the whole log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from dialog_rl.episode_log.learning import Chosen
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.episode_log.records import Kind, LoggedEvent

PERSON = "person"
"""What an episode with a living partner says instead of a simulator's name."""
_OPINIONS = 200
"""Ratings that are remembered of a version."""
KINDS = (Kind.BEGIN, Kind.EPISODE, Kind.RATING, Kind.CONSENT, Kind.QUARANTINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A rating that holds."""

    event_id: str
    rater: str
    turn: int | None
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the log says of one conversation, as far as it matters to learning."""

    episode_id: str
    finished: int = 0
    """Sequence number of its episode; 0 while it goes on."""
    live: bool = False
    """Spoken with a person, who must have allowed it to be learnt from."""
    stop: str = ""
    split: str = ""
    run: str = ""
    tokenizer: str = ""
    temperature: float = 1.0
    versions: tuple[str, ...] = ()
    """All that spoke in it."""
    ratings: tuple[Held, ...] = ()
    """Of each rater and turn the last one, without those withdrawn, in the order in which they were given."""
    consent: bool | None = None
    quarantined: str = ""
    """Why nobody may learn from it."""

    @property
    def chosen(self) -> Chosen:
        return Chosen(episode_id=self.episode_id, ratings=tuple(r.event_id for r in self.ratings))


@dataclass(slots=True)
class Ledger:
    """The conversations that no update has used yet, and the numbers of the updates that used the others."""

    own_run: str
    """Simulated conversations of this run were spoken for one update, which used them: they are passed over."""
    cursor: int = 0
    """Sequence number of the last event that was taken in."""
    waiting: dict[str, Facts] = field(default_factory=dict[str, Facts])
    used: dict[str, int] = field(default_factory=dict[str, int])
    opinions: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    """Of each version the ratings that conversations with it alone were given, as they came in."""

    def follow(self, log: EpisodeLog, *, until: int | None = None) -> int:
        """Take in what was logged since, up to and with `until`; how many events of use there were."""
        seen = 0
        end = log.last_seq() if until is None else until
        for event in log.events(since=self.cursor, kinds=KINDS):
            if event.seq > end:
                break
            seen += self.take(event)
        self.cursor = max(self.cursor, end)
        return seen

    def take(self, event: LoggedEvent) -> bool:
        """Take in one event. Whether it tells anything about a conversation that may still be used."""
        if event.episode_id in self.used or (event.kind == Kind.EPISODE and event.run == self.own_run):
            return False
        before = self.waiting.get(event.episode_id) or Facts(episode_id=event.episode_id)
        after = self.waiting[event.episode_id] = _after(before, event)
        self._hear(before, after)
        return True

    def _hear(self, before: Facts, after: Facts) -> None:
        """Note the ratings that have come to a finished conversation with one version."""
        if after.live and after.finished and len(after.versions) == 1:
            known = {held.event_id for held in before.ratings} if before.finished else set()
            fresh = [held.value for held in after.ratings if held.event_id not in known]
            version = after.versions[0]
            self.opinions[version] = [*self.opinions.get(version, ()), *fresh][-_OPINIONS:]

    def use(self, chosen: Iterable[Chosen], update: int) -> None:
        for one in chosen:
            self.waiting.pop(one.episode_id, None)
            self.used[one.episode_id] = update

    def state(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "cursor": self.cursor,
            "waiting": [asdict(facts) for facts in self.waiting.values()],
            "used": self.used,
            "opinions": self.opinions,
        }

    @classmethod
    def restored(cls, own_run: str, state: Mapping[str, Any]) -> Ledger:
        facts = map(_facts_from, state["waiting"])
        return cls(
            own_run=own_run,
            cursor=state["cursor"],
            waiting={f.episode_id: f for f in facts},
            used=dict(state["used"]),
            opinions={version: list(values) for version, values in state["opinions"].items()},
        )


def _after(facts: Facts, event: LoggedEvent) -> Facts:
    document = event.document
    match event.kind:
        case Kind.BEGIN:
            return replace(facts, live=True)
        case Kind.EPISODE:
            return replace(facts, finished=event.seq, split=event.split, run=event.run, **_told(facts, document))
        case Kind.RATING:
            return replace(facts, ratings=_rated(facts.ratings, event))
        case Kind.CONSENT:
            return replace(facts, consent=bool(document["train"]))
        case _:
            return replace(facts, quarantined="" if document["lifted"] else document["reason"])


def _told(facts: Facts, document: Mapping[str, Any]) -> dict[str, Any]:
    """Of an episode's document, what is of use. Read as it is: to build the whole Episode takes ten times as long."""
    steps = [step for turn in document["turns"] for step in turn.get("steps", ())]
    return {
        "live": facts.live or document.get("simulator") == PERSON,
        "stop": document["stop"],
        "tokenizer": document.get("tokenizer", ""),
        "temperature": document.get("temperature", 1.0),
        "versions": tuple(dict.fromkeys(step.get("policy_version", "") for step in steps)),
    }


def _rated(before: tuple[Held, ...], event: LoggedEvent) -> tuple[Held, ...]:
    document = event.document
    rater, turn, value = document["rater"], document.get("turn"), document.get("value")
    others = tuple(held for held in before if (held.rater, held.turn) != (rater, turn))
    if value is None:
        return others
    return (*others, Held(event_id=event.event_id, rater=rater, turn=turn, value=value))


def _facts_from(document: Mapping[str, Any]) -> Facts:
    held = tuple(Held(**rating) for rating in document["ratings"])
    return Facts(**{**document, "versions": tuple(document["versions"]), "ratings": held})
