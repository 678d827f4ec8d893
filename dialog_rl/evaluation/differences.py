"""How two agents differ on the customers that both met: every figure with its interval, effect size and test."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from dialog_rl import metrics
from dialog_rl.episode import Episode, StopReason
from dialog_rl.evaluation import statistics
from dialog_rl.evaluation.document import Table
from dialog_rl.evaluation.statistics import Interval, Paired, PairedMeans
from dialog_rl.evaluation.suites import Evaluation
from dialog_rl.evaluation.summaries import Key, Result, summarise
from dialog_rl.hacks import BEHAVIOURS
from dialog_rl.text import one_line

T = TypeVar("T")

MEANS: Mapping[str, Callable[[Episode], float]] = {
    "turns": lambda episode: float(len(episode.turns)),
    "tool calls": BEHAVIOURS["tool calls"],
    "words that the customer reads": BEHAVIOURS["words in all"],
}


def differences(found: Evaluation, paid: Mapping[str, Mapping[Key, float]]) -> tuple[Table, ...]:
    """A table for each pair of contestants. `paid`: what each conversation earned, by contestant."""
    results = {result.name: result for result in found.results}
    return tuple(
        Table(
            headers=(f"{one_line(late, 30)} − {one_line(early, 30)}", "difference", "effect", "test"),
            rows=tuple(_rows(results[late], results[early], paired, paid)),
        )
        for (late, early), paired in found.comparisons.items()
    )


def _rows(
    late: Result, early: Result, success: Paired, paid: Mapping[str, Mapping[Key, float]]
) -> Sequence[tuple[str, ...]]:
    if not success.pairs:
        return [_unpaired(late, early)]
    keys = _common(late, early)
    broken = statistics.compare(_broken(keys, late), _broken(keys, early))
    rows = [_share("success", success), _share("rules broken", broken)]
    for name, of in MEANS.items():
        rows.append(_mean(name, _means(keys, late, early, lambda k, r, of=of: of(r.episodes[k]))))
    if late.name in paid and early.name in paid:
        both = [k for k in keys if k in paid[late.name] and k in paid[early.name]]
        rows.append(_mean("earned", _means(both, late, early, lambda k, r: paid[r.name][k])))
    return rows


def _common(late: Result, early: Result) -> list[Key]:
    return [
        key
        for key in sorted(late.episodes.keys() & early.episodes.keys())
        if StopReason.USER_ERROR not in (late.episodes[key].stop, early.episodes[key].stop)
    ]


def _grouped(keys: Sequence[Key], of: Callable[[Key], T]) -> list[list[T]]:
    """One row a customer."""
    rows: dict[tuple[str, int], list[T]] = {}
    for key in keys:
        rows.setdefault(key[:2], []).append(of(key))
    return list(rows.values())


def _broken(keys: Sequence[Key], result: Result) -> list[list[bool]]:
    return _grouped(keys, lambda key: bool(metrics.violations(result.episodes[key])))


def _means(keys: Sequence[Key], late: Result, early: Result, of: Callable[[Key, Result], float]) -> PairedMeans:
    means = [[sum(row) / len(row) for row in _grouped(keys, lambda k, r=r: of(k, r))] for r in (late, early)]
    return statistics.compare_means(means[0], means[1])


def _share(name: str, found: Paired) -> tuple[str, ...]:
    d = found.difference
    effect = "–" if math.isnan(found.effect) else f"g {found.effect:+.2f}"
    return name, _points(d), effect, f"{p_value(found.p_value)}, {found.only_first} against {found.only_second}"


def _mean(name: str, found: PairedMeans) -> tuple[str, ...]:
    d = found.difference
    effect = "–" if math.isnan(found.effect) else f"d {found.effect:+.2f}"
    return name, f"{d.value:+.2f} ({d.low:+.2f} to {d.high:+.2f})", effect, p_value(found.p_value)


def _unpaired(late: Result, early: Result) -> tuple[str, ...]:
    found = statistics.compare_unpaired(summarise(late).success, summarise(early).success)
    return "success, different customers", _points(found.difference), f"h {found.effect:+.2f}", p_value(found.p_value)


def _points(d: Interval) -> str:
    return f"{100 * d.value:+.1f} points ({100 * d.low:+.1f} to {100 * d.high:+.1f})"


def p_value(p: float) -> str:
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.4f}"
