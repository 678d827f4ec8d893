"""What plugins have registered: one shelf a kind, one factory a name, and who brought it."""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dialog_rl.errors import ConfigError, PluginError
from dialog_rl.hookspecs import KINDS
from dialog_rl.text import suggest

DEFAULT_BOUNDS = (-100.0, 100.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """One named factory."""

    kind: str
    """The shelf, e.g. "rewards"."""
    name: str
    factory: Callable[..., Any] | str
    plugin: str
    """Who registered it."""
    needs: tuple[str, ...] = ()
    bounds: tuple[float, float] = DEFAULT_BOUNDS
    description: str = ""

    def load(self) -> Callable[..., Any]:
        """The factory itself. Raises PluginError if its "package.module:Class" cannot be imported."""
        if not isinstance(self.factory, str):
            return self.factory
        module, _, attribute = self.factory.partition(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except Exception as e:  # marked border: a stranger's module may raise anything
            raise PluginError(
                f"{self.kind} {self.name!r} of plugin {self.plugin!r}: {self.factory} cannot be imported: "
                f"{type(e).__name__}: {e}"
            ) from e
        if not callable(found):
            raise PluginError(f"{self.kind} {self.name!r} of plugin {self.plugin!r}: {self.factory} is not callable")
        return found

    def make(self, options: Mapping[str, Any], resources: Mapping[str, Any] | None = None) -> Any:
        """One instance. `resources` is what the program can give to factories that say what they need."""
        factory = self.load()
        wanted = {need: (resources or {})[need] for need in self.needs if need in (resources or {})}
        accepted = parameters(factory)
        for need in self.needs:
            if need not in wanted and (accepted is None or accepted.get(need, False)):
                raise ConfigError(f"{self.kind} {self.name!r} needs {need!r}, which this command cannot give it")
        if accepted is not None:
            for option in options:
                if option not in accepted:
                    raise ConfigError(
                        f"{option!r} is not an option of {self.kind} {self.name!r}{suggest(option, accepted)}"
                    )
        try:
            return factory(**options, **wanted)
        except TypeError as e:
            raise ConfigError(f"{self.kind} {self.name!r} cannot be made from {dict(options)!r}: {e}") from e


def parameters(factory: Callable[..., Any]) -> dict[str, bool] | None:
    """The factory's keyword parameters and whether each is required; None if it takes any."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return {p.name: p.default is p.empty for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}


class Shelf(dict[str, Registration]):
    """The registrations of one kind by name; an unknown name says what would have been right."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def __missing__(self, name: str) -> Registration:
        raise ConfigError(f"no {self.kind.removesuffix('s').replace('_', ' ')} is named {name!r}{suggest(name, self)}")


@dataclass(slots=True)
class Registry:
    """Everything registered, by kind and name."""

    rewards: Shelf = field(default_factory=lambda: Shelf("rewards"))
    user_simulators: Shelf = field(default_factory=lambda: Shelf("user_simulators"))
    policies: Shelf = field(default_factory=lambda: Shelf("policies"))
    tools: Shelf = field(default_factory=lambda: Shelf("tools"))
    scenario_packs: Shelf = field(default_factory=lambda: Shelf("scenario_packs"))
    scenario_sources: Shelf = field(default_factory=lambda: Shelf("scenario_sources"))
    metrics: Shelf = field(default_factory=lambda: Shelf("metrics"))
    trackers: Shelf = field(default_factory=lambda: Shelf("trackers"))
    algorithms: Shelf = field(default_factory=lambda: Shelf("algorithms"))
    exporters: Shelf = field(default_factory=lambda: Shelf("exporters"))

    def shelves(self) -> tuple[Shelf, ...]:
        return tuple(getattr(self, kind) for kind in KINDS.values())

    def add(self, registration: Registration) -> None:
        """Raises PluginError if the name is taken: the message names both plugins."""
        shelf: Shelf = getattr(self, registration.kind)
        taken = shelf.get(registration.name)
        if taken is not None:
            raise PluginError(
                f"{registration.kind} {registration.name!r} is registered by both "
                f"{taken.plugin!r} and {registration.plugin!r}; disable one, or rename it"
            )
        shelf[registration.name] = registration

    def remove(self, plugin: str) -> None:
        for shelf in self.shelves():
            for name in [name for name, r in shelf.items() if r.plugin == plugin]:
                del shelf[name]

    def of(self, plugin: str) -> list[Registration]:
        return [r for shelf in self.shelves() for r in shelf.values() if r.plugin == plugin]


def register_into(found: list[Registration], kind: str, plugin: str) -> Callable[..., None]:
    """The `register` that a plugin's hook is given: checks each registration and collects it."""

    def register(
        name: str,
        factory: Callable[..., Any] | str,
        *,
        needs: tuple[str, ...] = (),
        bounds: tuple[float, float] | None = None,
        description: str = "",
    ) -> None:
        if not isinstance(name, str) or not name or not name.replace("-", "_").replace("/", "_").isidentifier():
            raise PluginError(f"{kind}: {name!r} is not a name; use letters, digits, '_', '-' and '/'")
        if isinstance(factory, str) and not all(factory.partition(":")):
            raise PluginError(f"{kind} {name!r}: {factory!r} is not of the form 'package.module:Class'")
        if not isinstance(factory, str) and not callable(factory):
            raise PluginError(f"{kind} {name!r}: a factory is a callable or a string, not {type(factory).__name__}")
        low, high = DEFAULT_BOUNDS if bounds is None else bounds
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise PluginError(f"{kind} {name!r}: bounds must be two finite numbers, the smaller first, not {bounds!r}")
        found.append(
            Registration(
                kind=kind,
                name=name,
                factory=factory,
                plugin=plugin,
                needs=tuple(needs),
                bounds=(float(low), float(high)),
                description=str(description),
            )
        )

    return register
