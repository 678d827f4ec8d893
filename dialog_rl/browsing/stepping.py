"""One episode turn by turn: who said what, where something went wrong, how it ended and how it is judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dialog_rl import hacks, metrics
from dialog_rl.episode import Episode, Rating, Turn
from dialog_rl.errors import ScenarioError
from dialog_rl.text import one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Something said, called or answered."""

    who: str
    """customer, agent, call or answer"""
    text: str
    bad: bool = False
    """A call that was refused, and what could not be read as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Where somebody who looks for what went wrong would stop."""

    turn: int
    why: str
    rated: bool = False
    """It is what somebody thought of the turn, which is told with it in any case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnShown:
    number: int
    """From 0, as everywhere."""
    lines: tuple[Line, ...]
    versions: tuple[str, ...]
    """Who spoke in it."""
    points: tuple[Point, ...]
    opinions: tuple[str, ...]
    """What people thought of it, a line each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An episode to be stepped through."""

    episode: Episode = field(repr=False)
    turns: tuple[TurnShown, ...]
    verdict: tuple[str, ...]
    """How it ended and how it is judged, a line a remark, and what people thought of the whole."""

    @property
    def points(self) -> tuple[Point, ...]:
        return tuple(point for turn in self.turns for point in turn.points)


def opened(episode: Episode, ratings: Sequence[Rating] = ()) -> Opened:
    points = sorted(_points(episode, ratings), key=lambda point: point.turn)
    turns = tuple(
        TurnShown(
            number=number,
            lines=tuple(lines_of(turn)),
            versions=tuple(dict.fromkeys(step.policy_version for step in turn.steps if step.policy_version)),
            points=tuple(point for point in points if point.turn == number),
            opinions=tuple(opinion(rating) for rating in ratings if rating.turn == number),
        )
        for number, turn in enumerate(episode.turns)
    )
    whole = [opinion(rating) for rating in ratings if rating.turn is None]
    return Opened(episode=episode, turns=turns, verdict=(*judged(episode), *whole))


def lines_of(turn: Turn) -> Iterator[Line]:
    """Who said what, in order. Who only hangs up says nothing."""
    if turn.user.text or turn.steps:
        yield Line(who="customer", text=turn.user.text)
    for step in turn.steps:
        bad = bool(step.message.malformed) or (step.result is not None and step.result.error)
        yield Line(who="call" if step.result is not None else "agent", text=step.message.text, bad=bad)
        if step.result is not None:
            yield Line(who="answer", text=step.result.text, bad=bad)


def succeeded(episode: Episode) -> bool | None:
    """None where the episode says of no goal what success would be, as after a chat about nothing in particular."""
    try:
        return hacks.succeeded(episode)
    except ScenarioError:
        return None


def judged(episode: Episode) -> list[str]:
    """How it ended and how it is judged, a line a remark."""
    remarks = [f"ended: {episode.stop}" + (f" ({one_line(episode.note)})" if episode.note else "")]
    reached = succeeded(episode)
    if reached is not None:
        s = metrics.success(episode)
        remarks.append(
            f"success: {'yes' if reached else 'no'}; changes {s.right_changes} of {s.expected_changes} right, "
            f"{s.wrong_changes} wrong; told {s.told} of {s.to_tell}; forbidden actions {s.forbidden}"
        )
        remarks += [_breach(episode, violation) for violation in metrics.violations(episode)]
    remarks += [f"changed: {c.path}: {c.before!r} → {c.after!r}" for c in episode.journal]
    return remarks


def _breach(episode: Episode, violation: metrics.Violation) -> str:
    """A broken rule with what broke it: a call by its name and arguments, not as it was written."""
    steps = episode.turns[violation.turn].steps
    call = next((s.message.tool_call for s in steps if s.message.text == violation.text), None)
    done = f"{call.name} {', '.join(map(str, call.arguments.values()))}" if call else violation.text
    return f"rule broken in turn {violation.turn}: {violation.rule.replace('_', ' ')}: {one_line(done)}"


def opinion(rating: Rating) -> str:
    """A rating on one line."""
    about = "the whole" if rating.turn is None else f"turn {rating.turn}"
    otherwise = "compared" if "pair" in rating.extra else "remarked on"
    value = f"rated {rating.value:+g}" if rating.value is not None else otherwise
    said = " ".join(part for part in (", ".join(rating.tags), rating.comment, _corrected(rating)) if part)
    return f"{value} by {one_line(rating.rater, 40)} ({about}) {one_line(said)}".rstrip()


def _corrected(rating: Rating) -> str:
    return f"should have said: {rating.correction}" if rating.correction else ""


def _points(episode: Episode, ratings: Sequence[Rating]) -> Iterator[Point]:
    for number, turn in enumerate(episode.turns):
        for step in turn.steps:
            if step.message.malformed:
                yield Point(turn=number, why=f"not a call: {one_line(step.message.malformed, 60)}")
            elif step.result is not None and step.result.error:
                yield Point(turn=number, why=f"tool error: {one_line(step.result.text, 60)}")
        if any(act.kind == "confused" for act in turn.user.acts):
            yield Point(turn=number, why="the customer did not understand the reply before")
    for violation in metrics.violations(episode):
        yield Point(turn=violation.turn, why=f"rule broken: {violation.rule.replace('_', ' ')}")
    for rating in ratings:
        if rating.turn is not None and rating.value is not None and rating.value < 0:
            yield Point(turn=rating.turn, why=f"rated {rating.value:+g}", rated=True)
