"""An evaluation as text for a terminal and as a JSON document; `chapters` makes pages of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from dialog_rl import failures
from dialog_rl.episode import Episode
from dialog_rl.evaluation import gaming
from dialog_rl.evaluation.statistics import Interval, Paired, Share
from dialog_rl.evaluation.suites import Evaluation
from dialog_rl.evaluation.summaries import Summary
from dialog_rl.text import one_line, table

Cell = Callable[[Summary], str]
HOLES = (failures.IDLE, failures.UNJUDGED, failures.RULES, failures.NOT_OURS)
WHY, HANDING_OVER = "why it failed, conversations", "giving over to a person"


def plain(found: Evaluation) -> str:
    """For a terminal: one column a contestant."""
    parts = [describe(found), "", table(*figures(found), right=_all_but_first(found))]
    for title, headers, rows in breakdowns(found):
        parts += ["", table([title, *headers[1:]], rows, right=_all_but_first(found))]
    parts += ["", *comparisons(found)]
    for title, lines in pay(found):
        parts += ["", title, *(f"  {line}" for line in lines)]
    return "\n".join(parts).rstrip()


INTERVALS = (
    "Intervals are 95 %: Wilson's for shares, bootstrap over customers for means and differences. p is McNemar's exact "
    "test on each customer's first conversation."
)


def describe(found: Evaluation) -> str:
    seed = "" if found.suite["seed"] is None else f", seed {found.suite['seed']}"
    return f"{customers(found)}, {found.suite['simulator']} simulator{seed}"


def customers(found: Evaluation) -> str:
    """Who was met, whoever played them."""
    suite: Mapping[str, Any] = found.suite
    trials = f" × {suite['trials']} conversations" if suite["trials"] != 1 else ""
    phrasing = "phrasing of training" if suite["phrasing"] == "train" else "phrasing never trained on"
    if suite["phrasing"] not in ("train", "heldout"):
        phrasing = f"{suite['phrasing']} phrasing"
    each = " a pack" if len(suite["packs"]) > 1 else ""
    return f"{', '.join(suite['packs'])}: {suite['goals']} {suite['split']} customers{each}{trials}, {phrasing}"


def figures(found: Evaluation) -> tuple[list[str], list[list[str]]]:
    """Headers and rows: what is measured, a column a contestant."""
    trials = max((len(s.pass_hat) for s in found.summaries), default=0)
    rows: list[tuple[str, Cell]] = [
        ("success", lambda s: percent_interval(s.success_interval)),
        *((f"pass^{k}", pass_hat(k)) for k in range(2, trials + 1)),
        *_by_benchmark(found),
        ("refused rightly", lambda s: share_cell(s.impossible)),
        ("rules broken", lambda s: share_cell(s.violations)),
        ("turns", lambda s: number(s.turns)),
        ("tool errors", lambda s: number(s.tool_errors)),
        ("not understood", lambda s: number(s.misunderstood)),
        ("tokens", lambda s: number(s.tokens, digits=0) if s.tokens.value else "–"),
        (
            f"fluency, by {one_line(found.fluency_by, 20)}" if found.fluency_by else "fluency",
            lambda s: number(s.fluency),
        ),
        ("conversations", lambda s: f"{s.episodes}" + (f" (+{s.broken} broken)" if s.broken else "")),
    ]
    headers = ["", *(one_line(s.name, 40) for s in found.summaries)]
    return headers, [[name, *(cell(s) for s in found.summaries)] for name, cell in rows]


def _by_benchmark(found: Evaluation) -> list[tuple[str, Cell]]:
    """What the benchmark that the customers come from would say, where they come from one."""
    if not any(s.benchmark.total for s in found.summaries):
        return []
    bases = sorted({basis for s in found.summaries for basis in s.by_basis})
    unjudged = sorted({name for s in found.summaries for name in s.unjudged})
    holes = [name for name in HOLES if any(s.holes.get(name) for s in found.summaries)]
    trials = max((len(s.benchmark_pass_hat) for s in found.summaries), default=0)
    return [
        ("success by their rules", lambda s: share_cell(s.benchmark)),
        *((f"  pass^{k}", pass_hat(k, theirs=True)) for k in range(2, trials + 1)),
        *((f"  {basis}", _basis(basis)) for basis in bases),
        *((f"  {name}, not judged", _unjudged(name)) for name in unjudged),
        *((f"  of these: {name}", _hole(name)) for name in holes),
    ]


def _basis(name: str) -> Cell:
    return lambda s: share_cell(s.by_basis.get(name))


def _unjudged(name: str) -> Cell:
    return lambda s: f"in {s.unjudged.get(name, 0)}"


def _hole(name: str) -> Cell:
    return lambda s: f"{s.holes.get(name, 0)} of {s.benchmark.hits}"


def pass_hat(k: int, *, theirs: bool = False) -> Cell:
    """The cell of pass^k, by our rules or by the benchmark's."""

    def cell(s: Summary) -> str:
        found = s.benchmark_pass_hat if theirs else s.pass_hat
        return percent_interval(found[k - 1]) if len(found) >= k else "–"

    return cell


