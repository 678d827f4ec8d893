"""Running a stranger's plugin in a process of its own, with a deadline and limits on memory, replies and patience.

A plugin that raises, hangs, dies or floods costs one failed call; the program goes on. After several failures in a
row it is quarantined: it is not started again in this run, and says so.

Every request brings a key that no earlier one had, and an answer is one line sealed with it. So no bytes that a
plugin's code writes on the pipe are taken for an answer, whether they come before the true one, within it, after it or
between calls: the call that finds them fails, and the process is ended. That holds against accidents and guesses. A
plugin shares its process with the worker, so code that searches it for the key can write an answer of its own; that
gains it nothing which returning the same would not, as every answer is read and checked alike.
"""

from __future__ import annotations

import logging
import os
import secrets
import selectors
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dialog_rl.errors import ConfigError, PluginError
from dialog_rl.plugins import wire
from dialog_rl.text import one_line, printable

logger = logging.getLogger(__name__)

_KEPT_OUTPUT = 4096
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "VIRTUAL_ENV", "SYSTEMROOT")
"""The only environment a plugin sees: no keys and tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What a confined plugin may use."""

    deadline: float = 10.0
    """Seconds a call may take."""
    load_deadline: float = 30.0
    """Seconds to start and to make an instance: imports happen here."""
    memory: int = 2 << 30
    """Bytes of address space."""
    reply: int = 1 << 20
    """Bytes of one reply."""
    failures: int = 5
    """Failed calls in a row before the plugin is quarantined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the plugin is: a loose file, or an entry point "module:attribute"."""

    name: str
    file: str = ""
    entry: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a confined plugin, for `plugins trace`."""

    plugin: str
    verb: str
    seconds: float
    error: str
    output: str


class _Process:
    """One live worker: two pipes for JSON, one for what the plugin prints."""

    def __init__(self, memory: int) -> None:
        request_read, self.requests = os.pipe()
        self.replies, reply_write = os.pipe()
        self.output, output_write = os.pipe()
        environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
        environment |= {
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
            "PYTHONIOENCODING": "utf-8:backslashreplace",
        }
        command = [sys.executable, "-m", "dialog_rl.plugins.worker", str(request_read), str(reply_write), str(memory)]
        try:
            self.popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output_write, stderr=output_write, env=environment,
                pass_fds=(request_read, reply_write), start_new_session=True,
            )  # fmt: skip
        finally:
            for descriptor in (request_read, reply_write, output_write):
                os.close(descriptor)
        for descriptor in (self.requests, self.replies, self.output):
            os.set_blocking(descriptor, False)

    def end(self) -> None:
        """End the process and whatever it started in its session."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)

    def kill(self) -> None:
        """End it and close its pipes. Safe to call twice."""
        self.end()
        self.popen.wait()
        for descriptor in (self.requests, self.replies, self.output):
            with suppress(OSError):
                os.close(descriptor)


class _Failed(Exception):
    """A call that got no usable answer; `fatal` if the process can no longer be trusted to be in step."""

    def __init__(self, message: str, *, fatal: bool) -> None:
        super().__init__(message)
        self.fatal = fatal


