"""What commands lend to rewards: a reference model's likelihoods, and people's ratings from the log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dialog_rl.episode import Rating
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.online import training_record
from dialog_rl.plugins.loading import load_plugins

Run = Callable[..., Any]


def fluency(where: Path, lent: dict[str, Any]) -> float:
    """The mean over a log's episodes."""
    reward = load_plugins().registry.rewards["fluency"].make({}, lent)
    with EpisodeLog.open(where, read_only=True) as log:
        values = [score.value for score in reward.score([logged.episode for logged in log.episodes()])]
    return sum(v for v in values if v is not None) / len(values)


def test_training_pays_for_what_the_starting_version_finds_likely(run: Run, with_base: Path, babbler: Path) -> None:
    from dialog_rl.evaluation.likelihood import Likelihoods
    from dialog_rl.lm import versions
    from dialog_rl.lm.model import SpeakingModel

    assert run("train", "--dialogues", "4", "--batch", "4", "--run", "r").code == 0
    (update,) = training_record.read(with_base / "runs" / "r")
    log = with_base / "runs" / "r" / "episodes.db"
    base = SpeakingModel.load(versions.find([babbler], "base").path)
    # In bf16 while training, which moves a likelihood by far less than this.
    assert update["components"]["fluency"] == pytest.approx(fluency(log, {"reference": Likelihoods(base)}), abs=0.01)
    assert update["components"]["fluency"] < fluency(log, {}) - 0.05


def test_a_reward_is_tried_with_a_reference_where_there_is_one(
    run: Run, with_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("simulate", "--version", "base", "--count", "3", "--run", "r")
    with_reference = run("reward", "try", "fluency", "r", "--json").json()
    assert all("unlikely" in one["reason"] for one in with_reference["best"])
    monkeypatch.setenv("DIALOG_RL_TRAIN_VERSION", "nobody")
    without = run("reward", "try", "fluency", "r", "--json").json()
    assert not any("unlikely" in one["reason"] for one in without["best"])


def test_a_rating_can_be_among_the_rewards_of_a_training(run: Run, with_base: Path) -> None:
    done = run("train", "--dialogues", "4", "--batch", "4", "--run", "r", "--reward", "human_rating")
    assert done.code == 0 and training_record.read(with_base / "runs" / "r")[0]["components"]["human_rating"] == 0


def test_a_rating_in_the_log_is_seen_when_the_reward_is_tried(run: Run, home: Path) -> None:
    run("simulate", "--version", "expert", "--count", "3", "--run", "r")
    with EpisodeLog.open(home / "runs" / "r" / "episodes.db") as log:
        log.rate(Rating(episode_id="r-000001", rater="ann", value=-1.0))
    tried = run("reward", "try", "human_rating", "r", "--json").json()
    assert (tried["abstained"], tried["rated"], tried["best"][0]["value"]) == (2, 1, -1.0)


def test_an_evaluation_says_by_which_model_fluency_was_measured(run: Run, with_base: Path) -> None:
    assert "fluency, by base" in run("evaluate", "base", "--goals", "2").out
    assert "fluency, by" not in run("evaluate", "expert", "--goals", "2").out


def test_a_reward_that_cannot_be_made_here_is_left_out_of_an_evaluation_aloud(run: Run, home: Path) -> None:
    (home / "s.toml").write_text('[[rewards]]\nuse = "task_success"\n[[rewards]]\nuse = "judge"\n')
    outcome = run("evaluate", "expert", "--goals", "2", "--config", "s.toml")
    assert outcome.code == 0 and "warning: left out: rewards 'judge' cannot be made" in outcome.err


def test_a_training_ends_with_a_report_and_the_curve_of_its_constraint(run: Run, with_base: Path) -> None:
    pytest.importorskip("matplotlib")
    rewards = '[[rewards]]\nuse = "task_success"\n[[rewards]]\nuse = "safety"\npart = "constraint"\ntarget = 0.2\n'
    (with_base / "s.toml").write_text(rewards)
    done = run("train", "--dialogues", "8", "--batch", "4", "--run", "r", "--config", "s.toml")
    assert done.code == 0 and "constraint safety: broken in 0.0 % of the last dialogues, at most 20.0 %" in done.out
    folder = with_base / "runs" / "r"
    assert "![Violations of the constraints](violations.png)" in (folder / "report.md").read_text()
    assert (folder / "violations.png").read_bytes().startswith(b"\x89PNG")


def test_runs_are_drawn_beside_each_other_by_what_a_reward_forbids(run: Run, with_base: Path) -> None:
    pytest.importorskip("matplotlib")
    rewards = '[[rewards]]\nuse = "task_success"\n[[rewards]]\nuse = "turn_cost"\npart = "constraint"\ntarget = 0.2\n'
    (with_base / "s.toml").write_text(rewards)
    small = ("--dialogues", "8", "--batch", "4")
    run("train", *small, "--run", "held", "--config", "s.toml")
    run("train", *small, "--run", "free")
    found = run("reward", "violations", "turn_cost", "held", "free", "--out", "both.png", "--json").json()
    assert [(r["name"], r["rates"], r["target"]) for r in found["runs"]] == [
        ("held", [1.0, 1.0], 0.2),
        ("free", [1.0, 1.0], None),
    ]
    assert (with_base / "both.png").read_bytes().startswith(b"\x89PNG")
    assert "free: 0.0 % at first" in run("reward", "violations", "safety", "free").out
    assert "no update has been recorded" in run("reward", "violations", "safety", "versions").error()