def splits(found: Evaluation) -> list[tuple[str, dict[str, list[Share | None]]]]:
    """Each way of splitting success up that says something: a group's label → its share, a contestant each."""
    ways: Mapping[str, Callable[[Summary], Mapping[str, Share]]] = {
        "by pack": lambda s: s.by_pack,
        "by intent": lambda s: s.by_intent,
        "by what sets customers apart": lambda s: s.by_trait,
    }
    made: list[tuple[str, dict[str, list[Share | None]]]] = []
    for title, of in ways.items():
        keys = sorted({key for s in found.summaries for key in of(s)})
        if len(keys) > 1:
            made.append((title, {label(key, found): [of(s).get(key) for s in found.summaries] for key in keys}))
    return made


def label(key: str, found: Evaluation) -> str:
    """A group's name for people, who need no pack's name before it where there is but one."""
    packs: Any = found.suite["packs"]
    return one_line(key.removeprefix(f"{packs[0]}: ") if len(packs) == 1 else key, 60)


def breakdowns(found: Evaluation) -> list[tuple[str, list[str], list[list[str]]]]:
    """(title, headers, rows) for each way of splitting conversations up that says something."""
    names = [one_line(s.name, 40) for s in found.summaries]
    made = [
        (title, ["", *names], [[label, *map(share_cell, shares)] for label, shares in split.items()])
        for title, split in splits(found)
    ]
    counted: list[tuple[str, Callable[[Summary], Mapping[str, int]]]] = [
        (WHY, lambda s: s.reasons),
        ("rules broken, times", lambda s: s.violations_by_rule),
    ]
    for title, of in counted:
        keys = sorted({key for s in found.summaries for key in of(s)})
        if keys:
            rows = [[key, *(str(of(s).get(key, 0)) for s in found.summaries)] for key in keys]
            made.append((title, ["", *names], rows))
    if any(s.handed_over.total + s.must_hand_over.total for s in found.summaries):
        made.append((HANDING_OVER, ["", *names], handing_over(found)))
    return made


def handing_over(found: Evaluation) -> list[list[str]]:
    """Rows: how right it was to give customers to a person, and not to."""
    return [
        ["given to a person, of these rightly", *(share_cell(s.handed_over) for s in found.summaries)],
        ["had to be, of these given", *(share_cell(s.must_hand_over) for s in found.summaries)],
    ]


def pay(found: Evaluation) -> list[tuple[str, list[str]]]:
    """What the rewards pay each contestant for, where there is anything to say."""
    said = [(f"what {one_line(one.name, 40)} is paid for", gaming.remarks(one)) for one in found.gaming]
    return [(title, lines) for title, lines in said if lines]


def comparisons(found: Evaluation) -> list[str]:
    return [comparison(one, other, paired) for (one, other), paired in found.comparisons.items()]


def comparison(one: str, other: str, paired: Paired) -> str:
    d = paired.difference
    if math.isnan(d.value):
        return f"{one} against {other}: no pairs"
    p = "p < 0.0001" if paired.p_value < 1e-4 else f"p = {paired.p_value:.4f}"
    return (
        f"{one} against {other}: {100 * d.value:+.1f} points ({100 * d.low:+.1f} to {100 * d.high:+.1f}), {p}; "
        f"of {paired.pairs} customers {paired.only_first} only {one}, {paired.only_second} only {other}"
    )


def percent_interval(i: Interval) -> str:
    return "–" if math.isnan(i.value) else f"{100 * i.value:.1f} % ({100 * i.low:.1f}–{100 * i.high:.1f})"


def share_cell(share: Share | None) -> str:
    if share is None or not share.total:
        return "–"
    return f"{100 * share.value:.1f} % ({100 * share.low:.1f}–{100 * share.high:.1f})"


def number(i: Interval, digits: int = 2) -> str:
    return "–" if math.isnan(i.value) else f"{i.value:.{digits}f}"


def as_document(found: Evaluation) -> dict[str, Any]:
    """Every figure as plain JSON values; the episodes stay in their log."""
    return {
        "suite": dict(found.suite),
        "contestants": [_summary_document(s) for s in found.summaries],
        "fluency_by": found.fluency_by,
        "pay": [{**asdict(one), "remarks": gaming.remarks(one)} for one in found.gaming],
        "comparisons": [{"first": a, "second": b, **asdict(paired)} for (a, b), paired in found.comparisons.items()],
    }


def _summary_document(s: Summary) -> dict[str, Any]:
    document = asdict(s)
    for name in ("success", "impossible", "violations", "handed_over", "must_hand_over"):
        document[name] = _share_document(getattr(s, name))
    for name in ("by_pack", "by_intent", "by_trait"):
        document[name] = {key: _share_document(share) for key, share in getattr(s, name).items()}
    return document


def _share_document(share: Share) -> dict[str, float]:
    return {"hits": share.hits, "total": share.total, "share": share.value, "low": share.low, "high": share.high}


def _all_but_first(found: Evaluation) -> list[int]:
    return list(range(1, len(found.summaries) + 1))


def transcript(episode: Episode) -> list[tuple[str, str]]:
    """Who said what, in order: customer, agent, call, answer."""
    said: list[tuple[str, str]] = []
    for turn in episode.turns:
        said.append(("customer", turn.user.text))
        for step in turn.steps:
            is_call = step.result is not None
            said.append(("call" if is_call else "agent", step.message.text))
            if step.result is not None:
                said.append(("answer", step.result.text))
    return said
