from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from dialog_rl import errors
from dialog_rl.cli.main import COMMANDS, cli, main

Run = Callable[..., Any]

LIGHT = (["--help"], ["--version"], ["config", "show"], ["plugins", "list"], ["scenarios", "list"])


@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_light_commands_import_no_torch(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; from dialog_rl.cli.main import main; code = main(sys.argv[1:]); "
        "heavy = {'torch', 'transformers', 'matplotlib'} & set(sys.modules); sys.exit(str(heavy) if heavy else code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["plugins", "list"]], ids=" ".join)
def test_help_comes_at_once(arguments: list[str], tmp_path: Path) -> None:
    """In seconds of processor time: what one waits for on a machine with nothing else to do."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "dialog_rl", *arguments], capture_output=True, check=True, cwd=tmp_path)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(once() for _ in range(3)) < 0.5


def test_every_command_of_the_table_is_there_and_has_help(run: Run) -> None:
    for name in COMMANDS:
        outcome = run(name, "--help")
        assert outcome.code == 0 and "Usage: dialog-rl " + name in outcome.out


def test_help_names_every_command(run: Run) -> None:
    outcome = run("--help")
    assert outcome.code == 0 and all(f"  {name} " in outcome.out for name in COMMANDS)


def test_an_unknown_command_is_usage_with_a_hint(run: Run) -> None:
    outcome = run("evalute")
    assert outcome.code == 2 and "did you mean 'evaluate'?" in outcome.err


def test_an_unknown_option_is_usage(run: Run) -> None:
    outcome = run("train", "--dialoges", "3")
    assert outcome.code == 2 and "--dialogues" in outcome.err and "Try 'dialog-rl train --help'" in outcome.err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (errors.ConfigError("no such thing"), 2, "no such thing"),
        (errors.ScenarioError("a.yaml:3: wrong"), 2, "a.yaml:3: wrong"),
        (errors.PluginError("broken"), 3, "broken"),
        (errors.RewardError("broken"), 3, "broken"),
        (errors.GateNotMet("too few"), 4, "too few"),
        (errors.CheckpointError("altered"), 5, "altered"),
        (errors.ModelError("no"), 5, "no"),
        (errors.EpisodeLogError("locked"), 1, "locked"),
        (errors.TrainingError("diverged"), 1, "diverged"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.Abort(), 130, "interrupted"),
        (OSError(28, "No space left on device", "/runs/x"), 1, "/runs/x: No space left on device"),
        (MemoryError(), 5, "out of memory"),
        (RuntimeError("boom \x1b[2J"), 1, "a fault in dialog_rl: RuntimeError: boom \\x1b[2J"),
        (SystemExit(7), 7, ""),
    ],
)
def test_whatever_goes_wrong_is_one_line_and_an_exit_code(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, words: str
) -> None:
    @click.command()
    def failing() -> None:
        raise error

    monkeypatch.setitem(cli.commands, "failing", failing)
    outcome = run("failing")
    assert outcome.code == code and words in outcome.err and outcome.out == ""


def test_a_reader_that_leaves_is_no_fault(tmp_path: Path) -> None:
    command = f"{sys.executable} -m dialog_rl --help | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode in (0, 1) and done.stderr == ""


def test_text_that_the_terminal_lacks_is_shown_as_an_escape(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dialog_rl", "scenarios", "list"], capture_output=True, cwd=tmp_path, check=False,
        env={"PYTHONIOENCODING": "latin-1:strict", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0 and rb"\u6d77" in done.stdout


def test_main_returns_what_a_shell_is_to_see(run: Run) -> None:
    assert main(["--version"]) == 0
