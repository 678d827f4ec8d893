"""`--ray`: simulated conversations are spoken by workers of Ray's instead of by this process; `--learners`: several
processes learn from them together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from dialog_rl.cli import opening
from dialog_rl.cli.output import note
from dialog_rl.config import Settings
from dialog_rl.errors import ConfigError

Command = TypeVar("Command", bound=Callable[..., Any])


def options(command: Command) -> Command:
    """`--ray` and `--ray-address`, given to the command as `ray` and `ray_address`."""
    command = click.option(
        "--ray-address", default="", metavar="HOST:PORT", help="The cluster of --ray. Default: one on this machine."
    )(command)
    return click.option("--ray", type=click.IntRange(min=1), help="Let so many workers of Ray's speak.")(command)


@contextmanager
def speaking(settings: Settings, count: int | None, address: str) -> Iterator[dict[str, Any]]:
    """`speak`, where workers are wanted; nothing where this process is to speak itself."""
    if count is None:
        if address:
            raise ConfigError("--ray-address says where; --ray N says how many workers")
        yield {}
        return
    opening.prepare_torch(settings)
    from dialog_rl.scale.cluster import cluster

    note(f"waiting for {count} workers …")
    with cluster(address, cpus=count):
        from dialog_rl.scale.fleet import Fleet

        with Fleet(count, threads=settings.agent.threads or 1) as fleet:
            yield {"speak": fleet.rollouts}
            if fleet.died:
                note(f"{fleet.died} workers died; what they had in hand was spoken again")


@contextmanager
def learning(settings: Settings, count: int | None) -> Iterator[dict[str, Any]]:
    """`learn`, where several processes are wanted; nothing where this one is to learn alone."""
    if count is None or count == 1:
        yield {}
        return
    opening.prepare_torch(settings)
    from dialog_rl.scale.learning import Learners

    note(f"waiting for {count} learners …")
    with Learners(count, threads=settings.agent.threads or 1) as learners:
        yield {"learn": learners}
