"""Checkpoints that somebody brings, by command; and runs that cannot begin."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dialog_rl.lm.hub_renderer import HubRenderer
from tests.lm.families import FAMILIES, save_checkpoint

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


@pytest.mark.parametrize("name", FAMILIES)
def test_a_checkpoint_of_each_family_speaks_learns_goes_on_and_takes_over(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch, interrupt: Any, name: str
) -> None:
    monkeypatch.setattr(HubRenderer, "longest_action", 16)  # random weights babble on for as long as they may
    theirs = f"./{save_checkpoint(name, home / 'theirs', positions=4096).name}"
    assert run("scenarios", "new", "workshop").code == 0
    assert run("simulate", "--version", theirs, "--pack", "./workshop", "--count", "2").code == 0
    with interrupt():
        stopped = run("train", "--model", theirs, "--pack", "./workshop", *SMALL, "--run", "small")
    assert stopped.code == 130, stopped.err
    version = json.loads(run("train", "--resume", "small", "--json").out.splitlines()[-1])["version"]
    assert run("versions", "promote", version, "--reason", "test").code == 0
    assert chat(run, monkeypatch, "--pack", "./workshop").code == 0
    assert version in run("episodes", "export", "runs/chat/episodes.db").out


def test_a_run_that_cannot_begin_leaves_no_folder(run: Run, with_base: Path) -> None:
    outcome = run("train", "--run", "small", "--dialogues", "12", "--algorithm", "grpo", "--batch", "6")
    assert "batch must be a multiple of 4" in outcome.error() and not (with_base / "runs" / "small").exists()
