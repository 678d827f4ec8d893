"""What a training run looks like from outside: whether it lives, its figures, what happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dialog_rl.online import seen, training_record
from dialog_rl.online.seen import Alive
from dialog_rl.online.seen_training import TrainingWatch, charts, is_training
from dialog_rl.text import unsafe
from tests.online.runs import record, run


def aged(folder: Path, seconds: float) -> Path:
    """As if nothing had been written there for so long."""
    then = time.time() - seconds
    for path in folder.iterdir():
        os.utime(path, (then, then))
    return folder


def texts(watch: TrainingWatch) -> list[str]:
    return [note.text for notes in watch.look().notes for note in notes.notes]


def test_a_run_that_holds_its_lock_is_running(tmp_path: Path) -> None:
    folder = aged(run(tmp_path / "r", 3), 10_000)
    with training_record.held(folder):
        found = TrainingWatch(folder).look()
    assert (found.alive, found.update, found.of) == (Alive.RUNNING, 3, 10)


def test_a_run_whose_process_is_gone_says_when_it_last_lived_and_how_to_go_on(tmp_path: Path) -> None:
    folder = run(tmp_path / "r", 3)
    with training_record.held(folder):
        pass
    found = TrainingWatch(aged(folder, 90)).look()
    assert found.alive is Alive.GONE and found.alive.over
    assert "last sign of life 1 min 30 s ago" in found.told and "dialog-rl train --resume r" in found.told


def test_a_run_without_a_lock_is_judged_by_when_it_last_wrote(tmp_path: Path) -> None:
    folder = run(tmp_path / "r", 3)
    assert TrainingWatch(folder).look().alive is Alive.RUNNING
    found = TrainingWatch(aged(folder, 1000)).look()
    assert found.alive is Alive.SILENT and "16 min 40 s ago" in found.told and not found.alive.over


@pytest.mark.parametrize("updates", [3, 10])
def test_a_run_has_ended_when_all_is_made_or_its_report_is_written(tmp_path: Path, updates: int) -> None:
    folder = run(tmp_path / "r", updates)
    if updates < 10:
        (folder / "report.md").write_text("ended early, by patience")
    assert TrainingWatch(folder).look().alive is Alive.ENDED


def test_a_run_without_updates_waits_and_says_so(tmp_path: Path) -> None:
    watch = TrainingWatch(run(tmp_path / "r", 0))
    assert watch.look().alive is Alive.WAITING and watch.look().progress == "no update yet"
    assert texts(watch) == ["no update yet: the first appears here as soon as it is made"]
    assert all(chart.empty for chart in watch.look().charts)


def test_the_charts_hold_the_figures_and_their_running_mean(tmp_path: Path) -> None:
    made = {chart.key: chart for chart in charts([record(n) for n in (1, 2, 3)])}
    assert {"success", "reward", "kl", "entropy", "speed", "rules", "turns", "learner"} == {*made}
    success = made["success"].lines[0]
    assert success.values == [0.1, 0.2, pytest.approx(0.3)] and made["success"].at == [8, 16, 24]
    assert 0.1 < (success.last or 0) < 0.3
    assert [line.name for line in made["reward"].lines] == ["reward", "task_success", "礼貌"]
    assert made["speed"].lines[0].values == [2.0, 2.0, 2.0]
    assert [line.name for line in made["kl"].lines] == ["from start", "an update"]


def test_validation_is_marked_beside_success_and_the_best_is_told(tmp_path: Path) -> None:
    folder = run(tmp_path / "r", 1, validation=0.5)
    training_record.append(folder, record(2))
    training_record.append(folder, record(3, validation=0.75))
    watch = TrainingWatch(folder)
    (_, validation) = watch.look().charts[0].lines
    assert validation.values == [0.5, None, 0.75] and validation.last == 0.75
    assert texts(watch) == ["update 3: 75 % on validation, the best so far", "update 1: 50 % on validation"]


def test_what_went_wrong_in_an_update_is_told(tmp_path: Path) -> None:
    folder = run(tmp_path / "r", 1, stats={"end": "discarded", "steps_skipped": 2, "dropped_broken": 1})
    (notes,) = TrainingWatch(folder).look().notes
    assert all(note.bad for note in notes.notes) and len(notes.notes) == 3
    assert "the policy had moved too far" in notes.notes[0].text


def test_figures_that_are_none_leave_no_trace(tmp_path: Path) -> None:
    strange = [True, "7", None, float("nan"), float("inf"), [1], 10**400]
    folder = run(tmp_path / "r", 0)
    for n, value in enumerate(strange, 1):
        training_record.append(folder, {"update": n, "dialogues": n, "success": value, "components": value})
    found = TrainingWatch(folder).look()
    assert found.update == len(strange) and found.charts[0].empty
    json.dumps(found.document(), allow_nan=False)


def test_text_of_the_file_steers_nothing(tmp_path: Path) -> None:
    folder = run(tmp_path / "r", 1, components={"\x1b[2Jevil\u202e": 1.0}, stats={"end": "\x1b]0;x\x07"})
    watch = TrainingWatch(folder)
    told = [*texts(watch), *(update.told for update in watch.news())]
    told += [line.name for chart in watch.look().charts for line in chart.lines]
    assert len(told) > 3 and not any(unsafe(text) for text in told)


def test_news_come_once_a_line_an_update(tmp_path: Path) -> None:
    folder = run(tmp_path / "r", 2)
    watch = TrainingWatch(folder)
    watch.look()
    lines = [update.told for update in watch.news()]
    assert [line.split("  ")[:2] for line in lines] == [
        ["update 1/10", "success 10 %"],
        ["update 2/10", "success 20 %"],
    ]
    assert list(watch.news()) == []


def test_looking_again_changes_nothing_that_has_not_changed(tmp_path: Path) -> None:
    watch = TrainingWatch(run(tmp_path / "r", 2))
    assert watch.look().charts is watch.look().charts


def test_looking_writes_nothing(tmp_path: Path) -> None:
    folder = run(tmp_path / "r", 2)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}
    TrainingWatch(folder).look()
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()} == before


def test_five_thousand_updates_are_seen_within_a_second_of_processor_time(tmp_path: Path) -> None:
    folder = run(tmp_path / "r", 0, of=5000)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record(n)) + "\n" for n in range(1, 5001)))
    before = time.process_time()
    found = TrainingWatch(folder).look()
    assert found.update == 5000 and time.process_time() - before < 1.0


def test_seeing_a_run_needs_no_torch() -> None:
    code = "import sys, dialog_rl.online.seen_training, dialog_rl.online.seen_learning; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_a_folder_is_a_run_by_what_is_in_it(tmp_path: Path) -> None:
    assert is_training(run(tmp_path / "r", 0)) and not is_training(tmp_path)


@pytest.mark.parametrize(
    ("value", "percent", "text"),
    [(None, False, "–"), (0.834, True, "83 %"), (0.7524, False, "0.752"), (0.01751, False, "0.018"), (0.0, False, "0"),
     (-0.0039, False, "-0.0039"), (3e-5, False, "3e-05"), (42.13, False, "42.1"), (128.0, False, "128")],
)  # fmt: skip
def test_a_figure_takes_few_characters(value: float | None, percent: bool, text: str) -> None:
    assert seen.figure(value, percent=percent) == text
