"""Offline learning on the command line: a log in, a version out; what is missing is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]


def test_a_log_becomes_a_version_that_can_speak(run: Run, with_base: Path) -> None:
    assert run("simulate", "--version", "base", "--count", "3", "--run", "log").code == 0
    told = run("offline", "ilql", "log", "--epochs", "1", "--json").json()
    assert told["episodes"] == 3 and len(told["losses"]) == 1
    assert run("versions", "show", told["version"]).code == 0
    nothing = run("offline", "people", "dpo", "log")
    assert nothing.code != 0
    assert "the log holds no such judgement" in nothing.error()


def test_a_log_that_is_not_there_is_named(run: Run) -> None:
    done = run("offline", "reward", "nowhere", "--out", "rm")
    assert done.code != 0
    assert "there is no episode log 'nowhere'" in done.error()


def test_an_expert_is_imitated_by_a_reward_that_trains(run: Run, with_base: Path) -> None:
    for version, name in (("expert", "shown"), ("base", "said")):
        assert run("simulate", "--version", version, "--count", "60", "--run", name).code == 0
    fitted = run("offline", "imitation", "shown", "said", "--out", "likeness", "--json")
    assert fitted.code == 0, fitted.err
    told = fitted.json()
    assert told["kind"] == "likeness" and told["fitted"] > 20
    assert "is there already" in run("offline", "imitation", "shown", "said", "--out", "likeness").error()
    tried = run("reward", "try", "learned", "said", "--option", 'model="likeness"')
    assert tried.code == 0 and "mean" in tried.out
