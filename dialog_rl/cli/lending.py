"""What a command lends to the simulators and rewards that say they need something."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from dialog_rl.errors import ConfigError
from dialog_rl.text import one_line

if TYPE_CHECKING:
    from dialog_rl.episode import Episode


def simulators_named(text: str) -> tuple[str, ...]:
    """`agenda,replayed` as names, each once."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise ConfigError(f"--simulators {text!r}: write one or more names, with commas between them")
    return names


def simulator_options(given: Iterable[tuple[str, Any]], simulators: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`replayed.file` → value, grouped by simulator. Raises ConfigError for one that is not used."""
    options: dict[str, dict[str, Any]] = {name: {} for name in simulators}
    for key, value in given:
        name, dot, option = key.partition(".")
        if not dot or not option:
            raise ConfigError(f"--simulator-option {one_line(key, 60)!r}: write SIMULATOR.OPTION=VALUE")
        if name not in options:
            used = ", ".join(simulators)
            raise ConfigError(f"--simulator-option {one_line(key, 60)!r}: {name!r} is not used here; used: {used}")
        options[name][option] = value
    return options


def to_replay(met: Iterable[Episode]) -> list[Episode]:
    """Episodes for customers who say again what they said: of one customer's, a success comes last and counts."""
    from dialog_rl.evaluation.suites import reached

    return sorted(met, key=reached)
