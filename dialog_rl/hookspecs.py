"""Everything a plugin may hook into. Hooks register named factories; the runtime calls the objects the factories make.

A plugin is a module (or a loose file) with one or more of these functions, each marked `@hookimpl`:

    from dialog_rl import hookimpl

    @hookimpl
    def register_rewards(register):
        register("politeness", Politeness, description="thanks and please")

An implementation may leave out arguments it does not use. `register(name, factory)` takes a callable or a string
"package.module:Class", which is imported when first used and so keeps a heavy library out of start-up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import pluggy

if TYPE_CHECKING:
    from dialog_rl.episode import Episode, Rating
    from dialog_rl.scoring import Score

PROJECT = "dialog_rl"
"""The name of the entry-point group, and of the marker that hook implementations carry."""
API_VERSION = 1
"""A plugin may say `dialog_rl_api = 1`: one made for another version is refused by name, not by a crash later."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Register(Protocol):
    """What a `register_…` hook is given: it puts one factory under a name that no other plugin has taken."""

    def __call__(
        self,
        name: str,
        factory: Callable[..., Any] | str,
        *,
        needs: tuple[str, ...] = (),
        bounds: tuple[float, float] | None = None,
        description: str = "",
    ) -> None:
        """Register `factory`, called as `factory(**options)` once for each configured instance.

        `needs` names what the program must hand the factory beside its options, e.g. `("reference",)`: where a
        command has no such thing, the factory goes without if that parameter has a default, else is refused.
        `bounds` are the least and the largest value a reward may give (default -100 and 100).
        """
        ...


@hookspec
def register_rewards(register: Register) -> None:
    """Rewards: `factory(**options)` makes an object with `score(episodes) -> list[Score]`."""


@hookspec
def register_user_simulators(register: Register) -> None:
    """Simulated customers: `factory(**options)` makes an object with `start(scenario, seed) -> User`."""


@hookspec
def register_policies(register: Register) -> None:
    """Policies: `factory(folder, **options)` opens the weights in a folder, for programs that embed this one."""


@hookspec
def register_tools(register: Register) -> None:
    """Tools that need code, for programs that embed this one: an object with `call(arguments, records) -> str`."""


@hookspec
def register_scenario_packs(register: Register) -> None:
    """Packs: `factory()` gives the folder of a pack, or an importlib traversable."""


@hookspec
def register_scenario_sources(register: Register) -> None:
    """Other people's scenarios: `factory()` makes a `dialog_rl.sources.Importer`. Runs inside the program."""


@hookspec
def register_metrics(register: Register) -> None:
    """Metrics of `evaluate`: `factory(**options)` makes an object with `measure(episodes) -> dict[str, float]`."""


@hookspec
def register_trackers(register: Register) -> None:
    """Trackers: `factory(**options)` makes an object with `log(step, figures)` and `close()`."""


@hookspec
def register_algorithms(register: Register) -> None:
    """Update rules: `factory(**options)` makes what the learner calls for advantages and loss. Runs inside."""


@hookspec
def register_exporters(register: Register) -> None:
    """Export formats: `factory(**options)` makes an object with `export(episodes, path)`."""


@hookspec
def register_commands(cli: Any) -> None:
    """Commands: add click commands to `cli`, the program's click.Group. Runs inside the program."""


@hookspec(firstresult=True)
def combine_rewards(scores: Mapping[str, Score], weights: Mapping[str, float], episode: Episode) -> float | None:
    """One number from an episode's scores, in place of the weighted sum. None leaves it to the next plugin."""


@hookspec
def on_run_start(run: Mapping[str, Any]) -> None:
    """A run begins. `run` holds plain facts: its `id` and its `folder`."""


@hookspec
def on_episode_end(run: Mapping[str, Any], episode: Episode) -> None:
    """An episode has been written to the log."""


@hookspec
def on_rating(run: Mapping[str, Any], rating: Rating) -> None:
    """A person's rating has been written to the log."""


@hookspec
def on_update_end(run: Mapping[str, Any], stats: Mapping[str, Any]) -> None:
    """The learner has made an update; `stats` are the figures of its record."""


@hookspec
def on_version_promoted(run: Mapping[str, Any], version: str) -> None:
    """A version of the policy has become champion."""


@hookspec
def on_run_end(run: Mapping[str, Any], error: str) -> None:
    """A run is over; `error` is empty if it ended well."""


KINDS: Mapping[str, str] = {
    "register_rewards": "rewards",
    "register_user_simulators": "user_simulators",
    "register_policies": "policies",
    "register_tools": "tools",
    "register_scenario_packs": "scenario_packs",
    "register_scenario_sources": "scenario_sources",
    "register_metrics": "metrics",
    "register_trackers": "trackers",
    "register_algorithms": "algorithms",
    "register_exporters": "exporters",
}
"""Which shelf of the registry each registering hook fills."""
OBSERVERS = ("on_run_start", "on_episode_end", "on_rating", "on_update_end", "on_version_promoted", "on_run_end")
"""Hooks that watch: their errors are logged and never fatal, their results ignored."""
HOOKS = (*KINDS, "register_commands", "combine_rewards", *OBSERVERS)
