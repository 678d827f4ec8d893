"""Loading plugins one by one, so that a broken one is named and the rest works.

Nothing here is global: `load_plugins` builds a `Plugins` object, and whoever needs plugins is handed it. Our own
plugins and those the user trusts run inside the program; every other runs confined in a process of its own.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from dialog_rl import hookspecs
from dialog_rl.episode import Episode, Rating
from dialog_rl.errors import PluginError
from dialog_rl.hookspecs import API_VERSION, HOOKS, KINDS, OBSERVERS, PROJECT
from dialog_rl.plugins import discovery, wire
from dialog_rl.plugins.confined import INSIDE_ONLY, Observer, confined_hooks, confined_registrations
from dialog_rl.plugins.isolation import Call, Confinement, Target, Worker
from dialog_rl.plugins.registry import Registration, Registry, register_into
from dialog_rl.text import suggest

if TYPE_CHECKING:
    from dialog_rl.scoring import Score

logger = logging.getLogger(__name__)


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
        self.contents: dict[str, str] = {}
        """What was in each loose file just before it was loaded, as a hash, by the plugin's name."""
        self.workers: dict[str, Worker] = {}
        """The confined plugins, by name."""
        self._hooks: dict[str, tuple[str, ...]] = {}
        self._observers: dict[str, Observer] = {}

    def __enter__(self) -> Plugins:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, name: str, plugin: object, source: str = "given") -> None:
        """Load one plugin inside, all of it or nothing. Raises PluginError with what would be right."""
        self._refuse_twin(name, source)
        check_version(plugin)
        try:
            self.manager.register(plugin, name)
        except (pluggy.PluginValidationError, ValueError) as e:
            raise PluginError(" ".join(str(e).split())) from e
        try:
            self._check_hooks(plugin)
            self._shelve(name, self._registrations(name, plugin))
        except BaseException:
            self.manager.unregister(plugin)
            raise
        self.sources[name] = source

    def add_confined(self, worker: Worker, source: str = "given") -> None:
        """Load one plugin in its own process, all of it or nothing. Raises PluginError."""
        name = worker.target.name
        self._refuse_twin(name, source)
        try:
            described = worker.load()
            self._shelve(name, confined_registrations(worker, described))
            hooks = confined_hooks(described)
        except BaseException:
            worker.close()
            raise
        self.sources[name], self.workers[name], self._hooks[name] = source, worker, hooks
        self._observers[name] = Observer(worker)
        for what in [r.kind for r in self.registry.of(name) if r.kind in INSIDE_ONLY] + [
            hook for hook in hooks if hook == "register_commands"
        ]:
            self.problems.append(
                Problem(
                    plugin=name,
                    source=source,
                    message=f"its {what.removeprefix('register_')} must run inside the program; "
                    f"allow that with `dialog-rl plugins trust {name}`",
                )
            )

    def notify(self, hook: str, **facts: Any) -> None:
        """Tell every observer. One that fails is logged; none can stop the run, the others or a waiting person."""
        if hook not in OBSERVERS:
            raise ValueError(f"{hook!r} is not an observer; these are: {', '.join(OBSERVERS)}")
        for observe in self.implementations(hook):
            try:
                observe(**facts)
            except (Exception, SystemExit) as e:  # marked border: a plugin may raise anything
                logger.warning("a plugin's %s failed: %s: %s", hook, type(e).__name__, e)
        for name, observer in self._observers.items():
            if hook in self._hooks[name]:
                observer.tell(hook, facts)

    def hearing(self, run: str, folder: Path) -> Callable[[Episode | Rating], None]:
        """For a log's `listener`: lets the observers know of each episode and each rating of a run."""
        facts = facts_of(run, folder)

        def hear(fact: Episode | Rating) -> None:
            if isinstance(fact, Rating):
                self.notify("on_rating", run=facts, rating=fact)
            else:
                self.notify("on_episode_end", run=facts, episode=fact)

        return hear

    @contextmanager
    def watching(self, run: str, folder: Path) -> Iterator[None]:
        """Lets the observers know that a run begins, and how it ended."""
        facts, error = facts_of(run, folder), ""
        self.notify("on_run_start", run=facts)
        try:
            yield
        except Exception as e:  # marked border: told to the observers and raised again
            error = f"{type(e).__name__}: {e}"
            raise
        finally:
            self.notify("on_run_end", run=facts, error=error)

    def combine(self, scores: Mapping[str, Score], weights: Mapping[str, float], episode: Episode) -> float | None:
        """What the first plugin with an opinion makes of the scores; None leaves it to the weighted sum."""
        facts: dict[str, Any] = {"scores": scores, "weights": weights, "episode": episode}
        for name, worker in self.workers.items():
            if "combine_rewards" in self._hooks[name]:
                answer = worker.call("combine", facts=wire.encode(facts))
                try:
                    (score,) = wire.read_scores([answer])
                except PluginError as e:
                    raise PluginError(f"plugin {name!r}, combine_rewards: {e}") from e
                if score.value is not None:
                    return score.value
        return self.manager.hook.combine_rewards(**facts)

    def add_commands(self, cli: Any) -> None:
        """Let plugins add their commands. One that fails is recorded and leaves the others their commands."""
        for impl in self.manager.hook.register_commands.get_hookimpls():
            try:
                _bound(impl)(cli=cli)
            except (Exception, SystemExit) as e:  # marked border: a plugin may raise anything
                message = f"register_commands raised {type(e).__name__}: {e}"
                source = self.sources.get(impl.plugin_name, "")
                self.problems.append(Problem(plugin=impl.plugin_name, source=source, message=message))

    def close(self) -> None:
        """End the confined plugins, after their observers have heard what was waiting or used up a deadline."""
        for observer in self._observers.values():
            observer.close(patience=1.0)
        for worker in self.workers.values():
            worker.close()

    def implementations(self, hook: str, plugin: object | None = None) -> list[Callable[..., Any]]:
        """The callables behind a hook, each to be called with keyword arguments; of one plugin inside, or of all."""
        impls = getattr(self.manager.hook, hook).get_hookimpls()
        return [_bound(impl) for impl in impls if plugin is None or impl.plugin is plugin]

    def _refuse_twin(self, name: str, source: str) -> None:
        if name in self.sources:
            raise PluginError(f"two plugins are named {name!r}: {self.sources[name]} and {source}; disable one")

    def _shelve(self, name: str, registrations: Iterable[Registration]) -> None:
        try:
            for registration in registrations:
                self.registry.add(registration)
        except PluginError:
            self.registry.remove(name)
            raise

    def _check_hooks(self, plugin: object) -> None:
        callers = self.manager.get_hookcallers(plugin) or []
        for caller in callers:
            if not caller.has_spec():
                raise PluginError(f"{caller.name!r} is not a hook{suggest(caller.name, HOOKS)}")
        for hook in HOOKS:
            if callable(getattr(plugin, hook, None)) and hook not in {caller.name for caller in callers}:
                raise PluginError(f"{hook!r} is not marked @hookimpl (from dialog_rl import hookimpl)")
        if not callers:
            raise PluginError("it implements no hook; mark a function such as register_rewards with @hookimpl")

    def _registrations(self, name: str, plugin: object) -> list[Registration]:
        found: list[Registration] = []
        for hook, kind in KINDS.items():
            for call in self.implementations(hook, plugin):
                try:
                    call(register=register_into(found, kind, name))
                except PluginError:
                    raise
                except (Exception, SystemExit) as e:  # marked border: a stranger's hook may raise anything
                    raise PluginError(f"{hook} raised {type(e).__name__}: {e}") from e
        return found


