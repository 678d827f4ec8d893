"""The candidate beside the champion and the anchor with the same customers: who was served, and what that shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Generic

from dialog_rl import behaviour, metrics
from dialog_rl.episode import Episode, StopReason
from dialog_rl.online.must_pass import S
from dialog_rl.online.sequential import Judgement, Rule, Verdict, e_values

CANDIDATE, CHAMPION, ANCHOR = "candidate", "champion", "anchor"


class Contest(Generic[S]):
    """The same customers with each of several speakers, in blocks of one customer of each pack."""

    def __init__(self, block: int, speakers: Mapping[str, S]) -> None:
        self.speakers = dict(speakers)
        self.blocks = 0
        """Played, those included that were lost."""
        self.lost = 0
        """Customers left out because the simulator broke with one of the speakers."""
        self._block = block
        self._fresh: dict[str, list[Episode]] = {}
        self._episodes: dict[str, list[Episode]] = {name: [] for name in speakers}

    def add(self, name: str, episodes: Mapping[str, Episode]) -> None:
        self._fresh[name] = list(episodes.values())

    def close(self, blocks: int) -> None:
        """Everybody has met the customers up to this block. Whole blocks are left out, so that packs keep turns."""
        for start in range(0, (blocks - self.blocks) * self._block, self._block):
            rows = {name: fresh[start : start + self._block] for name, fresh in self._fresh.items()}
            if any(episode.stop is StopReason.USER_ERROR for row in rows.values() for episode in row):
                self.lost += self._block
                continue
            for name, row in rows.items():
                self._episodes[name] += row
        self.blocks = blocks

    def is_hopeless(self, most: float) -> bool:
        """Whether the simulator has lost a larger share of the customers than may be."""
        return self.lost > most * self.blocks * self._block

    def differences(self, name: str) -> list[float]:
        """What the candidate did better than another, customer by customer."""
        return [served(a) - served(b) for a, b in zip(self._episodes[CANDIDATE], self._episodes[name], strict=True)]

    def tell(
        self,
        evidence: dict[str, Any],
        rules: Mapping[str, Rule],
        judged: Mapping[str, Judgement],
        limits: Sequence[behaviour.Limit],
    ) -> None:
        """Put all figures into the evidence."""
        panels = {name: behaviour.panel(episodes) for name, episodes in self._episodes.items()}
        evidence |= {
            "pairs": len(self._episodes[CANDIDATE]),
            "lost": self.lost,
            "served": {name: _mean(map(served, episodes)) for name, episodes in self._episodes.items()},
            "against": {name: self._figures(name, rule, judged[name]) for name, rule in rules.items()},
            "panels": {name: {key: f.value for key, f in panel.items()} for name, panel in panels.items()},
            "faults": [
                fault for name in rules for fault in behaviour.broken(panels[CANDIDATE], panels[name], name, limits)
            ],
        }

    def _figures(self, name: str, rule: Rule, judgement: Judgement) -> dict[str, Any]:
        differences = self.differences(name)
        better = e_values(differences, 0.0)
        return {
            **asdict(judgement),
            "verdict": str(judgement.verdict),
            "margin": rule.margin,
            "alpha": rule.alpha,
            "needed": rule.needed,
            "wins": sum(d > 0 for d in differences[: judgement.pairs]),
            "losses": sum(d < 0 for d in differences[: judgement.pairs]),
            "difference": _mean(differences),
            "better": float(better[-1]) if len(better) else 1.0,
        }


def served(episode: Episode) -> float:
    """What is compared: 1 if the customer got what they came for, by the facts, and no rule was broken; else 0."""
    return float(metrics.success(episode).reached and not metrics.violations(episode))


def objection(evidence: Mapping[str, Any]) -> str:
    """What the pairs have against the candidate, or nothing."""
    against = evidence["against"]
    for verdict in (Verdict.FAILED, Verdict.UNDECIDED):
        for name, figures in against.items():
            if figures["verdict"] == verdict:
                return in_words(name, figures)
    if any(figures["verdict"] == Verdict.OPEN for figures in against.values()):
        return f"the simulator broke with {evidence['lost']} customers: too many to show anything"
    faults = evidence["faults"]
    return f"it behaves otherwise: {'; '.join(faults)}" if faults else ""


def in_words(other: str, figures: Mapping[str, Any]) -> str:
    """What a comparison has shown, in one line."""
    seen = f"{figures['wins']} won and {figures['losses']} lost of {figures['pairs']} pairs"
    margin = f"{100 * figures['margin']:g} points"
    if figures["verdict"] == Verdict.PASSED:
        return f"no worse than the {other} by {margin}: {seen}, e-value {figures['evidence']:.3g}"
    if figures["verdict"] == Verdict.FAILED:
        return f"worse than the {other} by more than {margin}: {seen}, e-value {figures['harm']:.3g}"
    return (
        f"not shown to be no worse than the {other} by {margin}: {seen}, e-value {figures['evidence']:.3g} of the "
        f"{figures['needed']:.3g} needed"
    )


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else 0.0
