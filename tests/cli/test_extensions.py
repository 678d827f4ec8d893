"""Metrics, trackers and exporters of plugins, in the commands that ask for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dialog_rl.cli import train
from dialog_rl.cli.extensions import flat, measured, plain, tracking
from dialog_rl.episode import Episode
from dialog_rl.errors import ConfigError
from dialog_rl.plugins.loading import Plugins, load_plugins
from dialog_rl.testing.episodes import make_episode
from tests.browsing.made import log

Run = Callable[..., Any]
PLUGIN = """
import json
from dialog_rl import hookimpl

class Words:
    def measure(self, episodes):
        return {"most": max(len(t.reply.split()) for e in episodes for t in e.turns), "episodes": len(episodes)}

class Broken:
    def measure(self, episodes): raise RuntimeError("boom")

class Lines:
    def export(self, episodes, path):
        with open(path, "x") as out: out.writelines(e.episode_id + "\\n" for e in episodes)

class Notes:
    def __init__(self): self.told = []
    def log(self, step, figures): self.told.append([step, figures])
    def close(self): json.dump(self.told, open("notes.json", "w"))

class Failing:
    def log(self, step, figures): raise RuntimeError("no disk")
    def close(self): open("closed", "w")

@hookimpl
def register_metrics(register):
    register("words", Words)
    register("broken", Broken)

@hookimpl
def register_exporters(register):
    register("lines", Lines)

@hookimpl
def register_trackers(register):
    register("notes", Notes)
    register("failing", Failing)
"""


@dataclass(frozen=True)
class Update:
    update: int
    dialogues: int


@dataclass(frozen=True)
class Result:
    name: str
    episodes: tuple[Episode, ...]

    def usable(self) -> tuple[Episode, ...]:
        return self.episodes


@pytest.fixture
def file(home: Path) -> Path:
    (home / "mine.py").write_text(PLUGIN)
    return home / "mine.py"


@pytest.fixture
def plugins(file: Path) -> Iterator[Plugins]:
    with load_plugins(files=[file], found=[]) as plugins:
        yield plugins


def test_an_exporter_writes_the_episodes_that_were_asked_for(run: Run, home: Path, file: Path) -> None:
    (home / "runs" / "r").mkdir(parents=True)
    with log(home / "runs" / "r" / "episodes.db"):
        pass
    export = ("episodes", "export", "r", "--plugin", str(file), "--out", "out.txt", "--policy", "v1")
    done = run(*export, "--format", "lines")
    assert done.code == 0, done.err
    written = (home / "out.txt").read_text().split()
    assert written and f"{len(written)} episodes written" in done.err
    assert "is there already" in run(*export, "--format", "lines").error()
    assert "no exporter is named 'line'; did you mean 'lines'?" in run(*export, "--format", "line").error()
    assert "--format needs --out" in run("episodes", "export", "r", "--format", "lines").error()


def test_an_evaluation_tells_what_metrics_say_and_names_those_that_fail(
    plugins: Plugins, capfd: pytest.CaptureFixture[str]
) -> None:
    brief, long = make_episode(("hello", "hi")), make_episode(("hello", "good day to you"), ("bye", "bye"))
    results = (Result("brief", (brief, brief)), Result("long", (long,)))
    of = measured(plugins.registry, SimpleNamespace(results=results))  # type: ignore[arg-type]
    assert of["brief"] == {"words/most": 1.0, "words/episodes": 2.0} and of["long"]["words/most"] == 4.0
    said = capfd.readouterr().err
    assert said.count("metric 'broken' is left out") == 1 and "boom" in said
    assert "words/most" in plain(of)


def test_a_tracker_has_every_updates_numbers_and_its_end(plugins: Plugins, home: Path) -> None:
    # What a confined plugin writes without a folder lands where the program was started.
    with tracking(plugins.registry, ["notes"]) as track:
        track(1, {"success": 0.5, "stats": {"kl": 0.1, "broken": float("nan")}, "word": "no"})
        track(2, {"success": 1})
    told = json.loads((home / "notes.json").read_text())
    assert told == [[1, {"success": 0.5, "stats/kl": 0.1}], [2, {"success": 1.0}]]


def test_a_tracker_that_fails_is_named_once_and_the_others_hear_on(
    plugins: Plugins, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with tracking(plugins.registry, ["failing", "notes"]) as track:
        track(1, {"a": 1})
        track(2, {"a": 2})
    said = capfd.readouterr().err
    assert said.count("tracker 'failing' is told no more") == 1 and "no disk" in said
    assert len(json.loads((home / "notes.json").read_text())) == 2


def test_a_tracker_that_is_not_there_is_said_before_anything_is_trained(run: Run, file: Path, home: Path) -> None:
    refused = run("train", "--plugin", str(file), "--tracker", "note", "--dialogues", "4", "--batch", "4")
    assert refused.code == 2 and "no tracker is named 'note'; did you mean 'notes'?" in refused.error()
    assert not (home / "runs").exists()


def test_a_training_hands_every_update_to_its_tracker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "summary_line", str)
    updates = [Update(update=number, dialogues=2 * number) for number in (1, 2)]
    config = SimpleNamespace(dialogues=4, updates=2, batch=2)
    trainer = SimpleNamespace(config=config, done=2, run=lambda cancelled: iter(updates))
    kept: list[tuple[int, Any]] = []
    made: Any = SimpleNamespace(trainer=trainer, folder=Path("r"))
    train.teach(made, as_json=True, track=lambda step, figures: kept.append((step, figures["dialogues"])))
    assert kept == [(1, 2), (2, 4)]


def test_only_finite_numbers_are_figures() -> None:
    assert flat({"a": True, "b": float("inf"), "c": {"d": {"e": 2}}}) == {"c/d/e": 2.0}


def test_an_unknown_tracker_is_refused(plugins: Plugins) -> None:
    with pytest.raises(ConfigError, match="no tracker"), tracking(plugins.registry, ["nobody"]):
        pass
