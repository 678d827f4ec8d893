"""Conversations to learn from, as rows of ids: what is observed, what is an action, which values are copied in it.

No torch here, so that processes which only make demonstrations start fast.
"""

from __future__ import annotations

import functools
import itertools
import json
import multiprocessing
import random
import re
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.pool import AsyncResult

from dialog_rl.episode import Message, Role
from dialog_rl.lm.renderer import EmbeddedRenderer, call_text
from dialog_rl.lm.tokenizer import ASSISTANT, END, SPACE, USER, IncrementalDecoder, Tokenizer

_WORD = re.compile(r"(?<![a-z])[a-z]{3,}(?![a-z])")
_NUMBER = re.compile(r"\d[\d.:/-]*\d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """One finished conversation, calls and their results included, in order."""

    messages: tuple[Message, ...]
    episode_return: float
    """What the value head should expect of a conversation that goes like this."""
    pack: str = ""


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
    episode_return: float | None
    """None: no conversation, nothing for the critic to learn."""
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
    for message in demonstration.messages:
        if message.role is not Role.ASSISTANT:
            unobserved.append(message)
            continue
        observation, action = renderer.observe(unobserved), renderer.action(message)
        unobserved.clear()
        ids += observation
        if find_copies:
            copies += _copies(message, action, renderer, offset=len(ids))
        ids += action
        mask += [False] * len(observation) + [True] * len(action)
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


def rename(demonstration: Demonstration, rng: random.Random, *, share: float = 0.5) -> Demonstration:
    """The same conversation about other names: words that a call repeats after the user become made-up ones.

    A pack has some hundred names; a model that has seen only those learns to pick from them instead of repeating what
    it was told. Each word is exchanged everywhere in the conversation, whatever its case.
    """
    made_up = {word: _nonsense(rng) for word in _repeated_words(demonstration) if rng.random() < share}
    if not made_up:
        return demonstration
    pattern = re.compile(rf"(?<![A-Za-z])({'|'.join(made_up)})(?![A-Za-z])", re.IGNORECASE)

    def exchanged(text: str) -> str:
        return pattern.sub(lambda found: _in_the_case_of(found[0], made_up[found[0].lower()]), text)

    return replace(demonstration, messages=tuple(_with_text(m, exchanged) for m in demonstration.messages))


def _repeated_words(demonstration: Demonstration) -> list[str]:
    said: set[str] = set()
    repeated: dict[str, None] = {}
    for message in demonstration.messages:
        if message.role is Role.USER:
            said.update(_WORD.findall(message.text.lower()))
        for value in message.tool_call.arguments.values() if message.tool_call else ():
            words = _WORD.findall(value.lower()) if isinstance(value, str) else []
            repeated.update(dict.fromkeys(word for word in words if word in said))
    return list(repeated)


def _with_text(message: Message, change: Callable[[str], str]) -> Message:
    call = message.tool_call
    if call is not None:
        values = {k: change(v) if isinstance(v, str) else v for k, v in call.arguments.items()}
        call = replace(call, arguments=values)
    return replace(message, text=change(message.text), tool_call=call)


def _nonsense(rng: random.Random) -> str:
    return "".join(rng.choice("bcdfghjklmnprstvwyz") + rng.choice("aeiou") + rng.choice(("", "", *"lnrstx"))
                   for _ in range(rng.randint(1, 3)))  # fmt: skip


def _in_the_case_of(model: str, word: str) -> str:
    if model.isupper():
        return word.upper()
    return word.capitalize() if model[0].isupper() else word


def respell(row: Row, tokenizer: Tokenizer, rng: random.Random, *, share: float = 0.5) -> Row:
    """The same text with some pieces of copied values split in two or more, everywhere in the row alike.

    Names known from the demonstrations are one piece each; a new customer's name takes several. So that those are
    copied too, known ones are practised in pieces. Expects a row made with `find_copies`; the new one has none.
    """
    observed = {i for i, acted in zip(row.ids, row.action_mask, strict=True) if not acted}
    copied = {i for copy in row.copies for i in row.ids[copy.start : copy.stop]} & observed
    parts = {i: _split(i, tokenizer, rng) for i in sorted(copied) if rng.random() < share}
    spelled = [(part, acted) for i, acted in zip(row.ids, row.action_mask, strict=True) for part in parts.get(i, (i,))]
    return replace(row, ids=tuple(i for i, _ in spelled), action_mask=tuple(acted for _, acted in spelled), copies=())


def _split(token: int, tokenizer: Tokenizer, rng: random.Random) -> tuple[int, ...]:
    """Ids of smaller pieces that spell the same; the token itself if there are none, or if it is a byte or a mark."""
    piece = tokenizer.piece(token)
    if tokenizer.byte_of(token) is not None or not piece.strip(SPACE).isalpha():
        return (token,)
    halves = [(tokenizer.id_of(piece[:k]), tokenizer.id_of(piece[k:])) for k in range(1, len(piece))]
    whole = [(left, right) for left, right in halves if left is not None and right is not None]
    if not whole:
        return (token,)
    left, right = rng.choice(whole)
    return tuple(i for half in (left, right) for i in (_split(half, tokenizer, rng) if rng.random() < 0.5 else (half,)))


def drill(tokenizer: Tokenizer, rng: random.Random, *, words: int = 12) -> Row:
    """A row to learn copying from: words of random pieces, which come again in another order in the agent's turn.

    Nothing in it can be known but by looking it up. The first piece of a word cannot be known at all, so it is no
    action; every further one follows from its predecessor.
    """
    mark = {name: tokenizer.special(name) for name in (USER, ASSISTANT, END)}
    digits, pieces = tokenizer.encode("0123456789"), _whole_pieces(tokenizer)
    pools = [digits if rng.random() < 0.5 else pieces for _ in range(words)]
    asked = [[rng.choice(pool) for _ in range(rng.randint(2, 8))] for pool in pools]
    said = rng.sample(asked, words)
    observed = [mark[USER], *itertools.chain(*asked), mark[END], mark[ASSISTANT]]
    follows = [at > 0 for word in said for at in range(len(word))]
    return Row(
        ids=(*observed, *itertools.chain(*said), mark[END]),
        action_mask=(*[False] * len(observed), *follows, True),
        episode_return=None,
    )


@functools.lru_cache(maxsize=4)
def _whole_pieces(tokenizer: Tokenizer) -> list[int]:
    """The ids that stand for text, bytes left out."""
    return [i for i in range(len(tokenizer)) if tokenizer.piece(i) and tokenizer.byte_of(i) is None]


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
