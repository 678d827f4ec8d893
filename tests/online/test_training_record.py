"""A record that is followed while it grows, and the lock that says who is there."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from dialog_rl.errors import TrainingError
from dialog_rl.online import training_record
from dialog_rl.online.training_record import LOCK, METRICS, Tail, held, is_held
from tests.online.runs import record, run


def numbers(tail: Tail) -> list[int]:
    return [one["update"] for one in tail.updates]


def test_each_look_brings_only_what_is_new(tmp_path: Path) -> None:
    folder = run(tmp_path / "r", 2)
    tail = Tail(folder)
    assert [one["update"] for one in tail.look()] == [1, 2] and tail.look() == []
    training_record.append(folder, record(3))
    assert [one["update"] for one in tail.look()] == [3] and numbers(tail) == [1, 2, 3]


def test_a_torn_last_line_is_waited_for(tmp_path: Path) -> None:
    folder = run(tmp_path / "r", 1)
    tail = Tail(folder)
    with (folder / METRICS).open("a") as file:
        file.write('{"update": 2, "succ')
    assert [one["update"] for one in tail.look()] == [1] and tail.unreadable == 0
    with (folder / METRICS).open("a") as file:
        file.write('ess": 0.5}\n')
    assert tail.look() == [{"update": 2, "success": 0.5}]


def test_a_run_that_was_taken_up_again_is_read_anew_and_only_what_differs_is_news(tmp_path: Path) -> None:
    folder = run(tmp_path / "r", 5)
    tail = Tail(folder)
    tail.look()
    training_record.cut(folder, 3)
    training_record.append(folder, record(4, success=0.9))
    assert [(one["update"], one["success"]) for one in tail.look()] == [(4, 0.9)] and numbers(tail) == [1, 2, 3, 4]


def test_a_run_that_began_again_without_a_checkpoint_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    folder = run(tmp_path / "r", 3)
    training_record.append(folder, record(1, success=0.7))
    tail = Tail(folder)
    tail.look()
    assert [(one["update"], one["success"]) for one in tail.updates] == [(1, 0.7)]


@pytest.mark.parametrize("line", ["not json", "[1]", "{}", '{"update": "x"}', '{"update": 1e999}', "[" * 100_000])
def test_a_line_that_is_no_record_is_counted_and_passed_over(tmp_path: Path, line: str) -> None:
    folder = run(tmp_path / "r", 1)
    with (folder / METRICS).open("a") as file:
        file.write(line + "\n")
    training_record.append(folder, record(2))
    tail = Tail(folder)
    tail.look()
    assert numbers(tail) == [1, 2] and tail.unreadable == 1


def test_a_run_without_a_record_has_none(tmp_path: Path) -> None:
    assert Tail(tmp_path).look() == []


def test_the_lock_tells_whether_somebody_trains(tmp_path: Path) -> None:
    assert is_held(tmp_path) is None
    with held(tmp_path):
        assert is_held(tmp_path) is True
        with pytest.raises(TrainingError, match="another process is training"), held(tmp_path):
            pass
    assert is_held(tmp_path) is False


def test_looking_whether_it_is_held_makes_no_file_and_keeps_nobody_out(tmp_path: Path) -> None:
    assert is_held(tmp_path) is None and not (tmp_path / LOCK).exists()
    with held(tmp_path):
        pass
    for _ in range(50):
        assert is_held(tmp_path) is False
        with held(tmp_path):
            pass


def test_a_process_that_was_killed_holds_it_no_more(tmp_path: Path) -> None:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        with held(tmp_path):
            os.write(write, b"x")
            signal.pause()
    os.read(read, 1)
    assert is_held(tmp_path) is True
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert is_held(tmp_path) is False
