"""A trainee's mistakes: how often each is made, and the draws of one conversation."""

from __future__ import annotations

import random
from dataclasses import dataclass

from dialog_rl.episode import ToolCall

SLIPS_AGAIN = 0.35
"""Of a slip that is made a second time before it is noticed."""
ASKS_AGAIN = 0.3
"""Of a slip after which the customer is asked again, rather than the call put right at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistakes:
    """Chances of a trainee's mistakes, each at its own kind of decision."""

    skips_identification: float = 0.0
    skips_confirmation: float = 0.0
    refuses_wrongly: float = 0.0
    overlooks_refusal: float = 0.0
    claims_without_doing: float = 0.0
    slips: float = 0.0
    """Of copying one argument of a call wrong; noticed by the tool's refusal, and then put right."""
    vague: float = 0.0
    gives_up: float = 0.0
    insists: float = 0.0
    """Of making such a mistake again when the customer has pointed it out."""
    misreads: float = 0.0
    """Of taking one wish for another; noticed when the customer cannot follow, and then asked about again."""


NONE = Mistakes()
TRAINEE = Mistakes(
    skips_identification=0.12,
    skips_confirmation=0.50,
    refuses_wrongly=0.03,
    overlooks_refusal=0.50,
    claims_without_doing=0.45,
    vague=0.30,
    slips=0.04,
    gives_up=0.15,
    insists=0.50,
    misreads=0.15,
)
"""About six conversations in ten come to a good end. The mistakes are habits, made as often as not, so that a model of
them errs at its likeliest word too, and not only by chance. Slips of the pen and misread wishes are there to be put
right: nobody should learn to make them (see `Expert.slipped`)."""
CAREFUL = Mistakes(slips=0.04, misreads=0.15)
"""A trainee's good day: what goes wrong is put right."""


class Lapses:
    """What goes wrong in one conversation: drawn once for each decision of an item, not anew at every look."""

    def __init__(self, mistakes: Mistakes, rng: random.Random) -> None:
        self._mistakes, self._rng = mistakes, rng
        self._considered: dict[tuple[str, int], bool] = {}
        self._made: set[str] = set()
        self._slipped_again: set[int] = set()

    def begin(self) -> None:
        """With another item."""
        self._considered.clear()
        self._made.clear()
        self._slipped_again.clear()

    def misreads(self) -> bool:
        return bool(self._mistakes.misreads) and self._rng.random() < self._mistakes.misreads

    def errs(self, mistake: str, number: int) -> bool:
        """Whether one of `Mistakes` is made at a step of the plan."""
        return self._drawn(mistake, number, getattr(self._mistakes, mistake))

    def already(self, what: str) -> bool:
        """True from the second time on, unless this one insists: a mistake pointed out is not made again."""
        made = what in self._made
        if not self._drawn(f"insists on {what}", 0, self._mistakes.insists):
            self._made.add(what)
        return made

    def slips(self, number: int) -> bool:
        """Once at most in a step: what is put right stays right."""
        slips = self.errs("slips", number)
        self._considered["slips", number] = False
        return slips

    def slips_again(self, number: int) -> bool:
        """Whether a slip is repeated before it is noticed: once."""
        if number in self._slipped_again or not self._drawn("slips again", number, SLIPS_AGAIN):
            return False
        self._slipped_again.add(number)
        return True

    def asks_again(self, number: int) -> bool:
        """Whether the customer is asked about what a slip has made fail."""
        return number in self._slipped_again or self._drawn("asks again", number, ASKS_AGAIN)

    def garbled(self, call: ToolCall) -> ToolCall:
        """A call with a part of one argument lost, doubled or exchanged."""
        name = self._rng.choice([k for k, v in call.arguments.items() if isinstance(v, str) and len(v) > 2] or [""])
        if not name:
            return call
        value = call.arguments[name]
        at, to = sorted(self._rng.sample(range(len(value) + 1), 2))
        middle = self._rng.choice(["", 2 * value[at:to], "".join(self._rng.sample(value[at:to], to - at))])
        wrong = value[:at] + middle + value[to:]
        return ToolCall(name=call.name, arguments={**call.arguments, name: wrong if wrong not in ("", value) else "?"})

    def _drawn(self, what: str, number: int, chance: float) -> bool:
        if not chance:
            return False
        if (what, number) not in self._considered:
            self._considered[what, number] = self._rng.random() < chance
        return self._considered[what, number]
