"""What came of people chatting and rating beside an updater: read from the log afterwards, and measured anew."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from dialog_rl.bench.raters import Asked, how_asked
from dialog_rl.chat.setting import LEARNABLE
from dialog_rl.episode_log import learning
from dialog_rl.episode_log.learning import Verdict
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.episode_log.records import Kind
from dialog_rl.evaluation.statistics import Interval, mean_interval
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.rollouts import rollouts
from dialog_rl.metrics import success
from dialog_rl.online.version_store import VersionStore
from dialog_rl.staging import Customers, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A version with customers whom no chat has met."""

    version: str
    politely: float
    """Of the replies that ask for something, the share that asks politely."""
    asked: int
    success: float
    by_customer: tuple[Asked, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """A version that came to speak."""

    version: str
    update: int
    ratings: int
    """That had been used by then, in all."""
    measured: Measured
    rise: Interval
    """Paired difference to the first version with its 95 % interval, in shares."""
    reason: str

    @property
    def is_significant(self) -> bool:
        return self.rise.low > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    before: Measured
    promotions: tuple[Promotion, ...]
    refused: tuple[str, ...]
    """Why candidates were not promoted."""
    ratings: int
    waits: tuple[float, ...]
    """Seconds from a rating to the first word of a version that had learnt from it."""
    alone: tuple[float, ...]
    """Seconds from a message to its answer while the updater was held still."""
    beside: tuple[float, ...]
    """The same while it worked."""
    seconds: float


def document(tally: Tally) -> dict[str, Any]:
    shown = [p for p in tally.promotions if p.is_significant]
    return {
        "bench": "live",
        "ratings": tally.ratings,
        "politely_before": round(tally.before.politely, 4),
        "politely_after": round(tally.promotions[-1].measured.politely, 4) if tally.promotions else None,
        "success_before": tally.before.success,
        "success_after": tally.promotions[-1].measured.success if tally.promotions else None,
        "promotions": [
            {"version": p.version, "update": p.update, "ratings": p.ratings, "politely": round(p.measured.politely, 4),
             "success": p.measured.success, "rise": asdict(p.rise), "reason": p.reason}
            for p in tally.promotions
        ],
        "refused": list(tally.refused),
        "ratings_until_significant": shown[0].ratings if shown else None,
        "seconds_from_rating_to_version": _spread(tally.waits),
        "seconds_to_answer_alone": _spread(tally.alone),
        "seconds_to_answer_beside": _spread(tally.beside),
        "ratio": round(statistics.median(tally.beside) / statistics.median(tally.alone), 3) if tally.alone else None,
        "seconds": round(tally.seconds, 1),
    }  # fmt: skip


def _spread(seconds: Sequence[float]) -> dict[str, float] | None:
    if not seconds:
        return None
    ordered = sorted(seconds)
    return {name: round(ordered[min(len(ordered) - 1, int(at * len(ordered)))], 2)
            for name, at in (("least", 0.0), ("median", 0.5), ("p95", 0.95), ("most", 1.0))}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Measuring:
    """Customers whom no chat has met, to measure versions with."""

    stage: Stage
    customers: int
    seed: int

    def measure(self, model: SpeakingModel) -> Measured:
        """A version with customers of the validation split, sampled as in the chats."""
        met = Customers(split="validation", seed=self.seed).scenarios(self.stage.pack, self.customers)
        spoken = rollouts(
            model.policy, model.renderer,
            [
                self.stage.conversation(scenario, seed, episode_id=f"{number:06d}", temperature=LEARNABLE)
                for number, (scenario, seed) in enumerate(met)
            ],
            slots=32, max_length=model.policy.max_positions, temperature=LEARNABLE, version=model.version,
        )  # fmt: skip
        episodes = sorted(spoken, key=lambda episode: episode.episode_id)
        by_customer = tuple(how_asked([episode]) for episode in episodes)
        total = sum(by_customer, Asked(polite=0, asked=0))
        return Measured(
            version=model.version, politely=total.share, asked=total.asked,
            success=statistics.fmean(success(episode).reached for episode in episodes), by_customer=by_customer,
        )  # fmt: skip

    def promotions(self, before: Measured, store: VersionStore, log: EpisodeLog) -> Iterator[Promotion]:
        """The versions that came to speak, as far as they are kept."""
        used, kept = _ratings_used(log), store.kept()
        for verdict in (v for v in verdicts(log) if v.promoted and v.version in kept):
            after = self.measure(store.open(verdict.version))
            yield Promotion(
                version=verdict.version,
                update=verdict.update,
                ratings=sum(count for update, count in used.items() if update <= verdict.update),
                measured=after,
                rise=rise(before, after),
                reason=verdict.reason,
            )


def rise(before: Measured, after: Measured) -> Interval:
    """By how much more often a customer is asked politely, over those whom both versions asked for something."""
    pairs = zip(before.by_customer, after.by_customer, strict=True)
    return mean_interval([b.share - a.share for a, b in pairs if a.asked and b.asked])


def _ratings_used(log: EpisodeLog) -> dict[int, int]:
    """Ratings by the update that used them."""
    found: dict[int, int] = {}
    for event in log.events(kinds=(Kind.USED,)):
        used = learning.used_from(event.document)
        found[used.update] = found.get(used.update, 0) + len(used.ratings)
    return found


def verdicts(log: EpisodeLog) -> list[Verdict]:
    return [learning.verdict_from(event.document) for event in log.events(kinds=(Kind.VERDICT,))]


def waits(log: EpisodeLog) -> Iterator[float]:
    """Of every rating that was used: seconds until a version spoke that had learnt from it."""
    rated = {event.event_id: event.recorded_at for event in log.events(kinds=(Kind.RATING,))}
    spoke = {event.document["version"]: event.recorded_at for event in log.events(kinds=(Kind.SERVING,))}
    promoted = sorted((v.update, v.version) for v in verdicts(log) if v.promoted)
    for event in log.events(kinds=(Kind.USED,)):
        used = learning.used_from(event.document)
        spoken = next((spoke[v] for update, v in promoted if update >= used.update and v in spoke), None)
        if spoken is not None:
            yield from (spoken - rated[rating] for rating in used.ratings if rating in rated)
