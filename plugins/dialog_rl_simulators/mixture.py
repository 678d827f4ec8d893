"""Customers of several kinds, in given shares: an agent that learns from one kind alone learns that kind's quirks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from dialog_rl.conversation import User
from dialog_rl.errors import ConfigError
from dialog_rl.scenario import Scenario
from dialog_rl.seeds import derive, generator


class Simulator(Protocol):
    def start(self, scenario: Scenario, seed: int) -> User: ...


MakeSimulator = Callable[[str, Mapping[str, Any]], Simulator]
"""Another registered simulator by name, with options."""


class Mixture:
    """`shares` of simulators by name; which one plays a customer follows from the customer's seed alone."""

    def __init__(
        self,
        *,
        simulators: MakeSimulator,
        shares: Mapping[str, float],
        options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        if not shares or any(not math.isfinite(s) or s < 0 for s in shares.values()) or not sum(shares.values()):
            raise ConfigError(f"the shares of a mixture are positive numbers by simulator, not {dict(shares)!r}")
        if "mixture" in shares:
            raise ConfigError("a mixture cannot be part of itself")
        self._names = sorted(name for name, share in shares.items() if share)
        self._weights = [shares[name] for name in self._names]
        self._made = {name: simulators(name, (options or {}).get(name, {})) for name in self._names}

    def start(self, scenario: Scenario, seed: int) -> User:
        (name,) = generator(seed, "mixture").choices(self._names, self._weights)
        return self._made[name].start(scenario, derive(seed, "mixture", name))
