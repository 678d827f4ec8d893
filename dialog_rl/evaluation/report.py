"""An evaluation as text for a terminal, as Markdown and as a JSON document."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from dialog_rl.episode import Episode
from dialog_rl.evaluation import gaming
from dialog_rl.evaluation.statistics import Interval, Paired, Share
from dialog_rl.evaluation.suites import Evaluation, Summary
from dialog_rl.text import one_line, table

Cell = Callable[[Summary], str]


def plain(found: Evaluation) -> str:
    """For a terminal: one column a contestant."""
    parts = [describe(found), "", table(*_figures(found), right=_all_but_first(found))]
    for title, headers, rows in _breakdowns(found):
        parts += ["", table([title, *headers[1:]], rows, right=_all_but_first(found))]
    parts += ["", *comparisons(found)]
    for title, lines in _pay(found):
        parts += ["", title, *(f"  {line}" for line in lines)]
    return "\n".join(parts).rstrip()


def markdown(found: Evaluation, title: str = "Evaluation") -> str:
    """For a file: the same figures as Markdown tables."""
    parts = [f"# {title}", "", describe(found), "", markdown_table(*_figures(found))]
    for name, headers, rows in _breakdowns(found):
        parts += ["", f"## {name[:1].upper()}{name[1:]}", "", markdown_table(headers, rows)]
    lines = comparisons(found)
    if lines:
        parts += ["", "## Differences", "", *(f"- {line}" for line in lines)]
    for name, lines in _pay(found):
        parts += [
            "",
            f"## {markdown_text(name[:1].upper() + name[1:])}",
            "",
            *(f"- {markdown_text(line)}" for line in lines),
        ]
    return "\n".join([*parts, "", INTERVALS, ""])


INTERVALS = (
    "Intervals are 95 %: Wilson's for shares, bootstrap over customers for means and differences. p is McNemar's exact "
    "test on each customer's first conversation."
)


def describe(found: Evaluation) -> str:
    return f"{customers(found)}, {found.suite['simulator']} simulator, seed {found.suite['seed']}"


def customers(found: Evaluation) -> str:
    """Who was met, whoever played them."""
    suite: Mapping[str, Any] = found.suite
    trials = f" × {suite['trials']} conversations" if suite["trials"] != 1 else ""
    phrasing = "phrasing they were trained on" if suite["phrasing"] == "train" else "phrasing never trained on"
    if suite["phrasing"] not in ("train", "heldout"):
        phrasing = f"{suite['phrasing']} phrasing"
    each = " a pack" if len(suite["packs"]) > 1 else ""
    return f"{', '.join(suite['packs'])}: {suite['goals']} {suite['split']} customers{each}{trials}, {phrasing}"


def _figures(found: Evaluation) -> tuple[list[str], list[list[str]]]:
    trials = max((len(s.pass_hat) for s in found.summaries), default=0)
    rows: list[tuple[str, Cell]] = [
        ("success", lambda s: percent_interval(s.success_interval)),
        *((f"pass^{k}", _pass_hat(k)) for k in range(2, trials + 1)),
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
    return [
        ("success by their rules", lambda s: share_cell(s.benchmark)),
        *((f"  {basis}", _basis(basis)) for basis in bases),
        *((f"  {name}, not judged", _unjudged(name)) for name in unjudged),
    ]


def _basis(name: str) -> Cell:
    return lambda s: share_cell(s.by_basis.get(name))


def _unjudged(name: str) -> Cell:
    return lambda s: f"in {s.unjudged.get(name, 0)}"


def _pass_hat(k: int) -> Cell:
    return lambda s: percent_interval(s.pass_hat[k - 1]) if len(s.pass_hat) >= k else "–"


def _breakdowns(found: Evaluation) -> list[tuple[str, list[str], list[list[str]]]]:
    """(title, headers, rows) for each way of splitting success up that says something."""
    made: list[tuple[str, list[str], list[list[str]]]] = []
    groups: list[tuple[str, Callable[[Summary], Mapping[str, Share]]]] = [
        ("by pack", lambda s: s.by_pack),
        ("by intent", lambda s: s.by_intent),
    ]
    names = [one_line(s.name, 40) for s in found.summaries]
    for title, of in groups:
        keys = sorted({key for s in found.summaries for key in of(s)})
        if len(keys) > 1:
            rows = [[one_line(key, 60), *(share_cell(of(s).get(key)) for s in found.summaries)] for key in keys]
            made.append((title, ["", *names], rows))
    rules = sorted({rule for s in found.summaries for rule in s.violations_by_rule})
    if rules:
        rows = [[rule, *(str(s.violations_by_rule.get(rule, 0)) for s in found.summaries)] for rule in rules]
        made.append(("rules broken, times", ["", *names], rows))
    return made


def _pay(found: Evaluation) -> list[tuple[str, list[str]]]:
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


def markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = "|".join(["", "---", *["---:"] * (len(headers) - 1), ""])
    made = ["| " + " | ".join(map(markdown_text, line)) + " |" for line in (headers, *rows)]
    return "\n".join([made[0], rule, *made[1:]])


def markdown_text(text: str) -> str:
    """Text from elsewhere as a cell or a list item: no character of it starts markup or a new line."""
    escaped = one_line(text, 2000)
    for mark in ("\\", "|", "`", "*", "_", "<", ">", "[", "]", "#"):
        escaped = escaped.replace(mark, f"\\{mark}")
    return escaped


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
    document["success"] = _share_document(s.success)
    document["impossible"] = _share_document(s.impossible)
    document["violations"] = _share_document(s.violations)
    document["by_pack"] = {key: _share_document(share) for key, share in s.by_pack.items()}
    document["by_intent"] = {key: _share_document(share) for key, share in s.by_intent.items()}
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
