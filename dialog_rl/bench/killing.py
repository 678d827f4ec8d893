"""Jobs in processes of their own that are killed for real, at a labelled point or after a while."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable

from dialog_rl.errors import DialogRLError

Job = Callable[[], object]


class JobFailed(DialogRLError):
    """A job that was to be killed failed by itself."""


def start(job: Job) -> int:
    """Run a job in a forked child that never returns; its process id."""
    child = os.fork()
    if child:
        return child
    try:
        job()
        os._exit(0)
    except BaseException:  # the child's border: whatever happens in it must not run on in the parent's code
        traceback.print_exc(file=sys.stderr)
        os._exit(1)


def was_killed(child: int) -> bool:
    """Wait for a child: True if it was killed, False if it ended well. Raises JobFailed if it failed by itself."""
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True
    if status != 0:
        raise JobFailed(f"the job ended with {os.waitstatus_to_exitcode(status)}")
    return False


def kill_after(job: Job, seconds: float) -> bool:
    """Run a job and kill it after a while; whether it was killed before its end."""
    child, deadline = start(job), time.monotonic() + seconds
    while not _has_ended(child) and (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, 0.005))
    os.kill(child, signal.SIGKILL)  # nobody has waited for it yet, so its number is still its own
    return was_killed(child)


def _has_ended(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def upper_bound(tries: int) -> float:
    """95 % upper bound of a rate that was seen 0 times in so many tries: the rule of three."""
    return 3 / max(1, tries)