def facts_of(run: str, folder: Path) -> dict[str, str]:
    """What the observers are told of a run."""
    return {"id": run, "folder": str(folder)}


def _bound(impl: pluggy.HookImpl) -> Callable[..., Any]:
    """A hook implementation that takes all of the hook's arguments by keyword and passes on those it wants."""
    return lambda **facts: impl.function(*(facts[argument] for argument in impl.argnames))


def check_version(plugin: object) -> None:
    """Raises PluginError if the plugin says it is for another version of the hooks."""
    version = getattr(plugin, "dialog_rl_api", API_VERSION)
    if version != API_VERSION:
        raise PluginError(f"it is made for dialog_rl_api = {version!r}; this program has {API_VERSION}")


def load_plugins(
    *,
    files: Sequence[str | Path] = (),
    disabled: Collection[str] = (),
    trusted: Collection[str] = (),
    confinement: Confinement | None = None,
    environ: Mapping[str, str] = os.environ,
    found: Iterable[EntryPoint] | None = None,
    trace: Callable[[Call], None] | None = None,
) -> Plugins:
    """Built-ins and entry points by name, then the loose files.

    A broken entry point becomes a `Problem`; a broken file, which somebody has just asked for, raises PluginError.
    Built-ins and `trusted` names run inside, the others confined. `found` stands in for the installed entry points.
    """
    limits, plugins = confinement or Confinement(), Plugins()
    for entry in discovery.wanted_entry_points(disabled=disabled, environ=environ, found=found):
        source = discovery.describe(entry)
        try:
            if discovery.is_built_in(entry) or entry.name in trusted:
                plugins.add(entry.name, discovery.import_entry(entry), source)
            else:
                target = Target(name=entry.name, entry=entry.value)
                plugins.add_confined(Worker(target, limits, trace), source)
        except PluginError as e:
            why = str(e).removeprefix(f"plugin {entry.name!r} failed in 'load': ")  # a problem names its plugin itself
            plugins.problems.append(Problem(plugin=entry.name, source=source, message=why))
    for path in map(Path, files):
        if path.stem in disabled:
            continue
        plugins.contents[path.stem] = discovery.content(path)
        try:
            if path.stem in trusted:
                plugins.add(path.stem, discovery.import_file(path), str(path))
            else:
                target = Target(name=path.stem, file=str(path.resolve()))
                plugins.add_confined(Worker(target, limits, trace), str(path))
        except PluginError as e:
            plugins.close()
            raise PluginError(f"{path}: {e}") from e
    return plugins


def load_commands(
    cli: Any,
    *,
    disabled: Collection[str] = (),
    trusted: Collection[str] = (),
    environ: Mapping[str, str] = os.environ,
    found: Iterable[EntryPoint] | None = None,
) -> list[Problem]:
    """Add the commands of trusted plugins, which alone may run inside; confined ones are not even started."""
    inside = [e for e in discovery.all_entry_points(found) if e.name in trusted or discovery.is_built_in(e)]
    plugins = load_plugins(disabled=disabled, trusted=trusted, environ=environ, found=inside)
    plugins.add_commands(cli)
    return plugins.problems
