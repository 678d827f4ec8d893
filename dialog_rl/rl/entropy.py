"""How much a policy is paid for staying undecided."""

from __future__ import annotations

import math
from collections.abc import Mapping

RATE = 0.1
"""Largest change of the coefficient's logarithm an update."""


class EntropyController:
    """The coefficient of the entropy bonus: fixed, or steered so that the policy keeps `target` nats a token.

    Source: the dual step on the temperature of soft actor-critic, Haarnoja et al. 2018, arXiv:1812.05905, sec. 5.
    """

    def __init__(self, coef: float, target: float | None = None) -> None:
        self.coef, self._target = coef, target

    def update(self, entropy: float) -> None:
        """After an update whose episodes were spoken at `entropy` nats a token."""
        if self._target is None or entropy != entropy:  # a NaN measurement must not become the coefficient
            return
        error = min(max(1 - entropy / self._target, -1.0), 1.0)
        self.coef *= math.exp(RATE * error)

    def state_dict(self) -> dict[str, float]:
        return {"coef": self.coef}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        self.coef = float(state["coef"])
