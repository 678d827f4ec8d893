"""Crash points act where and when they were told to, and nowhere else."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from dialog_rl import faults


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    faults.disarm()
    yield
    faults.disarm()


def test_only_the_chosen_passage_of_the_chosen_label_acts():
    faults.arm("here:2:raise")
    faults.fp("here")
    faults.fp("there")
    with pytest.raises(faults.InjectedFault, match="here"):
        faults.fp("here")
    faults.fp("here")
    assert faults.passed() == {"here": 3, "there": 1}


def test_a_star_acts_on_every_passage():
    faults.arm("a:*:enospc, b:1:eio")
    for _ in range(2):
        with pytest.raises(OSError) as caught:
            faults.fp("a")
        assert caught.value.errno == errno.ENOSPC
    with pytest.raises(OSError) as caught:
        faults.fp("b")
    assert caught.value.errno == errno.EIO


def test_a_delay_delays():
    faults.arm("slow:1:delay=0.05")
    before = time.monotonic()
    faults.fp("slow")
    assert time.monotonic() - before >= 0.05


def test_the_environment_arms_a_process_and_kill_is_a_real_kill():
    code = "from dialog_rl.faults import fp\nfp('x')\nprint('once', flush=True)\nfp('x')\nprint('twice', flush=True)"
    environment = {**os.environ, "FAULT": "x:2:kill"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == -9 and done.stdout == "once\n"


@pytest.mark.parametrize("wrong", ["x", "x:0:kill", "x:a:kill", "x:1:explode", "x:1:delay=soon", ":1:kill", "x:1:1"])
def test_a_fault_that_cannot_be_read_is_an_error_and_not_silence(wrong: str):
    with pytest.raises(ValueError, match="FAULT"):
        faults.arm(wrong)
