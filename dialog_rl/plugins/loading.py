"""Loading plugins one by one, so that a broken one is named and the rest works.

Nothing here is global: `load_plugins` builds a `Plugins` object, and whoever needs plugins is handed it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from dialog_rl import hookspecs
from dialog_rl.errors import PluginError
from dialog_rl.hookspecs import API_VERSION, HOOKS, KINDS, OBSERVERS, PROJECT
from dialog_rl.plugins.registry import Registration, Registry, register_into, suggest

if TYPE_CHECKING:
    from dialog_rl.episode import Episode
    from dialog_rl.scoring import Score

logger = logging.getLogger(__name__)

LOAD_VARIABLE = "DIALOG_RL_LOAD_PLUGINS"
"""Environment: the only third-party entry points to load, separated by commas; empty loads none of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A plugin that could not be loaded, or a part of one that does not work, and why."""

    plugin: str
    source: str
    message: str

    def __str__(self) -> str:
        return f"plugin {self.plugin!r} ({self.source}): {self.message}"


class Plugins:
    """The plugins of one run: their registry, their observers and what was wrong with the others."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self.registry = Registry()
        self.problems: list[Problem] = []
        self.sources: dict[str, str] = {}
        """Where each loaded plugin came from, by name."""

    def add(self, name: str, plugin: object, source: str = "given") -> None:
        """Load one plugin, all of it or nothing. Raises PluginError with what is wrong and what would be right."""
        if name in self.sources:
            raise PluginError(f"two plugins are named {name!r}: {self.sources[name]} and {source}; disable one")
        check_plugin(plugin)
        try:
            self.manager.register(plugin, name)
        except (pluggy.PluginValidationError, ValueError) as e:
            raise PluginError(" ".join(str(e).split())) from e
        try:
            self._check_hooks(plugin)
            for registration in self._registrations(name, plugin):
                self.registry.add(registration)
        except BaseException:
            self.registry.remove(name)
            self.manager.unregister(plugin)
            raise
        self.sources[name] = source

    def _check_hooks(self, plugin: object) -> None:
        callers = self.manager.get_hookcallers(plugin) or []
        for caller in callers:
            if not caller.has_spec():
                raise PluginError(f"{caller.name!r} is not a hook{suggest(caller.name, HOOKS)}")
        for hook in HOOKS:
            if callable(getattr(plugin, hook, None)) and hook not in {caller.name for caller in callers}:
                raise PluginError(f"{hook!r} is not marked @hookimpl (from dialog_rl import hookimpl)")
        if not callers:
            raise PluginError(f"it implements no hook; it needs one of {', '.join(HOOKS)}, marked @hookimpl")

    def _registrations(self, name: str, plugin: object) -> list[Registration]:
        found: list[Registration] = []
        for hook, kind in KINDS.items():
            for call in self._implementations(hook, plugin):
                try:
                    call(register=register_into(found, kind, name))
                except PluginError:
                    raise
                except (Exception, SystemExit) as e:  # marked border: a stranger's hook may raise anything
                    raise PluginError(f"{hook} raised {type(e).__name__}: {e}") from e
        return found

    def _implementations(self, hook: str, plugin: object | None = None) -> list[Any]:
        """The callables behind a hook, each to be called with keyword arguments; of one plugin, or of all."""

        def bound(impl: pluggy.HookImpl) -> Any:
            return lambda **facts: impl.function(*(facts[argument] for argument in impl.argnames))

        impls = getattr(self.manager.hook, hook).get_hookimpls()
        return [bound(impl) for impl in impls if plugin is None or impl.plugin is plugin]

    def notify(self, hook: str, **facts: Any) -> None:
        """Tell every observer. An observer that fails is logged; it can stop neither the run nor the others."""
        if hook not in OBSERVERS:
            raise ValueError(f"{hook!r} is not an observer; these are: {', '.join(OBSERVERS)}")
        for observe in self._implementations(hook):
            try:
                observe(**facts)
            except (Exception, SystemExit) as e:  # marked border: a plugin may raise anything
                logger.warning("a plugin's %s failed: %s: %s", hook, type(e).__name__, e)

    def combine(self, scores: Mapping[str, Score], weights: Mapping[str, float], episode: Episode) -> float | None:
        """What the first plugin with an opinion makes of the scores; None leaves it to the weighted sum."""
        return self.manager.hook.combine_rewards(scores=scores, weights=weights, episode=episode)

    def add_commands(self, cli: Any) -> None:
        """Let plugins add their commands. One that fails is recorded and leaves the others their commands."""
        for call, impl in zip(
            self._implementations("register_commands"),
            self.manager.hook.register_commands.get_hookimpls(),
            strict=True,
        ):
            try:
                call(cli=cli)
            except (Exception, SystemExit) as e:  # marked border: a plugin may raise anything
                self.problems.append(
                    Problem(
                        plugin=impl.plugin_name,
                        source=self.sources.get(impl.plugin_name, ""),
                        message=f"register_commands raised {type(e).__name__}: {e}",
                    )
                )


