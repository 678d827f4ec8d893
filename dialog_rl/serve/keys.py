"""Who may come in: keys with names, compared in constant time, and how often each may ask."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from dialog_rl.errors import ConfigError
from dialog_rl.text import one_line

SHORTEST_KEY = 16
"""Characters. A shorter one could be guessed."""
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose conversations these are: nobody sees another owner's."""

    name: str

    @property
    def tag(self) -> str:
        """Stands in the ids of the owner's conversations."""
        return short_hash(self.name)


LOCAL = Owner(name="local")
"""Whoever reaches a service without keys, which listens to its own machine alone."""


def short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


class Keys:
    """Digests of the keys that open the door. Without any, everybody is `LOCAL`."""

    def __init__(self, named: Iterable[tuple[str, str]] = ()) -> None:
        self._digests = [(Owner(name=name), _digest(key)) for name, key in named]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def owner(self, key: str) -> Owner | None:
        """Every key is compared with, whether one before it fitted or not."""
        given, found = _digest(key), None
        for owner, digest in self._digests:
            if hmac.compare_digest(given, digest):
                found = owner
        return found if self._digests else LOCAL


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def read_keys(file: Path) -> Keys:
    """Keys in a file, a line each: a name, white space, the key. Lines that begin with # are passed over."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(f"{file}: cannot be read: {getattr(e, 'strerror', None) or 'not UTF-8'}") from None
    named: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or len(words[1]) < SHORTEST_KEY:
            raise ConfigError(
                f"{file}:{number}: write a name and a key of {SHORTEST_KEY} characters or more, without spaces"
            )
        if words[0] in named or words[1] in named.values():
            raise ConfigError(f"{file}:{number}: the name {one_line(words[0], 40)!r} or its key is there already")
        named[words[0]] = words[1]
    if not named:
        raise ConfigError(f"{file}: there is no key in it; write a line with a name and a key")
    return Keys(named.items())


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def require_safe(host: str, keys: Keys) -> None:
    """Raises ConfigError where strangers could reach a service that asks for no key."""
    if not keys and not is_loopback(host):
        raise ConfigError(
            f"--host {one_line(host, 60)} lets others in, so keys are needed: --keys FILE, with a name and a key a line"
        )


class Rates:
    """So many requests a minute of each, all at once if they like; the next ones as time goes by."""

    def __init__(self, a_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        """a_minute: 0 sets no limit."""
        self._most, self._clock = a_minute, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, who: str) -> float:
        """Seconds until this one may ask again; 0 lets the request in, and counts it."""
        if not self._most:
            return 0.0
        now = self._clock()
        left, since = self._left.pop(who, (self._most, now))
        left = min(self._most, left + (now - since) * self._most / 60)
        admitted = left >= 1
        self._left[who] = (left - admitted, now)
        if len(self._left) > _REMEMBERED:
            self._left.popitem(last=False)
        return 0.0 if admitted else (1 - left) * 60 / self._most
