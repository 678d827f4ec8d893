"""What the program holds in place of a confined plugin's objects: each call goes to the plugin's process."""

from __future__ import annotations

import inspect
import logging
import queue
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from dialog_rl.conversation import UserReply
from dialog_rl.episode import Episode, Message, to_json
from dialog_rl.errors import ConfigError, PluginError, RewardError
from dialog_rl.hookspecs import HOOKS, KINDS
from dialog_rl.plugins import wire
from dialog_rl.plugins.isolation import Worker
from dialog_rl.plugins.registry import Registration, register_into
from dialog_rl.scoring import Score

logger = logging.getLogger(__name__)

INSIDE_ONLY = ("policies", "algorithms", "scenario_sources")
"""Kinds whose objects hold tensors, which do not travel: a confined plugin cannot bring them."""
LENDABLE = ("ratings", "reference", "references")
"""What a confined reward can be lent: functions of episodes whose answers are plain facts, one an episode."""


class _Made:
    """An object in the worker, made again when the worker had to be started again."""

    def __init__(
        self, worker: Worker, kind: str, name: str, options: Mapping[str, Any], lent: Mapping[str, Any]
    ) -> None:
        self._worker, self._kind, self._name, self._options, self._lent = worker, kind, name, options, lent
        self._handle, self._generation = 0, -1
        with worker.lock:
            self._ready()

    def _ready(self) -> int:
        if self._generation != self._worker.generation or self._worker.pid is None:
            facts = {"kind": self._kind, "name": self._name, "options": wire.encode(dict(self._options))}
            self._handle = self._worker.call("make", **facts, lent=sorted(self._lent))
            self._generation = self._worker.generation
        return self._handle

    def _call(self, verb: str, **facts: Any) -> Any:
        with self._worker.lock:
            return self._worker.call(verb, handle=self._ready(), **facts)


class ConfinedReward(_Made):
    def score(self, episodes: Sequence[Episode]) -> list[Score]:
        # What is lent is asked here and travels beside the episodes: a stranger's process gets answers, not objects.
        lent = {need: wire.encode(list(ask(episodes))) for need, ask in self._lent.items()}
        answer = self._call("score", episodes=wire.encode(list(episodes)), lent=lent)
        try:
            return wire.read_scores(answer)
        except PluginError as e:
            raise RewardError(f"plugin {self._worker.target.name!r}, reward {self._name!r}: {e}") from e


class ConfinedMetric(_Made):
    def measure(self, episodes: Sequence[Episode]) -> dict[str, float]:
        return wire.read_figures(self._call("measure", episodes=wire.encode(list(episodes))))


class ConfinedSimulator(_Made):
    def start(self, scenario: Any, seed: int) -> ConfinedUser:
        facts = wire.encode({"scenario": _document(scenario), "seed": seed})
        with self._worker.lock:
            return ConfinedUser(self._worker, self._call("start", facts=facts))


class ConfinedUser:
    """A customer who lives in the worker, and is lost with it."""

    def __init__(self, worker: Worker, handle: int) -> None:
        self._worker, self._handle, self._generation = worker, handle, worker.generation

    def open(self) -> UserReply:
        return self._said(self._call("open"))

    def reply(self, message: Message) -> UserReply:
        return self._said(self._call("reply", message=wire.encode(message)))

    def close(self) -> None:
        """Forget the customer; their process keeps no past conversations."""
        if self._worker.pid is not None and self._worker.generation == self._generation:
            self._call("drop")

    def _call(self, verb: str, **facts: Any) -> Any:
        with self._worker.lock:
            if self._worker.generation != self._generation or self._worker.pid is None:
                raise PluginError(f"plugin {self._worker.target.name!r}: the customer was lost when its process ended")
            return self._worker.call(verb, handle=self._handle, **facts)

    def _said(self, reply: Any) -> UserReply:
        try:
            said = wire.read_reply(reply)
        except (TypeError, ValueError, KeyError) as e:
            raise PluginError(f"plugin {self._worker.target.name!r}: the customer gave no message: {e}") from e
        if said.leaves:
            self.close()
        return said


class ConfinedObject(_Made):
    """A tool, tracker or exporter: any of its methods, with keyword arguments of plain facts."""

    def __getattr__(self, method: str) -> Any:
        if method.startswith("_"):
            raise AttributeError(method)
        return lambda **facts: self._call("invoke", method=method, facts=wire.encode(facts))


