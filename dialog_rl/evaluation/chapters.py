"""An evaluation as a page, chapter by chapter. A chapter that has nothing to say is left out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dialog_rl import behaviour
from dialog_rl.evaluation import excerpts, gaming, plots, report
from dialog_rl.evaluation.calibration import Calibration
from dialog_rl.evaluation.curves import smoothed
from dialog_rl.evaluation.differences import differences
from dialog_rl.evaluation.document import Document, Picture, Points, Section, Table, Warnings
from dialog_rl.evaluation.doubts import doubts
from dialog_rl.evaluation.plots import Axis, Series
from dialog_rl.evaluation.statistics import Interval, Share
from dialog_rl.evaluation.suites import Evaluation
from dialog_rl.evaluation.summaries import Summary
from dialog_rl.text import one_line

SHOWN_GROUPS = 24
"""Rows of a picture by intent: more are in the table alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What a page may tell beside the evaluation itself."""

    components: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    """Contestant → component of the reward → what it pays an episode, weighted; and "in all"."""
    paid: Mapping[str, Mapping[tuple[str, int, int], float]] = field(default_factory=dict)
    """Contestant → what each conversation earned."""
    calibrations: Sequence[Calibration] = ()
    minutes: Mapping[str, Interval] = field(default_factory=dict)
    """Contestant → how long people's conversations took."""
    history: Sequence[Mapping[str, Any]] = ()
    """Versions, the newest first: id, aliases, parent, created_by, trained_on, state, created_at."""
    learning: Sequence[Mapping[str, Any]] = ()
    """A run's record, a mapping an update."""
    sections: Sequence[Section] = ()
    """What else there is to say; it stands before the conversations."""
    talks: int = 4
    """Customers whose conversations are shown."""
    seed: int = 0
    """Of the choice of conversations."""


NOTHING = Beside()


def whole(found: Evaluation, beside: Beside = NOTHING, *, title: str = "Evaluation") -> Document:
    """The page."""
    chapters = [
        _pass_hat(found), *_groups(found), _why(found), _rewards(found, beside), _differences(found, beside),
        _rules(found), _pay(found), _conduct(found), _effort(found, beside), _handing_over(found), _calibration(beside),
        _learning(beside), *beside.sections, _conversations(found, beside), _history(beside),
    ]  # fmt: skip
    headers, rows = report.figures(found)
    minded = doubts(found)
    return Document(
        title=title,
        lead=f"{report.describe(found)}.",
        opening=(
            _success_picture(found),
            Table(headers=tuple(headers), rows=tuple(map(tuple, rows))),
            *((Warnings(lines=minded),) if minded else ()),
        ),
        sections=tuple(chapter for chapter in chapters if chapter is not None),
        closing=report.INTERVALS,
    )


def _names(found: Evaluation) -> list[str]:
    return [one_line(s.name, 40) for s in found.summaries]


def _success_picture(found: Evaluation) -> Picture:
    rows = [("success", [s.success_interval for s in found.summaries])]
    rows += [("rules broken", [_interval(s.violations) for s in found.summaries])]
    if any(s.impossible.total for s in found.summaries):
        rows.insert(1, ("refused rightly", [_interval(s.impossible) for s in found.summaries]))
    said = ", ".join(f"{s.name} {report.percent_interval(s.success_interval)}" for s in found.summaries)
    return Picture(svg=plots.intervals(rows, _names(found)), says=f"Success: {said}")


def _interval(share: Share | None) -> Interval:
    if share is None or not share.total:
        return Interval(value=math.nan, low=math.nan, high=math.nan)
    return Interval(value=share.value, low=share.low, high=share.high)


def _pass_hat(found: Evaluation) -> Section | None:
    trials = max((len(s.pass_hat) for s in found.summaries), default=0)
    if trials < 2:
        return None
    series = [
        Series(name=name, points=tuple((k, interval) for k, interval in enumerate(s.pass_hat, 1)))
        for name, s in zip(_names(found), found.summaries, strict=True)
    ]
    lowest = min((i.low for s in found.summaries for i in s.pass_hat), default=0.0)
    up = Axis(name="pass^k", low=0.0 if lowest < 0.5 else 0.5, high=1.0, shown=plots.percent)
    across = Axis(name="k, conversations with the same customer", low=1, high=trials, whole=True)
    picture = plots.curves(series, across, up)
    rows = tuple((f"pass^{k}", *(report.pass_hat(k)(s) for s in found.summaries)) for k in range(1, trials + 1))
    return Section(
        title="How reliably", about="pass^k: the chance that k conversations with the same customer all succeed.",
        blocks=(
            Picture(svg=picture, says="pass^k by contestant"), Table(headers=("", *_names(found)), rows=rows)
        ),
    )  # fmt: skip


