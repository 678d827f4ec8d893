"""The gate's campaign, small: the same figures that `bench gate --full` measures by the thousand."""

from __future__ import annotations

import numpy as np
import pytest

from dialog_rl.bench import gate
from dialog_rl.bench.gate import ANCHOR_SERVES, COURSES, Size, drift, equal_passes, false_passes
from dialog_rl.bench.gate_policies import Clerk, planted
from dialog_rl.online.gate import GateConfig
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.staging import open_stage
from tests.scenarios.library import FOLDER

CONFIG = GateConfig()


@pytest.mark.parametrize("discordant", gate.DISCORDANT)
def test_no_more_than_one_in_twenty_passes_that_is_worse_by_the_margin(discordant: float) -> None:
    assert false_passes(np.random.default_rng(0), CONFIG, 300, discordant)["low"] <= 0.05


@pytest.mark.parametrize("discordant", [0.05, 0.1, 0.2])
def test_four_in_five_pass_that_are_as_good(discordant: float) -> None:
    found = equal_passes(np.random.default_rng(1), CONFIG, 200, discordant, 1)
    assert found["high"] >= 0.8 and found["median_pairs"] <= 250


@pytest.mark.parametrize("course", COURSES)
def test_fifty_gates_in_a_row_do_not_sink_below_the_anchor_by_more_than_the_margin(course: str) -> None:
    found = drift(np.random.default_rng(2), CONFIG, 10, course)
    assert found["low"] <= 0.05 and found["lowest_below_anchor"] <= CONFIG.margin + 0.011


def test_without_the_anchor_fifty_gates_would_sink(monkeypatch: pytest.MonkeyPatch) -> None:
    """The campaign can find fault: a gate that forgets the anchor lets a champion creep down."""
    rules = GateConfig.rules
    monkeypatch.setattr(
        GateConfig, "rules", lambda self, *a, **k: {n: r for n, r in rules(self, *a, **k).items() if n == "champion"}
    )
    assert drift(np.random.default_rng(3), CONFIG, 4, "creeps down")["hits"] == 4


def test_a_course_that_learns_is_let_through() -> None:
    found = drift(np.random.default_rng(4), CONFIG, 4, "learns")
    assert found["promotions_a_run"] > 40 and found["lowest_below_anchor"] == 0


def test_the_whole_campaign_says_what_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "planted", lambda: planted()[:2])
    stages = (open_stage(load_plugins().registry, str(FOLDER)),)
    result = gate.bench_gate(stages, size=Size(gates=5, runs=1))
    assert result["planted"]["of"] == 2 == result["planted"]["rejected"] and result["planted"]["equal_promoted"]
    said = "\n".join(gate.lines(result))
    assert "5 gates a figure" in said and "2 of 2" in said and all(course in said for course in COURSES)


def test_clerks_serve_the_share_they_are_made_to_serve() -> None:
    one, other = Clerk(version="a", serves=ANCHOR_SERVES, own_luck=0.3), Clerk(version="b", serves=ANCHOR_SERVES)
    willing = [(one.is_willing(seed), other.is_willing(seed)) for seed in range(2000)]
    assert sum(a for a, _ in willing) / 2000 == pytest.approx(ANCHOR_SERVES, abs=0.04)
    assert 0.1 < sum(a != b for a, b in willing) / 2000 < 0.3
