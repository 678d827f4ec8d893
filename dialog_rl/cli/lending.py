"""What a command lends to the simulators and rewards that say they need something."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dialog_rl.cli import opening
from dialog_rl.cli.learned import reward_models
from dialog_rl.cli.options import key_values
from dialog_rl.config import Settings
from dialog_rl.errors import CheckpointError, ConfigError
from dialog_rl.plugins.loading import Plugins
from dialog_rl.staging import Stage
from dialog_rl.text import one_line

if TYPE_CHECKING:
    from dialog_rl.episode import Episode
    from dialog_rl.evaluation.summaries import Result
    from dialog_rl.lm.model import SpeakingModel

F = TypeVar("F", bound=Callable[..., Any])


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


def reference(settings: Settings) -> dict[str, Any]:
    """The version that training starts from, as what rewards call "reference"; nothing where it is not there.

    With it come the reward models that people's judgements were made into.
    """
    lent: dict[str, Any] = {"reward_model": reward_models(settings)}
    try:
        folder = opening.version_folder(settings, settings.train.version)
    except CheckpointError:
        return lent

    def opened() -> SpeakingModel:
        from dialog_rl.lm.precision import bf16_pays

        model = opening.open_model(settings, str(folder.resolve()))
        model.policy.autocast = bf16_pays(model.policy.device)  # a measure needs no more digits
        return model

    return {**lent, "reference": Reference(opened)}


class Speaker:
    """The voice of customers whom a model plays: for simulators that need "speak". Opened when first asked."""

    def __init__(self, settings: Settings, version: str) -> None:
        self._settings, self._version = settings, version
        self._speak: Any = None

    def __call__(self, chat: Sequence[Mapping[str, str]], seed: int) -> str:
        if self._speak is None:
            from dialog_rl.evaluation.speaking import speak_with

            self._speak = speak_with(opening.open_model(self._settings, self._version))
        return self._speak(chat, seed)


def simulator_flags(command: F) -> F:
    """--simulator-option and --speaker: give them to `Cast`."""
    command = click.option(
        "--speaker",
        "voice",
        metavar="VERSION",
        help="Who speaks for customers that a model plays (the simulator 'lm').",
    )(command)
    return click.option(
        "--simulator-option", "simulator_options", multiple=True, metavar="NAME.KEY=VALUE",
        help="An option of a simulator; VALUE is JSON.",
    )(command)  # fmt: skip


class Cast:
    """Who plays the customers of a command: one simulator after the other, with what it needs.

    Customers can be replayed that were met before, in the conversations that this object was told to remember.
    """

    def __init__(
        self, settings: Settings, plugins: Plugins, simulators: str, options: Sequence[str], voice: str | None
    ) -> None:
        self._plugins = plugins
        self.names = simulators_named(simulators)
        self._options = simulator_options(key_values(options, "--simulator-option").items(), self.names)
        self._lent: dict[str, Any] = {"speak": Speaker(settings, voice)} if voice else {}
        self._met: list[Episode] = []

    def stages(self, packs: Sequence[str]) -> Iterator[tuple[str, tuple[Stage, ...]]]:
        """Simulator after simulator, with a stage for each pack."""
        for name in self.names:
            if "speak" in self._plugins.registry.user_simulators[name].needs and "speak" not in self._lent:
                raise ConfigError(f"customers of the simulator {name!r} are played by a model: name it with --speaker")
            lent = {**self._lent, "episodes": to_replay(self._met)} if self._met else self._lent
            yield name, opening.open_stages(self._plugins, packs, name, self._options[name], lent=lent)

    def only_stages(self, packs: Sequence[str]) -> tuple[Stage, ...]:
        """The stages of a command that has one simulator at a time."""
        if len(self.names) > 1:
            raise ConfigError(f"one simulator at a time, not {', '.join(self.names)}; a 'mixture' is made of several")
        ((_, stages),) = self.stages(packs)
        return stages

    def remember(self, result: Result) -> None:
        self._met += result.usable()


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
    from dialog_rl.evaluation.summaries import reached

    return sorted(met, key=reached)
