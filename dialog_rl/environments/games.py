"""A small text game, as an example of an environment that is somebody to talk to."""

from __future__ import annotations

import re
from typing import Any

from dialog_rl.environments.envs import AnyText
from dialog_rl.environments.extra import gymnasium

COLOURS = ("red", "blue")


class Doors(gymnasium.Env):
    """A few doors, one after the other: the key has a colour, and the first colour that is named is the door taken.

    A right door pays an equal share of 1; a wrong one ends the game.
    """

    metadata = {"render_modes": []}
    brief = "Name the door that the key is for."

    def __init__(self, doors: int = 1) -> None:
        self.doors, self.render_mode = doors, None
        self.observation_space, self.action_space = AnyText(), AnyText()
        self._key, self._opened = COLOURS[0], 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self._opened = 0
        return self._next(), {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        named = re.search("|".join(COLOURS), action)
        if named is None or named[0] != self._key:
            return "The door is locked.", 0.0, True, False, {}
        self._opened += 1
        if self._opened == self.doors:
            return "You are out.", 1 / self.doors, True, False, {}
        return self._next(), 1 / self.doors, False, False, {}

    def _next(self) -> str:
        self._key = COLOURS[int(self.np_random.integers(len(COLOURS)))]
        return f"The key is {self._key}."
