"""What it costs to begin a task and to grade it, beside the half second and more that tau2 publishes for its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from dialog_rl_tau2.importing import Tau2

from dialog_rl import metrics
from dialog_rl.lint_sourced import EXPERT, _episode
from tests.tau2.small import data_folder, stage_of

DATA = os.environ.get("DIALOG_RL_DATA", "")
PUBLISHED = 0.5
"""Seconds of bookkeeping an episode, the lower end of what is said of tau2."""
TIMES_LESS = 100


def seconds(what: Callable[[], object], *, times: int) -> float:
    """Of the fastest of five rounds, for the machine is others' too."""
    rounds: list[float] = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(times):
            what()
        rounds.append((time.perf_counter() - began) / times)
    return min(rounds)


@pytest.mark.parametrize("domain", ["mock", "retail"])
def test_beginning_and_grading_cost_a_hundredth_of_what_is_published(
    domain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if domain == "retail" and not DATA:
        pytest.skip("DIALOG_RL_DATA does not name a folder with tau2's data")
    data = Path(DATA) if domain == "retail" else data_folder(tmp_path / "data")
    began = time.perf_counter()
    Tau2().bring(data, tmp_path / "out")
    imported = time.perf_counter() - began
    stage = stage_of(tmp_path / "out" / domain, monkeypatch)
    source = stage.pack.source  # type: ignore[attr-defined]
    began = time.perf_counter()
    scenario = source.scenario(0, split="train", phrasing="train")
    first = time.perf_counter() - began
    episode = _episode(stage, scenario, 0, EXPERT)
    counter = source.office(scenario)
    for action in source.task(scenario.provenance.task).criteria.actions or ():
        counter.run(action.requestor, action.name, action.arguments)

    anew = source.task(scenario.provenance.task)
    load = seconds(lambda: source._scenario(anew, "train"), times=20)
    reset = seconds(lambda: source.office(scenario), times=200)
    grade = seconds(lambda: (counter.journal(), metrics.success(episode), metrics.benchmark(episode)), times=200)
    whole = load + reset + grade
    print(f"\n{domain}: import of all {imported:.2f} s, records read once {1e3 * first:.0f} ms")
    print(f"a task's load {1e6 * load:.0f} µs, reset {1e6 * reset:.0f} µs, grading {1e6 * grade:.0f} µs")
    print(f"{PUBLISHED / whole:,.0f} times less than {PUBLISHED} s")
    assert whole * TIMES_LESS < PUBLISHED