def _groups(found: Evaluation) -> Iterator[Section]:
    for title, split in report.splits(found):
        drawn = [(label, [_interval(share) for share in shares]) for label, shares in split.items()][:SHOWN_GROUPS]
        rows = tuple((label, *map(report.share_cell, shares)) for label, shares in split.items())
        about = "A customer with several of these counts for each." if title != "by pack" else ""
        yield Section(
            title=f"Success {title}", about=about,
            blocks=(
                Picture(svg=plots.intervals(drawn, _names(found)), says=f"Success {title}"),
                Table(headers=("", *_names(found)), rows=rows),
            ),
        )  # fmt: skip


def _rewards(found: Evaluation, beside: Beside) -> Section | None:
    names = list(dict.fromkeys(part for parts in beside.components.values() for part in parts))
    if not names:
        return None
    told = [s.name for s in found.summaries if s.name in beside.components]
    rows = tuple(
        (name, *(_signed(beside.components[one].get(name)) for one in told))
        for name in names
    )  # fmt: skip
    about = "What each component of the reward pays a conversation on average, weighted as in training."
    headers = ("", *(one_line(one, 40) for one in told))
    return Section(title="What it earns", about=about, blocks=(Table(headers=headers, rows=rows),))


def _signed(interval: Interval | None) -> str:
    if interval is None or math.isnan(interval.value):
        return "–"
    return f"{interval.value:+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"


def _differences(found: Evaluation, beside: Beside) -> Section | None:
    if len(found.results) < 2:
        return None
    tables = differences(found, beside.paid)
    about = (
        "Each pair on the customers that both met. Effect sizes: Cohen's g for shares (0.05 small, 0.15 medium, 0.25 "
        "large) and d for means (0.2, 0.5, 0.8); of different customers, Cohen's h. The tests are not corrected for "
        "their number."
    )
    return Section(title="Differences", about=about, blocks=tables)


def _rules(found: Evaluation) -> Section | None:
    rules = sorted({rule for s in found.summaries for rule in s.violations_by_rule})
    if not rules:
        return None
    rows = tuple((rule, *(str(s.violations_by_rule.get(rule, 0)) for s in found.summaries)) for rule in rules)
    return Section(
        title="Rules broken", about="How often, and the turns that did it.",
        blocks=(Table(headers=("", *_names(found)), rows=rows), *excerpts.breaches(found.results)),
    )  # fmt: skip


def _why(found: Evaluation) -> Section | None:
    reasons = sorted({name for s in found.summaries for name in s.reasons})
    if not reasons:
        return None
    rows = tuple((name, *(str(s.reasons.get(name, 0)) for s in found.summaries)) for name in reasons)
    return Section(
        title="Why it failed", about="Failed conversations; one counts for each of its reasons.",
        blocks=(Table(headers=("", *_names(found)), rows=rows),),
    )  # fmt: skip


def _pay(found: Evaluation) -> Section | None:
    told = [(one, gaming.remarks(one)) for one in found.gaming]
    blocks = tuple(
        block
        for one, lines in told
        if lines
        for block in (Points(lines=tuple(f"{one_line(one.name, 40)}: {line}" for line in lines)),)
    )
    about = "Behaviours that the reward goes along with and success does not: what learning would turn the agent into."
    return Section(title="What it is paid for", about=about, blocks=blocks) if blocks else None


def _conduct(found: Evaluation) -> Section | None:
    panels = [behaviour.panel(result.usable()) for result in found.results]
    names = list(dict.fromkeys(name for panel in panels for name in panel))
    if not names:
        return None
    rows = tuple((name.replace("_", " "), *(_figure(panel.get(name)) for panel in panels)) for name in names)
    first = found.results[0].name
    faults = tuple(
        f"{one_line(result.name, 40)}: {fault}"
        for result, panel in zip(found.results[1:], panels[1:], strict=True)
        for fault in behaviour.broken(panel, panels[0], first)
    )
    about = "How it behaves, whatever it achieves; ± is a standard error. What the gate would mind is said below."
    blocks = (Table(headers=("", *_names(found)), rows=rows), *((Points(lines=faults),) if faults else ()))
    return Section(title="How it behaves", about=about, blocks=blocks)


def _figure(figure: behaviour.Figure | None) -> str:
    if figure is None:
        return "–"
    return f"{figure.value:.3f}" + (f" (±{figure.error:.3f})" if figure.error else "")