def check_plugin(plugin: object) -> None:
    """Raises PluginError if the plugin says it is for another version of the hooks."""
    version = getattr(plugin, "dialog_rl_api", API_VERSION)
    if version != API_VERSION:
        raise PluginError(f"it is made for dialog_rl_api = {version!r}; this program has {API_VERSION}")


def load_plugins(
    *,
    files: Sequence[str | Path] = (),
    disabled: Collection[str] = (),
    environ: Mapping[str, str] = os.environ,
    found: Iterable[EntryPoint] | None = None,
) -> Plugins:
    """Built-ins and entry points by name, then the loose files.

    A broken entry point becomes a `Problem`; a broken file, which somebody has just asked for, raises PluginError.
    `found` stands in for the installed entry points of group "dialog_rl".
    """
    plugins = Plugins()
    for entry in wanted_entry_points(disabled=disabled, environ=environ, found=found):
        source = describe(entry)
        try:
            plugins.add(entry.name, _import(entry), source)
        except PluginError as e:
            plugins.problems.append(Problem(plugin=entry.name, source=source, message=str(e)))
    for file in files:
        path = Path(file)
        if path.stem not in disabled:
            try:
                plugins.add(path.stem, import_file(path), str(path))
            except PluginError as e:
                raise PluginError(f"{path}: {e}") from e
    return plugins


def wanted_entry_points(
    *, disabled: Collection[str], environ: Mapping[str, str], found: Iterable[EntryPoint] | None = None
) -> list[EntryPoint]:
    """The entry points to load, our own first, then by name. Two of one name both stay: the second is refused aloud."""
    allowed = environ.get(LOAD_VARIABLE)
    allow = None if allowed is None else {name.strip() for name in allowed.split(",") if name.strip()}
    every = entry_points(group=PROJECT) if found is None else found
    wanted = [e for e in every if e.name not in disabled and (allow is None or e.name in allow or is_built_in(e))]
    return sorted(_once(wanted), key=lambda e: (not is_built_in(e), e.name, e.value))


def _once(entries: Iterable[EntryPoint]) -> list[EntryPoint]:
    """Without the copies that an editable install and a wheel on one path give of the same entry."""
    return list({(e.name, e.value): e for e in entries}.values())


def is_built_in(entry: EntryPoint) -> bool:
    return entry.dist is not None and entry.dist.name.replace("-", "_").lower() == PROJECT


def describe(entry: EntryPoint) -> str:
    where = f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "entry point"
    return f"{where}: {entry.value}"


def _import(entry: EntryPoint) -> object:
    try:
        return entry.load()
    except (Exception, SystemExit) as e:  # marked border: a stranger's module may raise anything
        raise PluginError(f"cannot be imported: {type(e).__name__}: {e}") from e


def import_file(path: Path) -> object:
    """A loose file as a module of its own, which no other file of the same name can shadow."""
    if not path.is_file():
        raise PluginError("there is no such file")
    name = f"dialog_rl_plugin_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError("is not a Python file; a loose plugin ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their own module up by name
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as e:  # marked border: a plugin may raise anything
        del sys.modules[name]
        raise PluginError(f"cannot be imported: {type(e).__name__}: {e}") from e
    return module
