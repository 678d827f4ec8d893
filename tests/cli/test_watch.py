"""Watching by lines: what pipes and screen readers get, and what is said when there is nothing to see."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dialog_rl.cli import watch
from dialog_rl.online import training_record
from tests.online.runs import record
from tests.online.runs import run as made

Run = Callable[..., Any]


def test_the_state_is_said_once(home: Path, run: Run) -> None:
    made(home / "runs" / "first", 10)
    told = run("watch", "first", "--once", "--json").json()
    assert told["alive"] == "ended" and told["update"] == told["of"] == 10
    assert told["figures"]["success"]["success"]["latest"] == 1.0
    shown = run("watch", "first", "--once")
    assert "first: update 10 of 10; ended" in shown.out and "KL" in shown.out and "what happened:" in shown.out


def test_without_a_name_it_is_the_run_that_was_written_to_last(home: Path, run: Run) -> None:
    made(home / "runs" / "one", 1)
    made(home / "runs" / "two", 2)
    os.utime(home / "runs" / "two" / training_record.METRICS, (0, 0))
    assert run("watch", "--once", "--json").json()["run"] == "one"


def test_lines_come_as_updates_do_until_the_run_ends(home: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(home / "runs" / "first", 8)
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        training_record.append(folder, record(8 + len(naps)))

    monkeypatch.setattr(watch.time, "sleep", sleep)
    done = run("watch", "first", "--plain")
    assert [line.split("  ")[0] for line in done.out.splitlines()] == [f"update {n}/10" for n in range(1, 11)]
    assert done.code == 0 and len(naps) == 2 and "first: ended" in done.err


def test_a_line_is_a_record_with_json(home: Path, run: Run) -> None:
    made(home / "runs" / "first", 10)
    lines = [json.loads(line) for line in run("watch", "first", "--json").out.splitlines()]
    assert [line["record"]["update"] for line in lines] == list(range(1, 11))


def test_a_run_whose_process_is_gone_is_an_error_that_says_so(home: Path, run: Run) -> None:
    folder = made(home / "runs" / "first", 3)
    with training_record.held(folder):
        pass
    done = run("watch", "first", "--plain")
    assert done.code == 1 and "no process trains here; last sign of life" in done.error()
    assert len(done.out.splitlines()) == 3


def test_a_torn_last_line_is_no_trouble(home: Path, run: Run) -> None:
    folder = made(home / "runs" / "first", 2)
    with (folder / training_record.METRICS).open("a") as file:
        file.write('{"upd')
    assert run("watch", "first", "--once", "--json").json()["update"] == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nothing",), "there is no run 'nothing'"),
        ((), "there is no run in runs/ yet"),
        (("learn",), "nobody has talked"),
    ],
)
def test_what_is_not_there_is_named(home: Path, run: Run, arguments: tuple[str, ...], says: str) -> None:
    assert says in run("watch", *arguments).error()


def test_a_folder_that_is_no_run_is_named(home: Path, run: Run) -> None:
    (home / "runs" / "other").mkdir(parents=True)
    assert "is no run of train or learn" in run("watch", "other").error()


def test_it_needs_neither_torch_nor_more_than_a_second(home: Path) -> None:
    made(home / "runs" / "first", 10)
    code = (
        "import sys, time; from dialog_rl.cli.main import main; code = main(['watch', 'first', '--once']); "
        "import dialog_rl.tui.watch; print('torch' in sys.modules, time.process_time() < 1.0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "False True", done.stderr


def test_it_is_quick_with_many_updates(home: Path, run: Run) -> None:
    folder = made(home / "runs" / "long", 0, of=5000)
    (folder / training_record.METRICS).write_text("".join(json.dumps(record(n)) + "\n" for n in range(1, 5001)))
    before = time.process_time()
    assert run("watch", "long", "--once", "--json").json()["update"] == 5000
    assert time.process_time() - before < 1.0
