"""A training looked back on: means of its beginning and end, what it was paid for, how constraints fared."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from dialog_rl.evaluation.curves import Violations, draw_violations
from dialog_rl.evaluation.review import markdown, remarks, review, violations_of
from dialog_rl.scoring import Part, Reward, Score
from tests.evaluation.test_gaming import EPISODES, HACKS, SUCCESS, conversations, reward


class Quiet:
    def score(self, episodes):
        return [Score(value=0.0) for _ in episodes]


SAFETY = Reward(name="safety", function=Quiet(), part=Part.CONSTRAINT, target=0.1)


def updates(count: int = 10) -> list[dict[str, Any]]:
    return [
        {
            "update": n, "dialogues": 8 * n, "success": n / 10, "violations": 0.5, "reward": float(n), "turns": 4.0,
            "components": {"success": n / 10}, "combination": {"rate/safety": n / 100, "multiplier/safety": float(n)},
        }
        for n in range(1, count + 1)
    ]  # fmt: skip


def test_the_first_and_the_last_fifth_are_compared() -> None:
    found = review(updates(), EPISODES, EPISODES, [SUCCESS])
    assert found is not None
    assert found.figures["success"] == (pytest.approx(15), pytest.approx(95))
    assert found.components["success"] == (pytest.approx(0.15), pytest.approx(0.95))
    assert "| success | 15 | 95 |" in markdown(found)


def test_what_it_was_paid_for_and_what_changed_is_told() -> None:
    flattering = conversations(seed=1, flattery=0.9)
    found = review(updates(), EPISODES, flattering, [SUCCESS, reward("planted", HACKS["length"][0])])
    assert found is not None
    said = "\n".join(remarks(found))
    assert "it pays for more words in all" in said and "while it learned, flattery went from" in said
    assert json.loads(json.dumps(asdict(found)))["growth"]


def test_a_constraint_is_judged_by_its_last_updates() -> None:
    found = review(updates(), EPISODES, EPISODES, [SUCCESS, SAFETY])
    assert found is not None
    (kept,) = found.constraints
    assert (kept.rate, kept.multiplier) == (pytest.approx(0.095), 10.0)
    assert "safety: broken in 9.5 % of the last dialogues, at most 10.0 % wanted" in remarks(found)[0]


def test_a_run_without_an_update_has_nothing_to_look_back_on() -> None:
    assert review([], [], [], [SUCCESS]) is None
    assert review(updates(1), [], [], [SUCCESS]) is not None


def test_violations_of_two_runs_are_drawn_with_the_target(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    held = Violations(name="held", dialogues=[8, 16, 24], rates=[0.4, 0.2, 0.1], target=0.1)
    free = Violations(name="free", dialogues=[8, 16, 24], rates=[0.4, 0.7, 0.9])
    for name in ("a.png", "b.png"):
        draw_violations([held, free], tmp_path / name, title="t")
    draw_violations([held], tmp_path / "one.png", title="t")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "one.png").read_bytes()


def test_violations_are_counted_update_by_update() -> None:
    class Flattery:
        def score(self, episodes):
            return [
                Score(value=None)
                if len(e.turns) > 8
                else Score(value=0.0, per_step=tuple(-float("great" in s.message.text) for s in e.steps))
                for e in episodes
            ]

    flattering = [any("great" in turn.reply for turn in e.turns) and len(e.turns) <= 8 for e in EPISODES]
    found = violations_of("run", updates(10), EPISODES, Reward(name="flattery", function=Flattery()), target=0.1)
    assert found.dialogues == [8 * n for n in range(1, 11)]
    assert found.rates == [sum(flattering[8 * n : 8 * n + 8]) / 8 for n in range(10)]
    assert 0 < sum(found.rates) < 10
