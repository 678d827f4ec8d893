"""Kill a job for real, in a process of its own: at a labelled point, or after a while."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from dialog_rl import faults

Job = Callable[[], object]


def campaign_size(small: int, full: int) -> int:
    """How many kills: few in every run, the number to be claimed where DIALOG_RL_FULL is set."""
    return full if os.environ.get("DIALOG_RL_FULL") else small


def start(job: Job) -> int:
    """Run a job in a forked child that never returns; its process id."""
    child = os.fork()
    if child:
        return child
    try:
        job()
        os._exit(0)
    except BaseException:
        traceback.print_exc(file=sys.stderr)
        os._exit(1)


def was_killed(child: int) -> bool:
    """Wait for a child: True if it was killed, False if it ended by itself. An exception in it fails the test."""
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def end_by(child: int, number: signal.Signals) -> tuple[int, float]:
    """Send a signal and wait for the end: the exit code, and the processor seconds that were spent on ending.

    Not by the clock, which on a busy machine counts what others do.
    """
    before = _processor_seconds(child)
    os.kill(child, number)
    _, status, usage = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime - before


def _processor_seconds(pid: int) -> float:
    """Spent so far, by a process and its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def every_crash_point(job: Callable[[], Job]) -> Iterator[str]:
    """Run a fresh job to its end to learn the points it passes, then one killed at each passage of each of them.

    `job()` prepares and returns what is to be killed. Yields after each kill, for the caller to look at what is left.
    """
    reader, writer = os.pipe()

    def learn(prepared: Job) -> None:
        faults.disarm()
        prepared()
        os.write(writer, json.dumps(faults.passed()).encode())

    prepared = job()
    assert not was_killed(start(lambda: learn(prepared)))
    passed: dict[str, int] = json.loads(os.read(reader, 65536))
    os.close(reader)
    os.close(writer)
    for label, times in passed.items():
        for passage in sorted({1, 2, times} & set(range(1, times + 1))):
            prepared = job()
            spec = f"{label}:{passage}:kill"

            def killed(prepared: Job = prepared, spec: str = spec) -> None:
                faults.arm(spec)
                prepared()

            assert was_killed(start(killed)), f"{spec} was not reached"
            yield spec
