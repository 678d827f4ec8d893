"""Does a reward keep its contract? Ten questions that `plugins check` and the test kit put to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dialog_rl.episode import Episode, Message, Role, Step, StopReason, ToolCall, Turn, to_json
from dialog_rl.errors import RewardError
from dialog_rl.scoring import Reward, Score, checked_scores

SLOW = 0.05
"""Seconds an episode above which training would notice."""
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question and its answer."""

    name: str
    passed: bool
    detail: str = ""


def check_reward(make: Callable[[], Reward], episodes: Sequence[Episode] = ()) -> list[Check]:
    """Put every question; `make` makes a fresh instance. Without episodes, a few made-up ones serve."""
    episodes = list(episodes) or sample_episodes()
    questions: list[tuple[str, Callable[[], str]]] = [
        ("leaves the episodes as they were", lambda: _unchanged(make(), episodes)),
        ("scores every episode with finite numbers in its bounds", lambda: _scores(make, episodes)),
        ("takes an empty batch", lambda: _empty(make)),
        ("gives the same scores again", lambda: _same(make(), make(), episodes)),
        ("gives the same scores to one instance twice", lambda: _twice(make(), episodes)),
        ("does not depend on the order", lambda: _order(make(), episodes)),
        ("does not depend on the rest of the batch", lambda: _alone(make(), episodes)),
        ("takes any text", lambda: _scores(make, unicode_episodes())),
        ("takes unusual episodes", lambda: _scores(make, odd_episodes())),
        ("is fast enough", lambda: _speed(make(), episodes)),
    ]
    answers: list[Check] = []
    for name, question in questions:
        try:
            wrong = question()
        except RewardError as e:
            wrong = str(e)
        answers.append(Check(name=name, passed=not wrong, detail=wrong))
    return answers


def _scores(make: Callable[[], Reward], episodes: Sequence[Episode]) -> str:
    checked_scores(make(), episodes)
    return ""


def _empty(make: Callable[[], Reward]) -> str:
    checked_scores(make(), [])
    return ""


def _same(a: Reward, b: Reward, episodes: Sequence[Episode]) -> str:
    return _difference(checked_scores(a, episodes), checked_scores(b, episodes), episodes, "another instance")


def _twice(reward: Reward, episodes: Sequence[Episode]) -> str:
    return _difference(checked_scores(reward, episodes), checked_scores(reward, episodes), episodes, "a second call")


def _order(reward: Reward, episodes: Sequence[Episode]) -> str:
    forth = checked_scores(reward, episodes)
    back = checked_scores(reward, list(reversed(episodes)))
    return _difference(forth, list(reversed(back)), episodes, "the reversed batch")


def _alone(reward: Reward, episodes: Sequence[Episode]) -> str:
    together = checked_scores(reward, episodes)
    alone = [checked_scores(reward, [episode])[0] for episode in episodes]
    return _difference(together, alone, episodes, "a batch of its own")


def _unchanged(reward: Reward, episodes: Sequence[Episode]) -> str:
    before = [to_json(episode) for episode in episodes]
    checked_scores(reward, episodes)
    changed = [e.episode_id for e, was in zip(episodes, before, strict=True) if to_json(e) != was]
    return f"it changed episode {changed[0]!r}" if changed else ""


def _speed(reward: Reward, episodes: Sequence[Episode]) -> str:
    batch = [replace(e, episode_id=f"{e.episode_id}-{n}") for n in range(4) for e in episodes]
    checked_scores(reward, episodes)
    started = time.perf_counter()
    checked_scores(reward, batch)
    each = (time.perf_counter() - started) / len(batch)
    return f"{1000 * each:.0f} ms an episode; at most {1000 * SLOW:.0f} ms" if each > SLOW else ""


def _difference(a: Sequence[Score], b: Sequence[Score], episodes: Sequence[Episode], where: str) -> str:
    for one, other, episode in zip(a, b, episodes, strict=True):
        if not _equal(one.value, other.value) or len(one.per_step or ()) != len(other.per_step or ()):
            return f"{episode.episode_id!r}: {one.value} at first, {other.value} in {where}"
        for x, y in zip(one.per_step or (), other.per_step or (), strict=True):
            if not _equal(x, y):
                return f"{episode.episode_id!r}: {one.per_step} at first, {other.per_step} in {where}"
    return ""


def _equal(a: float | None, b: float | None) -> bool:
    if a is None or b is None:
        return a is b
    return abs(a - b) <= TOLERANCE * max(1.0, abs(a), abs(b))


def sample_episodes() -> list[Episode]:
    """Five ordinary conversations."""
    parcel = _called("get_order", '{"status": "shipped", "date": "March 12"}', order_id="4471")
    refused = _called("cancel_order", "not possible: the order is shipped", error=True, order_id="4471")
    return [
        _episode("a", ("where is my parcel 4471?", parcel, _said("It arrives on March 12.")), ("thanks!",)),
        _episode("b", ("cancel 4471", refused, _said("I am sorry, it has been shipped.")), ("this is ridiculous",)),
        _episode("c", ("hello", _said("Hello! What can I do for you?")), ("nothing", _said("Goodbye."))),
        _episode("d", ("我的包裹在哪里？", parcel, _said("3月12日送达，谢谢您。")), ("好的，谢谢",)),
        _episode("e", ("hi", _said("Please tell me your order number, thank you very much. " * 5))),
    ]


def unicode_episodes() -> list[Episode]:
    """Text that breaks careless code: controls, lone surrogates, bidi, combining marks, emoji, nothing, a lot."""
    texts = [
        "\x00\x1b[2J\x07",
        "\ud800 lone",
        "\u202eabc\u2066",
        "e" + "\u0301" * 500,
        "👩‍👩‍👧‍👦🇩🇪",
        "",
        " \n\t",
        "好" * 20_000,
    ]
    return [_episode(f"text-{n}", (text, _said(text)), (text,)) for n, text in enumerate(texts)]


def odd_episodes() -> list[Episode]:
    """No turns, no steps, unreadable calls, every way to end."""
    message = Message(role=Role.ASSISTANT, text='find {"', malformed="not JSON")
    garbled = Step(message=message, result=Message(role=Role.TOOL, text="error: not JSON", error=True))
    ends = [_episode(f"end-{stop}", ("hi", _said("hello")), stop=stop) for stop in StopReason]
    return [_episode("none"), _episode("silent", ("bye",)), _episode("garbled", ("hi", garbled, garbled)), *ends]


def _said(text: str) -> Step:
    return Step(message=Message(role=Role.ASSISTANT, text=text))


def _called(name: str, result: str, *, error: bool = False, **arguments: str) -> Step:
    call = Message(role=Role.ASSISTANT, text=name, tool_call=ToolCall(name=name, arguments=arguments))
    return Step(message=call, result=Message(role=Role.TOOL, text=result, error=error))


def _episode(name: str, *turns: tuple[str | Step, ...], stop: StopReason = StopReason.USER_LEFT) -> Episode:
    made = []
    for user, *steps in turns:
        kept = tuple(step for step in steps if isinstance(step, Step))
        made.append(Turn(user=Message(role=Role.USER, text=str(user)), steps=kept))
    system = Message(role=Role.SYSTEM, text="You are a helpful shop assistant.")
    return Episode(episode_id=name, pack="retail", scenario={}, seed=0, system=system, turns=tuple(made), stop=stop)
