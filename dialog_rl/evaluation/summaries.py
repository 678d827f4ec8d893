"""What one contestant did, in figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dialog_rl import failures, metrics
from dialog_rl.episode import Episode, StopReason
from dialog_rl.evaluation import statistics
from dialog_rl.evaluation.statistics import Interval, Share
from dialog_rl.hacks import BEHAVIOURS

Key = tuple[str, int, int]
"""Pack, customer, trial."""

Measure = Callable[[Sequence[Episode]], Sequence[float | None]]
"""A figure an episode; None where it does not apply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one contestant did, by (pack, customer, trial)."""

    name: str
    version: str
    episodes: Mapping[Key, Episode]

    def usable(self) -> list[Episode]:
        """Without the episodes that the simulator broke: nobody's success and nobody's failure, but counted."""
        return [e for e in self.episodes.values() if e.stop is not StopReason.USER_ERROR]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    name: str
    version: str
    episodes: int
    broken: int
    """Left out because the user simulator failed."""
    success: Share
    benchmark: Share
    """What the benchmarks that packs were imported from would call success; of none in packs of our own."""
    by_basis: Mapping[str, Share]
    """Of that, each thing that they demand: records, what must be said, what must hold."""
    benchmark_pass_hat: tuple[Interval, ...]
    """pass^1, pass^2, … as those benchmarks count."""
    holes: Mapping[str, int]
    """What is doubtful about their successes, as `failures.holes` names it: in how many."""
    unjudged: Mapping[str, int]
    """What they demand too and cannot be told without a judge: in how many episodes."""
    success_interval: Interval
    """Wilson's, for as many independent tries as the customers' spread is worth."""
    pass_hat: tuple[Interval, ...]
    """pass^1, pass^2, … up to the number of trials."""
    by_pack: Mapping[str, Share]
    by_intent: Mapping[str, Share]
    """An episode with two items counts for both."""
    by_trait: Mapping[str, Share]
    """By what sets customers apart; one with several traits counts for each."""
    handed_over: Share
    """Of the conversations that the agent gave to a person, those that had to be."""
    must_hand_over: Share
    """Of the conversations that had to be given to a person, those that were."""
    impossible: Share
    """Successes among goals that had to be refused."""
    violations: Share
    """Episodes in which a policy rule was broken."""
    violations_by_rule: Mapping[str, int]
    turns: Interval
    tool_errors: Interval
    misunderstood: Interval
    """Replies an episode that the simulated customer could not make sense of."""
    calls: Interval
    """Tool calls an episode."""
    words: Interval
    """Words that the customer had to read in an episode."""
    tokens: Interval
    """Action tokens an episode; 0 for an agent without a tokenizer."""
    fluency: Interval
    """In [-1, 0]; NaN where it was not measured."""
    stops: Mapping[str, int]
    reasons: Mapping[str, int]
    """Why conversations failed, as `failures.reasons` has it; one counts for each of its own."""


def says_what_success_is(episode: Episode) -> bool:
    """A chat about nothing in particular cannot succeed or fail."""
    return bool(episode.scenario.get("success"))


def reached(episode: Episode) -> bool:
    return metrics.success(episode).reached


def paid(episode: Episode) -> bool | None:
    """Whether the benchmark that it comes from calls it a success; None where it comes from none."""
    found = metrics.benchmark(episode)
    return None if found is None else found.reached


def summarise(result: Result, fluency: Measure | None = None) -> Summary:
    """Every figure of one contestant. `fluency` gives a value an episode in [-1, 0]."""
    episodes = result.usable()
    succeeded = {id(episode): reached(episode) for episode in episodes if says_what_success_is(episode)}
    broken_rules = {id(episode): metrics.violations(episode) for episode in episodes}
    rows = _rows(result)
    success = share(succeeded.values())
    refusals = [e for e in episodes if must_refuse(e) and id(e) in succeeded]
    theirs = [(found, e.scenario["benchmark"]) for e in episodes if (found := metrics.benchmark(e)) is not None]
    values = [v for v in fluency(episodes) if v is not None] if fluency is not None else []
    return Summary(
        name=result.name,
        version=result.version,
        episodes=len(episodes),
        broken=len(result.episodes) - len(episodes),
        success=success,
        benchmark=share(found.reached for found, _ in theirs),
        by_basis=_by_basis(theirs),
        benchmark_pass_hat=_pass_hat(_rows(result, paid)),
        holes=dict(Counter(name for e in episodes for name in failures.holes(e))),
        unjudged=dict(Counter(name for _, wanted in theirs for name in wanted.get("unjudged", ()))),
        success_interval=_success_interval(rows),
        pass_hat=_pass_hat(rows),
        by_pack=_by(episodes, lambda e: (e.pack,), succeeded),
        by_intent=_by(episodes, intents_of, succeeded),
        by_trait=_by(episodes, metrics.traits, succeeded),
        handed_over=share(metrics.must_hand_over(e) for e in episodes if metrics.handed_over(e)),
        must_hand_over=share(metrics.handed_over(e) for e in episodes if metrics.must_hand_over(e)),
        impossible=share(succeeded[id(e)] for e in refusals),
        violations=share(bool(broken_rules[id(e)]) for e in episodes),
        violations_by_rule=dict(Counter(v.rule for e in episodes for v in broken_rules[id(e)])),
        turns=statistics.mean_interval([float(len(e.turns)) for e in episodes]),
        tool_errors=statistics.mean_interval([float(metrics.tool_errors(e)) for e in episodes]),
        misunderstood=statistics.mean_interval([float(metrics.misunderstandings(e)) for e in episodes]),
        calls=statistics.mean_interval([BEHAVIOURS["tool calls"](e) for e in episodes]),
        words=statistics.mean_interval([BEHAVIOURS["words in all"](e) for e in episodes]),
        tokens=statistics.mean_interval([float(sum(len(s.action_ids) for s in e.steps)) for e in episodes]),
        fluency=statistics.mean_interval(values),
        stops=dict(Counter(str(e.stop) for e in result.episodes.values())),
        reasons=dict(Counter(name for e in episodes for name in failures.reasons(e))),
    )


def _by_basis(theirs: Sequence[tuple[metrics.Success, Mapping[str, Any]]]) -> dict[str, Share]:
    gates = sorted({gate for found, wanted in theirs for gate in wanted.get("gate", found.gates)})
    return {
        gate: share(found.gates[gate] for found, wanted in theirs if gate in wanted.get("gate", found.gates))
        for gate in gates
    }


def share(outcomes: Iterable[bool]) -> Share:
    found = list(outcomes)
    return Share(hits=sum(found), total=len(found))


def intents_of(episode: Episode) -> tuple[str, ...]:
    """The intents of the goal, each once, under the pack's name where packs share them."""
    return tuple(dict.fromkeys(f"{episode.pack}: {intent}" for intent in metrics.intents(episode)))


