"""What a command lends to the simulators and rewards that say they need something."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from dialog_rl.cli import opening
from dialog_rl.config import Settings
from dialog_rl.errors import CheckpointError, ConfigError
from dialog_rl.text import one_line

if TYPE_CHECKING:
    from dialog_rl.episode import Episode
    from dialog_rl.lm.model import SpeakingModel


class Reference:
    """How likely the reference model finds what was said: for rewards that need "reference". Opened when first asked.

    `opened` gives the model, which is not to be changed, and in which precision is left to whoever opens it.
    """

    def __init__(self, opened: Callable[[], SpeakingModel]) -> None:
        self._open = opened
        self._likelihoods: Any = None

    def __call__(self, episodes: Sequence[Episode]) -> list[list[float | None]]:
        if self._likelihoods is None:
            from dialog_rl.evaluation.likelihood import Likelihoods

            self._likelihoods = Likelihoods(self._open())
        return self._likelihoods(episodes)


def reference(settings: Settings) -> dict[str, Reference]:
    """The version that training starts from, as what rewards call "reference"; nothing where it is not there."""
    try:
        folder = opening.version_folder(settings, settings.train.version)
    except CheckpointError:
        return {}

    def opened() -> SpeakingModel:
        model = opening.open_model(settings, str(folder.resolve()))
        model.policy.autocast = True  # twice as fast, and a measure needs no more digits
        return model

    return {"reference": Reference(opened)}


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
