"""How far the gate can be trusted: gates by the thousand with candidates whose worth is known.

Pairs of known chances go through the very rules and the very judgement of a gate; nobody speaks, except the planted
clerks, who meet real customers in a real gate. Every share comes with how many were tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dialog_rl.bench.gate_policies import Clerk, clerks_play, planted
from dialog_rl.evaluation.statistics import Share
from dialog_rl.online.contest import ANCHOR, CHAMPION
from dialog_rl.online.gate import Gate, GateConfig
from dialog_rl.online.sequential import Rule, Verdict, judge
from dialog_rl.staging import Stage

ANCHOR_SERVES = 0.6
"""Share of customers whom the simulated anchor serves."""
DISCORDANT = (0.05, 0.1, 0.2, 0.3)
"""Shares of pairs that end differently for two versions. A version an update away differs in 2 to 6 of 100."""
COURSES: Mapping[str, str] = {
    "creeps down": "every candidate is worse than the champion by a third of the margin",
    "tries its luck": "every candidate is worse than the anchor by the margin and a point",
    "wanders": "every candidate is better or worse than the champion by chance, five points as a rule",
    "learns": "every candidate is better than the champion by a point, up to 95 of 100",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    gates: int = 200
    """Simulated for each figure."""
    runs: int = 20
    """Of 50 gates each, for each course."""
    seed: int = 0


FULL = Size(gates=5000, runs=400)
GATES_A_RUN = 50
BLOCK = 4
"""Customers between two looks, as with four packs."""


def bench_gate(
    stages: tuple[Stage, ...], *, size: Size | None = None, progress: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """All figures of one campaign. `stages`: whose customers the planted clerks meet."""
    size, config = size or Size(), GateConfig()
    rng = np.random.default_rng(size.seed)
    progress(f"{size.gates} gates for each figure")
    at_margin = {str(d): false_passes(rng, config, size.gates, d) for d in DISCORDANT}
    equal = {
        str(d): {str(gate): equal_passes(rng, config, size.gates, d, gate) for gate in (1, 10, 50)} for d in DISCORDANT
    }
    courses: dict[str, Any] = {}
    for course in COURSES:
        progress(f"{size.runs} runs of {GATES_A_RUN} gates: {course}")
        courses[course] = drift(rng, config, size.runs, course)
    progress("planted clerks")
    return {
        "bench": "gate", **asdict(size), "margin": config.margin, "alpha": config.alpha, "pairs": config.pairs,
        "at_margin": at_margin, "equal": equal, "drift": courses, "planted": planted_bad(stages, config),
    }  # fmt: skip


def false_passes(rng: np.random.Generator, config: GateConfig, gates: int, discordant: float) -> dict[str, Any]:
    """How many candidates pass the champion that are worse by just the margin: alpha of them may.

    Of two that differ in fewer pairs than the margin, none is worse by it; there all pairs that differ are lost.
    """
    rule = config.rules(1, block=BLOCK, same=False)[CHAMPION]
    found = [judge(_differences(rng, -config.margin, discordant, rule), rule) for _ in range(gates)]
    return _share(sum(j.verdict is Verdict.PASSED for j in found), gates)


def equal_passes(
    rng: np.random.Generator, config: GateConfig, gates: int, discordant: float, number: int
) -> dict[str, Any]:
    """How many candidates pass that are as good as champion and anchor, and after how many pairs as a rule."""
    rules = config.rules(number, block=BLOCK, same=False)
    passed, pairs = 0, list[int]()
    for _ in range(gates):
        found = [judge(_differences(rng, 0.0, discordant, rule), rule) for rule in rules.values()]
        if all(j.verdict is Verdict.PASSED for j in found):
            passed += 1
            pairs.append(max(j.pairs for j in found))
    return {**_share(passed, gates), "median_pairs": float(np.median(pairs)) if pairs else None}


def drift(rng: np.random.Generator, config: GateConfig, runs: int, course: str) -> dict[str, Any]:
    """Runs of many gates: how often anything is promoted that is worse than the anchor by more than the margin."""
    lowest, promotions = list[float](), 0
    for _ in range(runs):
        champion, worst = ANCHOR_SERVES, ANCHOR_SERVES
        for number in range(1, GATES_A_RUN + 1):
            candidate = _candidate(rng, course, champion, config.margin)
            if _passes(rng, config, number, candidate, champion):
                champion, worst, promotions = candidate, min(worst, candidate), promotions + 1
        lowest.append(worst)
    below = sum(worst < ANCHOR_SERVES - config.margin - 1e-9 for worst in lowest)
    return {
        **_share(below, runs),
        "promotions_a_run": promotions / runs,
        "lowest_below_anchor": ANCHOR_SERVES - min(lowest),
    }


def planted_bad(stages: tuple[Stage, ...], config: GateConfig) -> dict[str, Any]:
    """Which of twenty bad clerks a real gate lets pass, and whether it lets an equal one."""
    gate, champion = Gate(stages, clerks_play(stages), config), Clerk(version="champion")
    outcomes = {c.version: gate.examine(c, champion, champion, gate_number=1) for c in planted()}
    equal = gate.examine(Clerk(version="equal"), champion, champion, gate_number=1)
    return {
        "rejected": sum(not outcome.promoted for outcome in outcomes.values()),
        "of": len(outcomes),
        "reasons": {name: outcome.reason for name, outcome in outcomes.items()},
        "equal_promoted": equal.promoted,
    }


def lines(result: Mapping[str, Any]) -> list[str]:
    """A result as lines of text."""
    made = [
        f"gate: margin {100 * result['margin']:g} points, at most {result['pairs']} pairs, {result['gates']} gates a "
        f"figure, seed {result['seed']}",
        "  worse by the margin, passed the champion (at most 5 % may):",
        *(f"    {_pairs(d)}: {_percent(found)}" for d, found in result["at_margin"].items()),
        "  equal to champion and anchor, passed both, at gates 1, 10 and 50:",
        *(
            f"    {_pairs(d)}: " + ", ".join(_percent(found) for found in by_gate.values())
            for d, by_gate in result["equal"].items()
        ),
        f"  runs of {GATES_A_RUN} gates in which something below the anchor by more than the margin was promoted:",
        *(
            f"    {course}: {_percent(found)}, lowest {100 * found['lowest_below_anchor']:.1f} points below, "
            f"{found['promotions_a_run']:.1f} promotions a run"
            for course, found in result["drift"].items()
        ),
    ]
    bad = result["planted"]
    equal = "promoted" if bad["equal_promoted"] else "rejected"
    return [*made, f"  planted bad clerks rejected: {bad['rejected']} of {bad['of']}; an equal one {equal}"]


def _passes(rng: np.random.Generator, config: GateConfig, number: int, candidate: float, champion: float) -> bool:
    """One gate: all three meet the same customers, and share four fifths of their luck with them."""
    rules = config.rules(number, block=BLOCK, same=False)
    pairs = next(iter(rules.values())).pairs
    shared_N = rng.random(pairs)
    served = {}
    for name, chance in (("candidate", candidate), (CHAMPION, champion), (ANCHOR, ANCHOR_SERVES)):
        luck_N = np.where(rng.random(pairs) < 0.2, rng.random(pairs), shared_N)
        served[name] = (luck_N < chance).astype(float)
    found = (judge(served["candidate"] - served[name], rule) for name, rule in rules.items())
    return all(judgement.verdict is Verdict.PASSED for judgement in found)


def _candidate(rng: np.random.Generator, course: str, champion: float, margin: float) -> float:
    wanted = {
        "creeps down": champion - margin / 3,
        "tries its luck": ANCHOR_SERVES - margin - 0.01,
        "wanders": champion + rng.normal(0.0, 0.05),
        "learns": min(0.95, champion + 0.01),
    }[course]
    return min(1.0, max(0.0, wanted))


def _differences(rng: np.random.Generator, mean: float, discordant: float, rule: Rule) -> np.ndarray:
    """Pairs of a known mean difference, of which a known share ends differently, as far as both are possible."""
    discordant = max(discordant, abs(mean))
    loss, win = (discordant - mean) / 2, (discordant + mean) / 2
    return rng.choice((-1.0, 0.0, 1.0), p=(loss, 1 - discordant, win), size=rule.pairs)


def _share(hits: int, total: int) -> dict[str, Any]:
    share = Share(hits=hits, total=total)
    return {"hits": hits, "total": total, "share": share.value, "low": share.low, "high": share.high}


def _percent(found: Mapping[str, Any]) -> str:
    return f"{100 * found['share']:.1f} % ({100 * found['low']:.1f}–{100 * found['high']:.1f})"


def _pairs(discordant: str) -> str:
    return f"{100 * float(discordant):2.0f} of 100 pairs differ"