_PROXIES: Mapping[str, type[_Made]] = {
    "rewards": ConfinedReward,
    "metrics": ConfinedMetric,
    "user_simulators": ConfinedSimulator,
}


def confined_registrations(worker: Worker, described: Any) -> list[Registration]:
    """What a worker says its plugin registers, as factories of proxies. Raises PluginError if malformed."""
    found: list[Registration] = []
    for item in _list(described, "registrations"):
        try:
            kind, name = str(item["kind"]), str(item["name"])
            bounds = (float(item["bounds"][0]), float(item["bounds"][1]))
            description = str(item["description"])[:200]
        except (KeyError, TypeError, ValueError, IndexError) as e:
            raise PluginError(f"its registrations cannot be read: {e}") from e
        if kind not in KINDS.values():
            raise PluginError(f"it registers {kind!r}, of which there is no kind")
        needs = tuple(need for need in map(str, _list(item, "needs")) if kind == "rewards" and need in LENDABLE)
        register = register_into(found, kind, worker.target.name)
        make = _factory(worker, kind, name, needs, item.get("options"))
        register(name, make, needs=needs, bounds=bounds, description=description)
    return found


def confined_hooks(described: Any) -> tuple[str, ...]:
    return tuple(str(hook) for hook in _list(described, "hooks") if hook in HOOKS)


def _factory(worker: Worker, kind: str, name: str, needs: tuple[str, ...], accepted: Any) -> Any:
    """What makes proxies. `accepted` is what the plugin's own factory takes: parameter → whether it is required."""
    if kind == "scenario_packs":
        return lambda: worker.call("locate", name=name)

    def make(**options: Any) -> Any:
        if kind in INSIDE_ONLY:
            allow = f"allow it with `dialog-rl plugins trust {worker.target.name}`"
            raise PluginError(f"{kind} {name!r} must run inside the program: {allow}")
        lent = {need: options.pop(need) for need in needs if need in options}
        return _PROXIES.get(kind, ConfinedObject)(worker, kind, name, options, lent)

    if isinstance(accepted, dict) and needs:
        make.__signature__ = _signature(accepted)  # pyright: ignore[reportFunctionMemberAccess]
    return make


def _signature(accepted: Mapping[str, Any]) -> inspect.Signature:
    """The plugin's own parameters, so that a need which has a default may stay unmet."""
    parameters = [
        inspect.Parameter(
            str(name), inspect.Parameter.KEYWORD_ONLY, default=inspect.Parameter.empty if required else None
        )
        for name, required in accepted.items()
        if str(name).isidentifier()
    ]
    return inspect.Signature(parameters)


class Observer:
    """Tells a confined plugin what happened, from a thread of its own: nobody waits for an observer."""

    LIMIT = 1000

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._waiting: queue.Queue[tuple[str, Any] | None] = queue.Queue(self.LIMIT)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self.dropped = 0
        """Events that it was not told of: the queue was full, or its process is called no more."""

    def tell(self, hook: str, facts: Mapping[str, Any]) -> None:
        """From any thread."""
        with self._starting:
            if self._thread is None:
                name = f"observer {self._worker.target.name}"
                self._thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._thread.start()
        try:
            self._waiting.put_nowait((hook, wire.encode(facts)))
        except queue.Full:
            self.dropped += 1

    def close(self, patience: float) -> None:
        """Let it hear what is waiting, for at most `patience` seconds; then its process is ended in mid-call."""
        if self._thread is None:
            return
        with suppress(queue.Full):
            self._waiting.put(None, timeout=patience)
            self._thread.join(patience)
        if self._thread.is_alive():
            self._worker.end()
            self._waiting.put(None)
            self._thread.join()
        if self.dropped:
            logger.warning("plugin %r was not told of %d events", self._worker.target.name, self.dropped)

    def _work(self) -> None:
        while (event := self._waiting.get()) is not None:
            hook, facts = event
            if self._worker.quarantined:
                self.dropped += 1
                continue
            try:
                self._worker.call("hook", name=hook, facts=facts)
            except (PluginError, ConfigError) as e:
                logger.warning("%s: %s", hook, e)


def _document(scenario: Any) -> Any:
    """A scenario as the document that an episode logs."""
    dump = getattr(scenario, "model_dump", None)
    return dump(mode="json", exclude_none=True) if dump is not None else to_json(scenario)


def _list(described: Any, key: str) -> list[Any]:
    value = described.get(key) if isinstance(described, dict) else None
    if not isinstance(value, list):
        raise PluginError(f"it did not say its {key}")
    return value
