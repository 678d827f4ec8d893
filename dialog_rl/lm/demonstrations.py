"""Conversations to learn from, as rows of ids: what is observed, what is an action, which values are copied in it.

No torch here, so that processes which only make demonstrations start fast.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import re
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.pool import AsyncResult

from dialog_rl.episode import Message, Role
from dialog_rl.lm.renderer import EmbeddedRenderer, call_text
from dialog_rl.lm.tokenizer import IncrementalDecoder, Tokenizer

_NUMBER = re.compile(r"\d[\d.:/-]*\d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """One finished conversation, calls and their results included, in order."""

    messages: tuple[Message, ...]
    episode_return: float
    """What the value head should expect of a conversation that goes like this; NaN where nobody knows."""
    pack: str = ""
    slips: frozenset[int] = frozenset()
    """Actions, counted from 0, that are seen and not learned: what comes after them puts them right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A value within a row that has to be exactly right: ids[start:stop]."""

    kind: str
    """An argument's name, or "number" for digits in a reply."""
    start: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    ids: tuple[int, ...]
    action_mask: tuple[bool, ...]
    episode_return: float
    copies: tuple[Copy, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)


def row_of(demonstration: Demonstration, renderer: EmbeddedRenderer, *, find_copies: bool = False) -> Row:
    """The row of ids that driving this conversation would have made, plus what came after its last action, if anything.

    Raises ValueError if it has no action, or one that is malformed.
    """
    ids: list[int] = []
    mask: list[bool] = []
    copies: list[Copy] = []
    unobserved: list[Message] = []
    actions = itertools.count()
    for message in demonstration.messages:
        if message.role is not Role.ASSISTANT:
            unobserved.append(message)
            continue
        observation, action = renderer.observe(unobserved), renderer.action(message)
        unobserved.clear()
        ids += observation
        learned = next(actions) not in demonstration.slips
        if find_copies and learned:
            copies += _copies(message, action, renderer, offset=len(ids))
        ids += action
        mask += [False] * len(observation) + [learned] * len(action)
    if not ids:
        raise ValueError("a demonstration without an action of the agent teaches nothing")
    return Row(
        ids=tuple(ids), action_mask=tuple(mask), episode_return=demonstration.episode_return, copies=tuple(copies)
    )


def texts_of(demonstrations: Iterable[Demonstration]) -> Iterator[str]:
    """Every text that the tokenizer will have to spell, calls as they are written."""
    for demonstration in demonstrations:
        for message in demonstration.messages:
            yield call_text(message.tool_call) if message.tool_call is not None else message.text


def in_processes(
    make: Callable[[int], Demonstration], numbers: Iterable[int], *, processes: int, chunk: int = 32
) -> Iterator[Demonstration]:
    """`make(n)` for each number, in their order, computed by other processes. `make` must be importable by name.

    Runs only a few chunks ahead of whoever takes the results, so `numbers` may be endless.
    """
    if processes <= 1:
        yield from map(make, numbers)
        return
    source = iter(numbers)
    with multiprocessing.get_context("spawn").Pool(processes, initializer=_leave_interrupts_to_the_parent) as pool:
        pending: deque[AsyncResult[list[Demonstration]]] = deque()
        while True:
            while len(pending) < 4 * processes and (some := list(itertools.islice(source, chunk))):
                pending.append(pool.map_async(make, some, chunksize=chunk))
            if not pending:
                return
            yield from pending.popleft().get()


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _copies(message: Message, action: Sequence[int], renderer: EmbeddedRenderer, *, offset: int) -> Iterator[Copy]:
    skipped = 0 if message.tool_call is None else 1
    text = message.text if message.tool_call is None else call_text(message.tool_call)
    bounds = _char_bounds(action[skipped:-1], renderer.tokenizer)
    for kind, first, last in _value_spans(message, text):
        inside = [i for i, (start, stop) in enumerate(bounds) if start < last and stop > first]
        while inside and inside[0] > 0 and bounds[inside[0] - 1] == (first, first):
            inside.insert(0, inside[0] - 1)  # the marks of capitals belong to the value too
        if inside:
            yield Copy(kind=kind, start=offset + skipped + inside[0], stop=offset + skipped + inside[-1] + 1)


def _value_spans(message: Message, text: str) -> Iterator[tuple[str, int, int]]:
    if message.tool_call is None:
        yield from (("number", m.start(), m.end()) for m in _NUMBER.finditer(text))
        return
    position = 0
    for name, value in message.tool_call.arguments.items():
        position = text.index(json.dumps(name, ensure_ascii=False), position) + len(name) + 3
        written = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        quotes = 1 if isinstance(value, str) else 0
        yield name, position + quotes, position + len(written) - quotes
        position += len(written)


def _char_bounds(ids: Sequence[int], tokenizer: Tokenizer) -> list[tuple[int, int]]:
    """The characters that each id adds to the decoded text."""
    decoder, at = IncrementalDecoder(tokenizer), 0
    bounds = []
    for i in ids:
        start, at = at, at + len(decoder.push(i))
        bounds.append((start, at))
    return bounds
