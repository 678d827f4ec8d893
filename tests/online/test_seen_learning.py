"""What learning from people looks like from outside: the queue and why not, the gate, the guard, the figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dialog_rl.bench.rehearsal import World
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.errors import EpisodeLogError
from dialog_rl.lm import promotions
from dialog_rl.online import training_record
from dialog_rl.online.seen import Alive, Note
from dialog_rl.online.seen_learning import LearningWatch


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def log(world: World) -> Iterator[EpisodeLog]:
    with world.open_log() as opened:
        yield opened


def watch_of(world: World, log: EpisodeLog) -> LearningWatch:
    return LearningWatch(world.store.root.parent / "learn", log, (world.store.root,))


def notes(watch: LearningWatch, key: str) -> list[Note]:
    return [note for notes in watch.look().notes if notes.key == key for note in notes.notes]


def test_what_waits_and_what_is_not_eligible_is_told_with_the_reason(world: World, log: EpisodeLog) -> None:
    world.chat(log, 1, 2)
    world.chat(log, 3, consent=None)
    watch = watch_of(world, log)
    told = [note.text for note in notes(watch, "queue")]
    assert told[0].startswith("waits for 6 more rated conversations") and told[1].startswith(
        "rated conversations that wait: 2, of raters: 1"
    )
    assert any(text.startswith("1 not learnt from, nobody was asked for consent: chat-3") for text in told)
    assert watch.look().alive is Alive.ENDED and "not running" in watch.look().told


def test_an_update_has_its_figures_its_line_and_its_verdict(world: World, log: EpisodeLog) -> None:
    world.chat(log, 1, 2, 3)
    (report,) = world.learn(log)
    watch = watch_of(world, log)
    found = watch.look()
    charts = {chart.key: chart for chart in found.charts}
    assert found.update == 1 and charts["kl"].lines[0].values == [pytest.approx(report.record.signs["kl_anchor"])]
    assert charts["taught"].lines[0].values == [3.0] and charts["entropy"].lines[1].name == "anchor"
    assert f"version {report.verdict.version[:8]} promoted" in notes(watch, "versions")[0].text
    assert [note.text for note in notes(watch, "guard")] == ["nothing to object to"]
    (line,) = [update.told for update in watch.news()]
    assert (
        line.startswith("update 1  3 rated dialogues, 3 simulated")
        and "promoted" in line
        and line.count("update 1") == 1
    )


def test_the_record_of_an_update_names_nobody(world: World, log: EpisodeLog) -> None:
    world.chat(log, 1, 2, 3)
    world.learn(log)
    text = (world.store.root.parent / "learn" / training_record.METRICS).read_text()
    assert "chat-1" not in text and '"ratings": 3' in text


def test_what_else_moved_the_champion_is_told(world: World, log: EpisodeLog) -> None:
    world.chat(log, 1, 2, 3)
    world.learn(log)
    promotions.rollback(world.store.root, "champion", reason="it shouts", by="ann")
    assert "rolled back champion by ann: it shouts" in notes(watch_of(world, log), "versions")[0].text


def test_why_the_guard_withheld_an_update_is_told(world: World, log: EpisodeLog) -> None:
    folder = world.store.root.parent / "learn"
    folder.mkdir(exist_ok=True)
    training_record.append(folder, {"update": 1, "outcome": "withheld: it is collapsing", "warning": "near the budget"})
    world.chat(log, 1)
    told = notes(watch_of(world, log), "guard")
    assert [(n.text, n.bad) for n in told] == [
        ("update 1 withheld: it is collapsing", True),
        ("update 1: near the budget", False),
    ]


def test_a_rating_more_is_seen_at_the_next_look_and_without_news_nothing_is_read(world: World, log: EpisodeLog) -> None:
    world.chat(log, 1)
    watch = watch_of(world, log)
    first = watch.look()
    assert watch.look() is first
    world.chat(log, 2)
    assert notes(watch, "queue")[1].text.startswith("rated conversations that wait: 2")


def test_a_log_that_cannot_be_read_any_more_is_said(
    world: World, log: EpisodeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.chat(log, 1)
    watch = watch_of(world, log)
    first = watch.look()

    def gone(*_: object, **__: object) -> None:
        raise EpisodeLogError("the server went away")

    monkeypatch.setattr(log, "last_seq", gone)
    monkeypatch.setattr(log, "events", gone)
    found = watch.look()
    assert found == replace(first, alive=Alive.SILENT, told=found.told) and "the server went away" in found.told
