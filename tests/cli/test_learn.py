"""Learning from the command line: what it does, what it says, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dialog_rl import durable
from dialog_rl.bench.rehearsal import World
from dialog_rl.cli import updating
from dialog_rl.cli.main import main
from dialog_rl.episode_log import learning
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.lm import checkpoints, journal
from dialog_rl.online.training_record import LOCK
from tests.crashing import end_by, start, was_killed

Run = Callable[..., Any]
QUICK = ("--once", "--batch", "3", "--gate-pairs", "2", "--gate-cases", "0", "--json")


@pytest.fixture(autouse=True)
def _undemanding(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that runs the tests must not become less important with each of them."""
    monkeypatch.setattr(updating, "step_back", lambda: None)


@pytest.fixture
def world(home: Path) -> World:
    """A working folder whose champion is a tiny model, and nothing said to it yet."""
    return World(home / "runs", where=home / "runs" / "chat" / "episodes.db")


@pytest.fixture
def log(world: World) -> Iterator[EpisodeLog]:
    with world.open_log() as opened:
        yield opened


def test_what_is_queued_is_learnt_from_and_judged(world: World, log: EpisodeLog, run: Run) -> None:
    world.chat(log, 1, 2, 3, 4)
    done = run("learn", *QUICK)
    assert done.code == 0, done.err
    first, second = map(json.loads, done.out.splitlines())
    assert [len(u["record"]["episodes"]) for u in (first, second)] == [3, 1]
    assert first["verdict"]["version"] and first["verdict"]["reason"] and first["verdict"]["gate"] == 1
    assert run("learn", *QUICK).out == ""
    status = run("learn", "status", "--json").json()
    assert status["updates"] == 2 and status["conversations_used"] == 4 and status["queued"] == []


def test_status_says_what_waits_and_why(world: World, log: EpisodeLog, run: Run) -> None:
    world.chat(log, 1, 2)
    world.chat(log, 3, consent=None)
    world.chat(log, 4, rated={})
    told = run("learn", "status", "--json").json()
    assert told["queued"] == ["chat-1", "chat-2"] and not told["running"] and told["updates"] == 0
    assert told["refused"] == {"not rated": 1, "nobody was asked for consent": 1}
    assert told["next"].startswith("waits for 6 more rated conversations, or in ")
    shown = run("learn", "status")
    assert shown.code == 0 and "not running; start it: dialog-rl learn" in shown.out
    assert "chat-3: what is said is kept, but not learnt from" in shown.out
    assert "no process speaks with it yet" in shown.out


def test_status_tells_of_an_update_that_was_begun(world: World, log: EpisodeLog, run: Run) -> None:
    world.chat(log, 1, 2, 3)
    assert world.updater(log)._plan(now=True) is not None
    told = run("learn", "status", "--json").json()
    assert told["pending"]["update"] == 1 and told["queued"] == [] and "begun" in told["next"]


def test_a_receipt_says_what_became_of_a_rating(world: World, log: EpisodeLog, run: Run) -> None:
    world.chat(log, 1, 2, 3)
    (waiting,) = run("learn", "receipt", "chat-1", "--json").json()["receipts"]
    assert waiting["fate"] == "waiting" and waiting["reason"] == "queued for the next update"
    world.learn(log)
    learning.serving(log, world.store.standing("champion"), "host:1")
    shown = run("learn", "receipt", "rating:chat-1:ann:0")
    assert shown.code == 0 and "active" in shown.out and "host:1 speaks with it" in shown.out
    assert len(run("learn", "receipt", "--json").json()["receipts"]) == 3
    assert "there is no rating 'chat-9'" in run("learn", "receipt", "chat-9").error()


def test_a_quarantined_conversation_is_not_learnt_from(world: World, log: EpisodeLog, run: Run) -> None:
    world.chat(log, 1)
    assert run("learn", "quarantine", "chat-1", "--reason", "trolls").code == 0
    assert run("learn", "status", "--json").json()["examples"] == {"quarantined": "chat-1: trolls"}
    run("learn", "quarantine", "chat-1", "--reason", "no", "--lift")
    assert run("learn", "status", "--json").json()["queued"] == ["chat-1"]


def test_without_a_chat_there_is_nothing_to_look_at(home: Path, run: Run) -> None:
    assert "nobody has talked" in run("learn", "status").error()


def test_a_name_that_is_no_folder_is_refused(home: Path, run: Run) -> None:
    assert run("learn", "--run", "../x", "--once").code == 2


