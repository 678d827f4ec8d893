"""A cluster of Ray's for the time of one command: one of this machine's own, or one that is there already."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from dialog_rl.errors import ConfigError
from dialog_rl.text import one_line

LOOPBACK = "127.0.0.1"


@contextmanager
def cluster(address: str = "", *, cpus: int = 1) -> Iterator[None]:
    """Be connected to the cluster at an address; without one, to a new one of this machine with so many `cpus`.

    A new one asks for a token that nobody is told, has no dashboard, reports to nobody and ends with this process. Ray
    reads the token when it is imported, so a new one must come first. Raises ConfigError if it cannot be had.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")  # 30 are too few beside a training
    if not address:
        _ask_for_a_token()
    from dialog_rl.scale.extra import ray

    own = {} if address else {
        "num_cpus": cpus, "_node_ip_address": LOOPBACK, "include_dashboard": False,
        "_system_config": {"worker_niceness": 0},  # 15 is Ray's own: beside anything else nothing would be spoken
    }  # fmt: skip
    try:
        ray.init(address=address or "local", log_to_driver=False, configure_logging=False, **own)
    except Exception as e:  # marked border: Ray raises anything, a bare Exception where a machine is too busy
        where = f"the cluster at {one_line(address, 80)}" if address else "a cluster on this machine"
        raise ConfigError(f"{where} cannot be had: {one_line(str(e), 200)}") from None
    try:
        yield
    finally:
        ray.shutdown()


def _ask_for_a_token() -> None:
    """Whoever reaches a cluster can run code in it, and a new one listens at every address that the machine has."""
    if os.environ.get("RAY_AUTH_MODE") == "token" and os.environ.get("RAY_AUTH_TOKEN"):
        return
    if "ray" in sys.modules:
        raise ConfigError("Ray was imported before, so a new cluster could not be closed to others: set RAY_AUTH_MODE "
                          "to token and RAY_AUTH_TOKEN to a secret")  # fmt: skip
    os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)