class Worker:
    """A confined plugin, started when first called and again after it died. One call at a time; thread-safe."""

    def __init__(self, target: Target, confinement: Confinement, trace: Callable[[Call], None] | None = None) -> None:
        self.target, self.confinement = target, confinement
        self.trace = trace
        self.generation = 0
        """How often the process was started: objects made in an earlier one are gone."""
        self.quarantined = ""
        """Why the plugin is called no more; empty while it is."""
        self._process: _Process | None = None
        self._failures = 0
        self.lock = threading.RLock()
        """Held during a call; hold it around calls that belong together."""
        self._undo: weakref.finalize[..., Any] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.popen.pid if self._process else None

    def load(self) -> Mapping[str, Any]:
        """Start the process and import the plugin. Returns the hooks it implements and what it registers."""
        with self.lock:
            self.close()
            self._process = _Process(self.confinement.memory)
            self._undo = weakref.finalize(self, self._process.kill)
            if self.quarantined:  # since the call began, in another thread, which found no process to end
                raise PluginError(f"plugin {self.target.name!r} is quarantined: {self.quarantined}")
            self.generation += 1
            facts = {"name": self.target.name, "file": self.target.file, "entry": self.target.entry}
            return self._call("load", facts, self.confinement.load_deadline)

    def call(self, verb: str, **facts: Any) -> Any:
        """The plugin's answer as plain JSON. Raises PluginError if there is none, ConfigError for a wrong option."""
        with self.lock:
            if self.quarantined:
                raise PluginError(f"plugin {self.target.name!r} is quarantined: {self.quarantined}")
            if self._process is None:
                self.load()
            deadline = self.confinement.load_deadline if verb == "make" else self.confinement.deadline
            return self._call(verb, facts, deadline)

    def end(self) -> None:
        """Call the plugin no more. A call that is going on in another thread is not waited for: it fails."""
        self.quarantined = self.quarantined or "the program has ended it"
        process = self._process
        if process is not None:
            process.end()

    def close(self) -> None:
        """End the process, if there is one."""
        with self.lock:
            if self._undo is not None:
                self._undo()
            self._process, self._undo = None, None

    def _call(self, verb: str, facts: Mapping[str, Any], deadline: float) -> Any:
        started = time.monotonic()
        error, output = "", bytearray()
        try:
            answer = self._exchange(verb, facts, started + deadline, output)
            self._failures = 0
            return answer
        except _Failed as e:
            error = self._fail(verb, str(e), output, fatal=e.fatal, deadline=deadline)
            raise PluginError(error) from None
        finally:
            said = printable(bytes(output).decode("utf-8", "replace"))
            if said:
                logger.info("plugin %r printed: %s", self.target.name, one_line(said))
            if self.trace is not None:
                seconds = time.monotonic() - started
                self.trace(Call(plugin=self.target.name, verb=verb, seconds=seconds, error=error, output=said))

    def _fail(self, verb: str, reason: str, output: bytearray, *, fatal: bool, deadline: float) -> str:
        if fatal:
            reason = self._autopsy(reason, deadline)
        self._failures += 1
        said = one_line(bytes(output[-300:]).decode("utf-8", "replace"))
        message = f"plugin {self.target.name!r} failed in {verb!r}: {one_line(reason)}"
        message += f"; it printed: {said}" if said and fatal else ""
        if self._failures >= self.confinement.failures:
            self.quarantined = f"{self._failures} failures in a row, the last: {one_line(reason)}"
            logger.error("plugin %r is quarantined after %s", self.target.name, self.quarantined)
            self.close()
        return message

    def _autopsy(self, reason: str, deadline: float) -> str:
        """End the process, and say how it ended if that was its own doing."""
        process = self._process
        if process is None:
            return reason
        if reason == "no answer":
            with suppress(subprocess.TimeoutExpired):
                code = process.popen.wait(timeout=0.5)
                reason = (
                    f"its process was killed by {signal.Signals(-code).name}"
                    if code < 0
                    else f"its process left with exit code {code}"
                )
        elif reason == "late":
            reason = f"no answer within {deadline:g} s; its process was killed"
        self.close()
        return reason

    def _exchange(self, verb: str, facts: Mapping[str, Any], until: float, output: bytearray) -> Any:
        key = secrets.token_hex(16)
        request = wire.line({"key": key, "verb": verb, "facts": facts})
        text = self._transfer(request, until, output)
        try:
            reply = wire.unsealed(key, text)
        except (ValueError, RecursionError) as e:
            raise _Failed("what came on its reply pipe is no answer to the call", fatal=True) from e
        error = reply.get("error") if isinstance(reply, dict) else None
        if not isinstance(error, dict):
            return reply.get("result") if isinstance(reply, dict) else None
        kind, message = str(error.get("type")), str(error.get("message"))
        if kind == "ConfigError":
            raise ConfigError(f"plugin {self.target.name!r}: {one_line(message)}")
        known = kind in ("PluginError", "RewardError")
        raise _Failed(message if known else f"raised {kind}: {message}{error.get('where', '')}", fatal=False)

    def _transfer(self, request: bytes, until: float, output: bytearray) -> bytes:
        """Send the request and wait for one line and no more, draining what the plugin prints meanwhile."""
        process = self._process
        assert process is not None
        if _unasked(process.replies):
            raise _Failed("it wrote on its reply pipe without being asked", fatal=True)
        left, received = memoryview(request), bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(process.requests, selectors.EVENT_WRITE)
            selector.register(process.replies, selectors.EVENT_READ)
            selector.register(process.output, selectors.EVENT_READ)
            while b"\n" not in received[-65536:]:
                remaining = until - time.monotonic()
                if remaining <= 0:
                    raise _Failed("late", fatal=True)
                for key, _ in selector.select(remaining):
                    if key.fd == process.requests:
                        left = _write(process.requests, left)
                        if not left:
                            selector.unregister(process.requests)
                    elif key.fd == process.output:
                        if not _drain(process.output, output):
                            selector.unregister(process.output)
                    else:
                        self._receive(process.replies, received)
            _drain(process.output, output)
        text, _, more = bytes(received).partition(b"\n")
        if more:
            raise _Failed("it wrote on its reply pipe after its answer", fatal=True)
        return text + b"\n"

    def _receive(self, descriptor: int, received: bytearray) -> None:
        data = os.read(descriptor, 65536)
        if not data:
            raise _Failed("no answer", fatal=True)
        received += data
        if len(received) > self.confinement.reply:
            raise _Failed(f"its reply is longer than {self.confinement.reply} bytes", fatal=True)


def _unasked(descriptor: int) -> bool:
    """Whether there is anything to read. The end of the pipe is for the call to find."""
    try:
        return bool(os.read(descriptor, 1))
    except BlockingIOError:
        return False


def _write(descriptor: int, left: memoryview) -> memoryview:
    try:
        return left[os.write(descriptor, left[:65536]) :]
    except BlockingIOError:
        return left
    except BrokenPipeError as e:
        raise _Failed("no answer", fatal=True) from e


def _drain(descriptor: int, output: bytearray) -> bool:
    """Read what is there and keep the end of it. False when nothing will come any more."""
    try:
        data = os.read(descriptor, 65536)
    except BlockingIOError:
        return True
    output += data
    del output[:-_KEPT_OUTPUT]
    return bool(data)
