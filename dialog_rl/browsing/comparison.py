"""An episode and how it went another time, turn beside turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dialog_rl.browsing.stepping import Line, judged, lines_of
from dialog_rl.episode import Episode, Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """One turn of both; nothing on the side that had ended by then."""

    number: int
    logged: tuple[Line, ...]
    again: tuple[Line, ...]
    same: bool
    """Whether the same was said, called and answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    logged: Episode
    again: Episode
    spoken_by: str
    """The version that spoke this time; empty if the logged actions were played again."""

    @property
    def identical(self) -> bool:
        return self.again == self.logged

    @property
    def first_difference(self) -> int | None:
        """The first turn that is not the same, from 0; None if none is."""
        return next((turn.number for turn in self.turns if not turn.same), None)

    @property
    def turns(self) -> tuple[Beside, ...]:
        """All turns of both, side by side."""
        count = max(len(self.logged.turns), len(self.again.turns))
        return tuple(self._beside(number) for number in range(count))

    @property
    def verdicts(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """How each ended and how it is judged."""
        return tuple(judged(self.logged)), tuple(judged(self.again))

    def _beside(self, number: int) -> Beside:
        one, other = (turns[number] if number < len(turns) else None for turns in (self.logged.turns, self.again.turns))
        return Beside(
            number=number,
            logged=tuple(lines_of(one)) if one is not None else (),
            again=tuple(lines_of(other)) if other is not None else (),
            same=one is not None and other is not None and _as_heard(one) == _as_heard(other),
        )


def _as_heard(turn: Turn) -> tuple[Any, ...]:
    """What was said, called and answered; not with which ids or by whom."""
    return turn.user.text, [(s.message.text, s.result.text if s.result else None) for s in turn.steps]
