"""The process a stranger's plugin lives in: reads one JSON request a line, answers one JSON line.

Started as `python -m dialog_rl.plugins.worker IN OUT MEMORY`, with the numbers of two file descriptors.
What the plugin prints goes to the program through another pipe, where it is cut and made printable. Every answer is
sealed with the key that its request brought: bytes that the plugin's code writes on the pipe are no answer.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from dialog_rl.episode import Episode
from dialog_rl.errors import ConfigError
from dialog_rl.plugins import wire
from dialog_rl.plugins.discovery import import_entry, import_file
from dialog_rl.plugins.loading import Plugins
from dialog_rl.plugins.registry import Registration, parameters

_PARENT_DEATH = 1  # PR_SET_PDEATHSIG of prctl(2)
_FILE_LIMIT = 64 << 20
_PROCESS_LIMIT = 256


def limit_this_process(memory: int) -> None:
    """Bounded memory and files, no core dumps, and no life after the program's."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_LIMIT, _FILE_LIMIT))
    if os.geteuid() != 0:  # counted over all of a user's processes, and not at all for root
        _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        used = sum(entry.isdigit() for entry in os.listdir("/proc")) if os.path.isdir("/proc") else 1000
        wanted = used + _PROCESS_LIMIT
        resource.setrlimit(resource.RLIMIT_NPROC, (min(wanted, hard) if hard > 0 else wanted, hard))
    with suppress(ValueError, OSError):  # macOS has no enforceable address-space limit
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGKILL)


class Host:
    """The plugin and the objects made from its factories, addressed by number."""

    def __init__(self) -> None:
        self._plugins = Plugins()
        self._objects: dict[int, Any] = {}
        self._lent: dict[int, dict[str, Lent]] = {}
        self._next = 0
        self._verbs: dict[str, Callable[..., Any]] = {
            "load": self.load, "make": self.make, "score": self.score, "measure": self.measure, "start": self.start,
            "open": self.open, "reply": self.reply, "invoke": self.invoke, "drop": self.drop, "hook": self.hook,
            "combine": self.combine, "locate": self.locate,
        }  # fmt: skip

    def answer(self, request: Mapping[str, Any]) -> Any:
        return self._verbs[request["verb"]](**request["facts"])

    def load(self, name: str, file: str, entry: str) -> Any:
        plugin = import_file(Path(file)) if file else import_entry(EntryPoint(name, entry, "dialog_rl"))
        self._plugins.add(name, plugin, file or entry)
        callers = self._plugins.manager.get_hookcallers(plugin) or []
        return {
            "hooks": [caller.name for caller in callers],
            "registrations": [_describe(r) for r in self._plugins.registry.of(name)],
        }

    def make(self, kind: str, name: str, options: Mapping[str, Any], lent: Sequence[str] = ()) -> int:
        """`lent` names what comes along with each call of `score`."""
        registration: Registration = getattr(self._plugins.registry, kind)[name]
        resources = {need: Lent() for need in lent}
        handle = self._keep(registration.make(wire.decode(options), resources))
        self._lent[handle] = resources
        return handle

    def locate(self, name: str) -> str:
        """The folder of a scenario pack."""
        return str(self._plugins.registry.scenario_packs[name].load()())

    def score(self, handle: int, episodes: Any, lent: Mapping[str, Any] | None = None) -> Any:
        batch = wire.decode(episodes)
        for need, values in (lent or {}).items():
            self._lent[handle][need].hold(batch, wire.decode(values))
        scores = self._objects[handle].score(batch)
        return [wire.write_score(score) for score in list(scores)]

    def measure(self, handle: int, episodes: Any) -> Any:
        figures = self._objects[handle].measure(wire.decode(episodes))
        return {str(key): wire.write_score(value) for key, value in dict(figures).items()}

    def start(self, handle: int, facts: Any) -> int:
        return self._keep(self._objects[handle].start(**wire.decode(facts)))

    def open(self, handle: int) -> Any:
        return wire.write_reply(self._objects[handle].open())

    def reply(self, handle: int, message: Any) -> Any:
        return wire.write_reply(self._objects[handle].reply(wire.decode(message)))

    def invoke(self, handle: int, method: str, facts: Any) -> Any:
        """Any other method, its result as plain JSON."""
        return wire.encode(getattr(self._objects[handle], method)(**wire.decode(facts)))

    def drop(self, handle: int) -> None:
        self._objects.pop(handle, None)
        self._lent.pop(handle, None)

    def hook(self, name: str, facts: Any) -> None:
        for call in self._plugins.implementations(name):
            call(**wire.decode(facts))

    def combine(self, facts: Any) -> Any:
        return wire.write_score(self._plugins.combine(**wire.decode(facts)))

    def _keep(self, made: Any) -> int:
        self._next += 1
        self._objects[self._next] = made
        return self._next


class Lent:
    """What the program lends a reward, here: the program's answers about the episodes that it is asked to score."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def hold(self, episodes: Sequence[Episode], values: Sequence[Any]) -> None:
        self._values = {e.episode_id: value for e, value in zip(episodes, values, strict=True)}

    def __call__(self, episodes: Sequence[Episode]) -> list[Any]:
        return [self._values[episode.episode_id] for episode in episodes]


def _describe(r: Registration) -> dict[str, Any]:
    accepted = None if isinstance(r.factory, str) else parameters(r.factory)
    return {
        "kind": r.kind, "name": r.name, "needs": r.needs, "bounds": r.bounds, "description": r.description,
        "options": accepted,
    }  # fmt: skip


def _failure(error: BaseException) -> dict[str, str]:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    kind = "ConfigError" if isinstance(error, ConfigError) else type(error).__name__
    return {"type": kind, "message": str(error)[:2000], "where": where}


def main() -> None:
    source, sink, memory = (int(argument) for argument in sys.argv[1:4])
    limit_this_process(memory)
    for descriptor in (source, sink):  # what the plugin starts must not keep the pipes open after this process
        os.set_inheritable(descriptor, False)
    host = Host()
    with os.fdopen(source, "rb") as requests, os.fdopen(sink, "wb") as replies:
        for text in requests:
            request = json.loads(text)
            try:
                reply = wire.sealed(request["key"], {"result": host.answer(request)})
            except BaseException as e:  # marked border: whatever a plugin raises is an answer
                reply = wire.sealed(request["key"], {"error": _failure(e)})
            with suppress(ValueError, AttributeError):  # a plugin may have closed or replaced it
                sys.stdout.flush()
            replies.write(reply)
            replies.flush()


if __name__ == "__main__":
    main()
