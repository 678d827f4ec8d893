"""Algorithms are compared in one folder, and a comparison that was stopped goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dialog_rl.cli import comparing
from dialog_rl.cli.comparing import Plan, named
from dialog_rl.config import Train

Run = Callable[..., Any]
SMALL = ("--dialogues", "4", "--batch", "4", "--seeds", "2", "--goals", "2", "--run", "small")


def plan(**changes: Any) -> Plan:
    given: dict[str, Any] = {
        "algorithms": ("ppo", "reinforce:baseline=critic,gamma=0.9"), "seeds": 2, "goals": 3,
        "train": Train(version="/somewhere").model_dump(), "rewards": (),
    }  # fmt: skip
    return Plan(**{**given, **changes})


def test_all_algorithms_come_before_any_has_a_second_seed() -> None:
    assert [(run, seed) for run, _, seed in plan().runs()] == [
        ("00-ppo-seed-0", 0), ("01-reinforce-seed-0", 0), ("00-ppo-seed-1", 1), ("01-reinforce-seed-1", 1)
    ]  # fmt: skip


def test_an_algorithm_is_named_with_its_options() -> None:
    assert named("ppo") == {"algorithm": "ppo", "algorithm_options": ()}
    settings = plan().settings("reinforce:baseline=critic,gamma=0.9", 7)
    assert (settings.algorithm, settings.algorithm_options, settings.seed) == (
        "reinforce", ("baseline=critic", "gamma=0.9"), 7
    )  # fmt: skip


def test_a_plan_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    plan().save(tmp_path)
    found = Plan.load(tmp_path)
    assert list(found.runs()) == list(plan().runs()) and found.settings("ppo", 0) == plan().settings("ppo", 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("compare", "ppo", "grop"), "did you mean 'grpo'"),
        (("compare", "ppo", "ppo"), "ppo is named twice"),
        (("compare", "ppo:clipp=1"), "did you mean 'clip'"),
        (("compare", "--resume", "nothing"), "no run 'nothing'"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_trained(
    run: Run, with_base: Path, arguments: tuple[str, ...], words: str
) -> None:
    outcome = run(*arguments)
    assert outcome.code == 2 and words in outcome.error()


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch, run: Run) -> list[str]:
    """Trainings without a process of their own, which would take seconds to begin. Returns those that were begun."""
    begun: list[str] = []

    def train_one(
        folder: Path, plan: Plan, name: str, algorithm: str, seed: int, flags: Any, stop: Callable[[], bool]
    ) -> str:
        begun.append(name)
        (folder / "runs" / "versions" / "made").mkdir(parents=True, exist_ok=True)
        (folder / "runs" / name).mkdir(parents=True)
        costs = {"speaking_seconds": 1.0, "learning_seconds": 0.5, "cpu_seconds": 1.2, "peak_memory": 1000}
        line = {"update": 1, "dialogues": 4, "success": 0.25, **costs}
        (folder / "runs" / name / "metrics.jsonl").write_text(json.dumps(line) + "\n")
        if len(begun) == 3:
            raise KeyboardInterrupt
        return "made"

    monkeypatch.setattr(comparing, "train_one", train_one)
    monkeypatch.setattr(comparing, "_held_out", lambda *_: ([1, 0], 0.5))
    return begun


def test_a_comparison_that_was_stopped_does_not_train_again_what_is_known(
    run: Run, with_base: Path, in_this_process: list[str]
) -> None:
    assert run("compare", "ppo", "reinforce", *SMALL).code == 130
    assert in_this_process == ["00-ppo-seed-0", "01-reinforce-seed-0", "00-ppo-seed-1"]
    import shutil

    shutil.rmtree(with_base / "runs" / "small" / "runs" / "00-ppo-seed-1")
    done = run("compare", "--resume", "small", "--json")
    assert done.code == 0, done.err
    assert in_this_process[3:] == ["00-ppo-seed-1", "01-reinforce-seed-1"]
    found = done.json()
    assert [row["algorithm"] for row in found["algorithms"]] == ["ppo", "reinforce"]
    assert found["margins"]["ppo over reinforce"]["value"] == 0.0
    assert (found["runs"][0]["wall_seconds"], found["runs"][0]["cpu_seconds"]) == (1.5, 1.2)
    assert (with_base / "runs" / "small" / "comparison.png").read_bytes().startswith(b"\x89PNG")
    assert "| ppo | 2 |" in (with_base / "runs" / "small" / "comparison.md").read_text()


@pytest.mark.slow
def test_each_training_is_a_process_of_its_own(run: Run, with_base: Path) -> None:
    done = run("compare", "reinforce", "grpo", *SMALL[:4], "--seeds", "1", "--goals", "2", "--run", "real", "--json")
    assert done.code == 0, done.err
    assert [one["dialogues"] for one in done.json()["runs"]] == [[4], [4]]
    assert all(one["cpu_seconds"] > 0 and one["peak_memory"] > 1 << 20 for one in done.json()["runs"])
    run_file = with_base / "runs" / "real" / "runs" / "01-grpo-seed-0" / "run.json"
    assert json.loads(run_file.read_text())["train"]["algorithm"] == "grpo"
