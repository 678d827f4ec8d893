"""Checkpoints that somebody brings, by command; and runs that cannot begin."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lm.families import save_checkpoint

Run = Callable[..., Any]

SMALL = ("--dialogues", "4", "--batch", "2", "--slots", "2")


def chat(run: Run, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"hello\n/quit\n")))
    return run("chat", "--plain", "--customer", "1", "--temperature", "1", *arguments)


def test_a_model_with_too_few_positions_is_told_so(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = f"./{save_checkpoint('qwen2', home / 'theirs', positions=128).name}"
    learning = run("train", "--model", theirs, *SMALL)
    assert learning.code == 1 and "the first message alone filled the context" in learning.error()
    assert "2 of 2 conversations outgrew the model" in run("simulate", "--version", theirs, "--count", "2").err
    assert "longer than the model can remember" in chat(run, monkeypatch, "--version", theirs).err


def test_a_run_that_cannot_begin_leaves_no_folder(run: Run, with_base: Path) -> None:
    outcome = run("train", "--run", "small", "--dialogues", "12", "--algorithm", "grpo", "--batch", "6")
    assert "batch must be a multiple of 4" in outcome.error() and not (with_base / "runs" / "small").exists()
