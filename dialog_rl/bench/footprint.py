"""Work in a process of its own, for what only a fresh process tells: seconds to begin, and the most memory."""

from __future__ import annotations

import gc
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from dialog_rl.bench.killing import JobFailed

_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in the kernel's figure."""


class Cost(NamedTuple):
    seconds: float
    bytes: int
    """The most memory beyond what the process began with."""


def cost_of(work: Callable[[], object]) -> Cost:
    """Of work done in a forked child: nothing that was allocated before helps it. Raises JobFailed if it fails."""
    gc.collect()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            before, began = _most(), time.perf_counter()
            work()
            told = [time.perf_counter() - began, _most() - before]
            os.write(writing, json.dumps(told).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    if status != 0:
        raise JobFailed(f"the work that was measured ended with {os.waitstatus_to_exitcode(status)}")
    seconds, most = json.loads(told)
    return Cost(seconds, int(most))


def _most() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT


def program(code: str, *arguments: str) -> tuple[float, float]:
    """Seconds of a Python program from nothing to its end, by the clock and of processors. Raises JobFailed."""
    before, began = os.times(), time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    took, after = time.perf_counter() - began, os.times()
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or [""]
        raise JobFailed(f"a program that was measured ended with {done.returncode}: {last[0][:200]}")
    children = sum(after[2:4]) - sum(before[2:4])
    return took, children