def must_refuse(episode: Episode) -> bool:
    goal = episode.scenario.get("user", {}).get("goal") or {}
    return any(item.get("refusal") for item in goal.get("items", ()))


def counts(episode: Episode) -> bool:
    """Whether an episode says anything about who spoke in it: it can succeed, and no simulator broke it."""
    return episode.stop is not StopReason.USER_ERROR and says_what_success_is(episode)


def _rows(result: Result, of: Callable[[Episode], bool | None] = reached) -> list[list[bool]]:
    """Successes by customer, trials in order; `of` None does not count."""
    rows: dict[tuple[str, int], list[bool]] = {}
    for (pack, number, _), episode in result.episodes.items():
        if counts(episode) and (found := of(episode)) is not None:
            rows.setdefault((pack, number), []).append(found)
    return list(rows.values())


def _success_interval(rows: Sequence[Sequence[bool]]) -> Interval:
    trials = max((len(row) for row in rows), default=1)
    return statistics.clustered([sum(row) / len(row) for row in rows], trials)


def _pass_hat(rows: Sequence[Sequence[bool]]) -> tuple[Interval, ...]:
    trials = min((len(row) for row in rows), default=0)
    return tuple(
        statistics.clustered([statistics.pass_hat_k(sum(row), len(row), k) for row in rows])
        for k in range(1, trials + 1)
    )


def _by(
    episodes: Sequence[Episode], groups: Callable[[Episode], Sequence[str]], succeeded: Mapping[int, bool]
) -> dict[str, Share]:
    found: dict[str, list[bool]] = {}
    for episode in episodes:
        for group in groups(episode) if id(episode) in succeeded else ():
            found.setdefault(group, []).append(succeeded[id(episode)])
    return {group: share(outcomes) for group, outcomes in sorted(found.items())}
