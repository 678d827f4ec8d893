"""`train --ray` whose own process is killed: taken up again it ends as if nothing had been, and leaves no process."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

if importlib.util.find_spec("ray") is None:
    pytest.skip("needs Ray: pip install dialog_rl[ray]", allow_module_level=True)

from dialog_rl.episode_log.log import EpisodeLog

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
DIALOGUES, BATCH = 24, 6
SETTINGS = {"DIALOG_RL_TRAIN_CHECKPOINT_EVERY": "2", "DIALOG_RL_AGENT_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def started(folder: Path, *options: str) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "dialog_rl", "train", "--json", *options],
        cwd=folder, env={**os.environ, **SETTINGS}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip


def version(training: subprocess.Popen[str]) -> str:
    out, _ = training.communicate()
    assert training.returncode == 0
    return json.loads(out.splitlines()[-1])["version"]


def children(pid: int) -> set[int]:
    found = {int(name) for name in _read(f"/proc/{pid}/task/{pid}/children").split()}
    return found.union(*map(children, found))


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def alive(pid: int) -> bool:
    return bool(_read(f"/proc/{pid}/cmdline"))  # of a process that has ended and was not waited for it is empty


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_driver_is_taken_up_again_and_leaves_neither_workers_nor_a_trace(tmp_path: Path) -> None:
    new = ("--dialogues", str(DIALOGUES), "--batch", str(BATCH), "--run", "run")
    undisturbed = version(started(tmp_path / "alone", *new))
    with started(tmp_path / "killed", *new, "--ray", "1") as killed:
        assert killed.stdout is not None
        updates = [json.loads(killed.stdout.readline())["update"] for _ in range(3)]
        assert updates == [1, 2, 3]  # the last checkpoint is that of the second
        workers = children(killed.pid)
        killed.kill()

    assert version(started(tmp_path / "killed", "--resume", "run", "--ray", "1")) == undisturbed
    with EpisodeLog.open(tmp_path / "killed" / "runs" / "run" / "episodes.db") as log:
        ids = [logged.episode.episode_id for logged in log.episodes()]
    assert len(ids) == len(set(ids)) == DIALOGUES

    deadline = time.monotonic() + 60
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert workers and not any(map(alive, workers))
