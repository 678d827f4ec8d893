"""The same customers under the pack's rules and under edited ones: for whom another end is right, who gets there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dialog_rl.episode import Episode
from dialog_rl.evaluation import report
from dialog_rl.evaluation.document import Block, Document, Points, Section, Table
from dialog_rl.evaluation.statistics import Paired, Share
from dialog_rl.evaluation.suites import Evaluation, pair
from dialog_rl.evaluation.summaries import Result, counts, reached, share
from dialog_rl.text import one_line, table

Customer = tuple[str, int]
"""Pack and number."""
NONE_MOVED = "Everybody is to be served as before, and is."


@dataclass(frozen=True, slots=True, kw_only=True)
class Flips:
    edit: str
    before: Evaluation
    after: Evaluation

    def moved(self) -> dict[Customer, tuple[str, str]]:
        """Customers for whom another end is right: which it was, and which it is."""
        first, second = (dict(_rightly(one.results[0])) for one in (self.before, self.after))
        return {who: (end, second[who]) for who, end in first.items() if who in second and second[who] != end}

    def flipped(self) -> list[Customer]:
        """Customers for whom another end is right, or whom somebody serves otherwise."""
        moved = self.moved()
        served = [[_served(result) for result in one.results] for one in (self.before, self.after)]
        return [who for who in served[0][0] if who in moved or any(
            a.get(who) != b.get(who) for a, b in zip(*served, strict=True)
        )]  # fmt: skip

    def against_before(self) -> dict[str, Paired]:
        both = zip(self.after.results, self.before.results, strict=True)
        return {after.name: pair(after, before) for after, before in both}


def plain(found: Flips) -> str:
    """For a terminal."""
    parts = [f"{report.describe(found.before)}; {_lead(found)}", "", table(*_figures(found)), ""]
    headers, rows = _customers(found)
    parts += [table(headers, rows), ""] if rows else [NONE_MOVED, ""]
    return "\n".join([*parts, *_moves(found)]).rstrip()


def whole(found: Flips) -> Document:
    """As a page."""
    headers, rows = _customers(found)
    listed: Block = Table(headers=tuple(headers), rows=tuple(map(tuple, rows))) if rows else Points(lines=(NONE_MOVED,))
    figures, shares = _figures(found)
    return Document(
        title="Under other rules", lead=f"{report.describe(found.before)}; {_lead(found)}.",
        opening=(Table(headers=tuple(figures), rows=tuple(map(tuple, shares))), Points(lines=tuple(_moves(found)))),
        sections=(Section(title="Customers", blocks=(listed,)),), closing=report.INTERVALS,
    )  # fmt: skip


def as_document(found: Flips) -> dict[str, Any]:
    moved = found.moved()
    return {
        "edit": found.edit, "before": report.as_document(found.before), "after": report.as_document(found.after),
        "moved": [
            {"pack": who[0], "customer": who[1], "was_right": was, "is_right": now}
            for who, (was, now) in moved.items()
        ],
        "flipped": [
            {"pack": who[0], "customer": who[1], "served": {
                a.name: [[s.hits, s.total] for s in (_served(b).get(who), _served(a).get(who)) if s]
                for b, a in zip(found.before.results, found.after.results, strict=True)
            }} for who in found.flipped()
        ],
        "against_before": {name: asdict(paired) for name, paired in found.against_before().items()},
    }  # fmt: skip


def _lead(found: Flips) -> str:
    met = len(_served(found.before.results[0]))
    return f"{one_line(found.edit, 60)}: another end is right for {len(found.moved())} of {met}"


def _figures(found: Flips) -> tuple[list[str], list[list[str]]]:
    """How many are served, before and after, by whether the same is right for them: a column a contestant."""
    moved = found.moved()
    met = list(_served(found.before.results[0]))
    groups = {"all": met, "another end is right": list(moved), "the same end": [who for who in met if who not in moved]}
    rows: list[list[str]] = []
    for name, group in groups.items():
        counted = [[_in(group, result) for result in one.results] for one in (found.before, found.after)]
        fared = [f"{before.hits} → {after.hits}" for before, after in zip(*counted, strict=True)]
        rows.append([f"{name}, {len(group)}", *fared])
    return ["conversations served, of customers", *_names(found)], rows


def _in(group: list[Customer], result: Result) -> Share:
    return share(reached(episode) for who, episode in _usable(result) if who in group)


def _names(found: Flips) -> list[str]:
    return [one_line(result.name, 40) for result in found.after.results]


def _customers(found: Flips) -> tuple[list[str], list[list[str]]]:
    moved = found.moved()
    rows: list[list[str]] = []
    for who in found.flipped():
        was, now = moved.get(who, ("as before", ""))
        pairs = zip(found.before.results, found.after.results, strict=True)
        fared = [f"{_cell(_served(b).get(who))} → {_cell(_served(a).get(who))}" for b, a in pairs]
        rows.append([f"{who[0]} {who[1]}", f"{was} → {now}" if now else was, *fared])
    return ["customer", "what is right", *(f"served by {name}" for name in _names(found))], rows


def _cell(served: Share | None) -> str:
    if served is None or not served.total:
        return "broken"
    if served.total > 1:
        return f"{served.hits} of {served.total}"
    return "yes" if served.hits else "no"


def _moves(found: Flips) -> list[str]:
    return [
        f"{one_line(name, 40)}: " + report.comparison("edited", "as it was", paired)
        for name, paired in found.against_before().items()
    ]


def _usable(result: Result) -> Iterator[tuple[Customer, Episode]]:
    return ((key[:2], episode) for key, episode in result.episodes.items() if counts(episode))


def _served(result: Result) -> dict[Customer, Share]:
    found: dict[Customer, list[bool]] = {key[:2]: [] for key in result.episodes}
    for who, episode in _usable(result):
        found[who].append(reached(episode))
    return {who: share(outcomes) for who, outcomes in found.items()}


def _rightly(result: Result) -> Iterator[tuple[Customer, str]]:
    return ((key[:2], _end(episode.scenario)) for key, episode in result.episodes.items())


def _end(scenario: Mapping[str, Any]) -> str:
    """What is right for a customer, in words."""
    items = (scenario.get("user", {}).get("goal") or {}).get("items", ())
    refused = [f"{item['intent']} refused, {item['refusal']}" for item in items if item.get("refusal")]
    served = [item["intent"] for item in items if not item.get("refusal")]
    done = [call["tool"] for call in scenario.get("success", {}).get("db", {}).get("from_actions", ())]
    return one_line("; ".join([*served, *refused]) + (f" ({', '.join(done)})" if done else ""), 120)
