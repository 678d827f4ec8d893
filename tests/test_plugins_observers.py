"""Who watches is told: of what a log has made durable, of runs that begin and end, of every new champion."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dialog_rl import hookimpl
from dialog_rl.chat.session import ChatSession
from dialog_rl.cli.updating import told_to
from dialog_rl.episode import Rating
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.errors import EpisodeLogError
from dialog_rl.plugins.isolation import Confinement
from dialog_rl.plugins.loading import Plugins, load_plugins
from dialog_rl.testing.episodes import make_episode
from tests.chat.scripted import ScriptedVoices, db, setting

EPISODE = make_episode(("hello", "hi"), episode_id="e0")


class Watcher:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    @hookimpl
    def on_run_start(self, run):
        self.told.append(("start", run["id"]))

    @hookimpl
    def on_episode_end(self, run, episode):
        self.told.append(("episode", episode.episode_id))

    @hookimpl
    def on_rating(self, run, rating):
        self.told.append(("rating", rating.value))

    @hookimpl
    def on_update_end(self, run, stats):
        self.told.append(("update", stats["number"]))

    @hookimpl
    def on_version_promoted(self, run, version):
        self.told.append(("champion", version))

    @hookimpl
    def on_run_end(self, run, error):
        self.told.append(("end", error))


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture
def plugins(watcher: Watcher) -> Iterator[Plugins]:
    with load_plugins(found=[]) as plugins:
        plugins.add("watcher", watcher)
        yield plugins


@pytest.fixture
def log(tmp_path: Path, plugins: Plugins) -> Iterator[EpisodeLog]:
    with EpisodeLog.open(db(tmp_path)) as log:
        log.listener = plugins.hearing("r", tmp_path)
        yield log


def test_an_episode_is_told_once_it_is_in_the_log(log: EpisodeLog, watcher: Watcher) -> None:
    heard: list[bool] = []
    tell = log.listener
    log.listener = lambda fact: (heard.append("e0" in log), tell(fact))[1]
    log.append(EPISODE)
    assert heard == [True] and watcher.told == [("episode", "e0")]


def test_what_the_log_refuses_is_not_told(log: EpisodeLog, watcher: Watcher) -> None:
    with pytest.raises(EpisodeLogError):
        log.rate(Rating(episode_id="nowhere", rater="ann", value=1.0))
    assert watcher.told == []


def test_what_is_said_and_rated_in_a_chat_is_told(log: EpisodeLog, watcher: Watcher) -> None:
    session = ChatSession(log, ScriptedVoices("hello"), setting(), rater="ann")
    session.begin()
    session.say("hi")
    list(session.answer())
    session.opinions.change(0, value=1.0)
    session.leave()
    assert watcher.told == [("rating", 1.0), ("episode", session.id)]


def test_a_run_is_told_from_its_beginning_to_how_it_ended(tmp_path: Path, plugins: Plugins, watcher: Watcher) -> None:
    with plugins.watching("good", tmp_path):
        pass
    with pytest.raises(KeyError), plugins.watching("bad", tmp_path):
        raise KeyError("gone")
    assert watcher.told == [("start", "good"), ("end", ""), ("start", "bad"), ("end", "KeyError: 'gone'")]


def test_updates_and_every_other_champion_are_told_before_the_report(
    tmp_path: Path, plugins: Plugins, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dialog_rl.cli.updating.asdict", lambda record: {"number": record})
    updater: Any = SimpleNamespace(run="r", folder=tmp_path, course=SimpleNamespace(champion="v1"))

    def reports() -> Iterator[Any]:
        for number, champion in enumerate(("v1", "v2", "v2")):
            updater.course.champion = champion
            yield SimpleNamespace(record=number)

    seen = [(report.record, len(watcher.told)) for report in told_to(plugins, updater, reports())]
    assert watcher.told == [("update", 0), ("update", 1), ("champion", "v2"), ("update", 2)]
    assert seen == [(0, 1), (1, 3), (2, 4)]


def test_an_observer_that_hangs_is_not_waited_for_at_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "slow.py"
    file.write_text(
        "import time\nfrom dialog_rl import hookimpl\n@hookimpl\ndef on_rating(rating):\n    time.sleep(3000)\n"
    )
    with load_plugins(files=[file], found=[], confinement=Confinement(deadline=600.0)) as plugins:
        for _ in range(2):
            plugins.notify("on_rating", run={}, rating=Rating(episode_id="e", rater="ann"))
        started = time.monotonic()
        plugins.close()
        assert time.monotonic() - started < 60
        assert plugins.workers["slow"].pid is None
    assert "'slow' was not told of" in caplog.text