def _effort(found: Evaluation, beside: Beside) -> Section | None:
    rows = [
        (name, *(_mean(getattr(s, of)) for s in found.summaries))
        for name, of in (("turns", "turns"), ("tool calls", "calls"), ("words that the customer reads", "words"))
    ]
    about = "What a conversation takes. Simulated customers have no clock: turns, calls and words stand for it."
    if beside.minutes:
        about = "What a conversation takes, the minutes from its beginning to its end with a person."
        rows.append(("minutes", *(_mean(beside.minutes.get(s.name)) for s in found.summaries)))
    return Section(title="Handle time", about=about, blocks=(Table(headers=("", *_names(found)), rows=tuple(rows)),))


def _mean(interval: Interval | None) -> str:
    if interval is None or math.isnan(interval.value):
        return "–"
    return f"{interval.value:.2f} ({interval.low:.2f}–{interval.high:.2f})"


def _handing_over(found: Evaluation) -> Section | None:
    def any_of(s: Summary) -> int:
        return s.handed_over.total + s.must_hand_over.total

    if not any(map(any_of, found.summaries)):
        return None
    rows = tuple(map(tuple, report.handing_over(found)))
    about = "Precision and recall of giving a customer to a person, by what the gold actions do."
    return Section(title="Escalation", about=about, blocks=(Table(headers=("", *_names(found)), rows=rows),))


def _calibration(beside: Beside) -> Section | None:
    known = [one for one in beside.calibrations if one.bins]
    if not known:
        return None
    ends = [x for one in known for b in one.bins for x in (b.predicted, b.earned.low, b.earned.high)]
    axis = Axis(name="", low=min(ends), high=max(ends))
    series = [Series(name=one_line(c.name, 40), points=tuple((b.predicted, b.earned) for b in c.bins)) for c in known]
    picture = plots.curves(
        series, Axis(name="what the value head expects", low=axis.low, high=axis.high), axis,
        guide=((axis.low, axis.low), (axis.high, axis.high)),
    )  # fmt: skip
    rows = tuple(
        (
            one_line(c.name, 40), str(c.turns), f"{c.expected:+.3f}", f"{c.earned:+.3f}", f"{c.gap:.3f}",
            f"{c.explained:.2f}", "–" if c.prefers_success is None else f"{100 * c.prefers_success:.0f} %",
        )
        for c in known
    )  # fmt: skip
    headers = ("", "turns", "expected", "earned", "mean gap", "variance explained", "ranks a success higher")
    about = (
        "What the value head expects before each turn, in ten equal groups, against what was earned from there on. On "
        "the dotted line both are the same. The last column: how often a success was expected to earn more than a "
        "failure, before the agent had said a word."
    )
    blocks = (Picture(svg=picture, says="Expected against earned"), Table(headers=headers, rows=rows))
    return Section(title="Does it know how it will end", about=about, blocks=blocks)


def _learning(beside: Beside) -> Section | None:
    if len(beside.learning) < 2:
        return None
    dialogues = [float(update["dialogues"]) for update in beside.learning]
    series = [
        Series(name=name, points=tuple(zip(dialogues, map(_point, smoothed(values)), strict=True)))
        for name, key in (("success", "success"), ("rules broken", "violations"))
        for values in [[update[key] for update in beside.learning]]
    ]
    across = Axis(name="dialogues learned from", low=0, high=dialogues[-1], shown="{:,.0f}".format)
    picture = Picture(svg=plots.curves(series, across), says="Success and broken rules while learning")
    return Section(title="While it learned", about="Running means over its own updates.", blocks=(picture,))


def _point(value: float) -> Interval:
    return Interval(value=value, low=value, high=value)


def _conversations(found: Evaluation, beside: Beside) -> Section | None:
    talks = excerpts.side_by_side(found.results, beside.talks, seed=beside.seed)
    about = "Drawn by chance among the customers of each kind."
    return Section(title="Conversations", about=about, blocks=tuple(talks)) if talks else None


def _history(beside: Beside) -> Section | None:
    if not beside.history:
        return None
    rows = tuple(
        (v["id"], ", ".join(v["aliases"]), v["made"], v["parent"] or "–", v["created_by"], v["learnt"], v["state"])
        for v in beside.history
    )  # fmt: skip
    headers = ("version", "is", "made", "from", "by", "learnt from", "what became of it")
    return Section(title="Where the versions come from", blocks=(Table(headers=headers, rows=rows),))