def test_a_second_updater_is_turned_away(world: World, log: EpisodeLog, run: Run) -> None:
    child = _following(world, log)
    try:
        done = run("learn", "--once")
        assert done.code == 1 and "another updater is at work" in done.error()
        assert run("learn", "status", "--json").json()["running"]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_it_at_once_with_a_valid_checkpoint(
    world: World, log: EpisodeLog, number: signal.Signals, code: int
) -> None:
    child = _following(world, log)
    world.chat(log, 1, 2, 3)
    ended, seconds = end_by(child, number)
    assert ended == code and seconds < 5
    found, rejected = checkpoints.latest_valid(world.root / "learn" / "checkpoints")
    assert found is not None and not rejected


def test_a_signal_ends_it_in_the_middle_of_a_gate_and_the_same_gate_is_played_again(
    world: World, log: EpisodeLog, run: Run
) -> None:
    world.chat(log, 1, 2, 3)
    long = ("learn", "--once", "--batch", "3", "--gate-pairs", "100000", "--gate-cases", "0")
    child = start(lambda: os._exit(main(long)))
    deadline = time.monotonic() + 100
    while "candidate" not in journal.standing(world.versions) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)  # into the gate
    ended, seconds = end_by(child, signal.SIGTERM)
    assert ended == 143 and seconds < 5
    assert learning.verdict_of(log, "learn", 1) is None
    assert run("learn", *QUICK).code == 0
    verdict = learning.verdict_of(log, "learn", 1)
    assert verdict is not None and verdict.gate == 1 and verdict.reason


def _following(world: World, log: EpisodeLog) -> int:
    """An updater of its own process that waits for conversations."""
    child = start(lambda: os._exit(main(["learn", "--batch", "3", "--gate-pairs", "2", "--gate-cases", "0"])))
    deadline = time.monotonic() + 60
    while not list((world.root / "learn" / "checkpoints").glob("0*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return child


def test_an_updater_beside_a_chat_learns_from_what_was_said_last_and_ends(world: World, log: EpisodeLog) -> None:
    """Its parent, which stands for the chat, ends at once; two conversations are fewer than a batch."""
    world.chat(log, 1, 2)
    arguments = ["learn", "--batch", "3", "--wait", "-1", "--gate-pairs", "2", "--gate-cases", "0"]

    def chat() -> None:
        parent = os.getpid()
        start(lambda: os._exit(main([*arguments, "--beside", str(parent)])))

    assert not was_killed(start(chat))
    deadline = time.monotonic() + 100
    while learning.verdict_of(log, "learn", 1) is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    while updating_now(world):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def updating_now(world: World) -> bool:
    try:
        with durable.locked(world.folder / LOCK, timeout=0):
            return False
    except TimeoutError:
        return True


def test_an_update_is_made_again_from_the_log(world: World, log: EpisodeLog, run: Run) -> None:
    world.chat(log, 1, 2, 3)
    run("learn", *QUICK)
    again = run("learn", "replay", "--json")
    assert again.code == 0 and again.json()["made"] == again.json()["version"], again.err


def test_forgetting_asks_first_and_then_leaves_nothing(world: World, log: EpisodeLog, run: Run) -> None:
    world.chat(log, 1, 2, 3)
    run("learn", *QUICK)
    exports = world.root / "chat" / "exports"
    exports.mkdir()
    (exports / "chat-2.md").write_text("what was said")
    (world.root / "chat" / "names.json").write_text(json.dumps({"chat-2": "my name", "chat-3": "another"}))
    refused = run("episodes", "forget", "chat-2")
    assert refused.code == 2 and "say so with --yes" in refused.error() and "chat-2" in log
    done = run("episodes", "forget", "chat-2", "--yes", "--json").json()
    assert done["forgotten"]["episodes"] == ["chat-2"] and done["unlearnt"]["since"] == 1
    assert "chat-2" not in log and not list(exports.iterdir())
    for path in world.root.rglob("*"):
        assert not path.is_file() or b"chat-2" not in path.read_bytes(), path
    assert run("learn", "status", "--json").json()["conversations_used"] == 2


def test_what_is_too_old_is_forgotten(world: World, log: EpisodeLog, run: Run) -> None:
    world.chat(log, 1)
    assert run("episodes", "forget", "--older-than", "1", "--yes", "--json").json()["forgotten"]["episodes"] == []
    assert run("episodes", "forget", "--older-than", "0", "--yes").code == 0 and log.count() == 0


def test_forgetting_nothing_in_particular_is_refused(world: World, log: EpisodeLog, run: Run) -> None:
    assert run("episodes", "forget", "--yes").code == 2
    assert "no conversation 'x'" in run("episodes", "forget", "x", "--yes").error()
