"""Curves: runs side by side in one picture; a folder without a record is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dialog_rl.cli.main import main
from dialog_rl.online import training_record

pytest.importorskip("matplotlib", reason="plots need the extra dialog_rl[plots]")


def run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for update in range(1, 4):
        training_record.append(
            folder, {"update": update, "dialogues": 8 * update, "success": 0.2 * update, "violations": 0.1}
        )
    return folder


def test_runs_by_name_and_by_folder_come_into_one_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run(tmp_path / "runs" / "first")
    second = run(tmp_path / "elsewhere" / "second")
    assert main(["curves", "first", str(second), "--out", "both.png", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["run"] for one in told["runs"]] == ["first", "second"]
    assert (tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_without_a_record_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["curves", str(tmp_path)]) == 2
    assert "no update is recorded there" in capsys.readouterr().err
