"""POST /v1/chat/completions: one turn of a conversation, whole or as server-sent events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from typing import Any, TypeVar, cast

from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from dialog_rl.chat.events import Delta, Event, Swapped
from dialog_rl.serve import wire
from dialog_rl.serve.asking import Ask, Taken
from dialog_rl.serve.conversations import Conversations
from dialog_rl.serve.figures import Figures
from dialog_rl.serve.keys import Owner
from dialog_rl.serve.refusals import Refused, refusal
from dialog_rl.serve.turns import Turns

T = TypeVar("T")
Events = AsyncGenerator[Taken | Event, None]

_AS_IT_COMES = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class Completions:
    """Answers requests for a reply."""

    def __init__(
        self,
        conversations: Conversations,
        turns: Turns,
        figures: Figures,
        names: Callable[[], tuple[str, ...]],
        *,
        longest_reply: int,
    ) -> None:
        """names: that the version which speaks may be asked for by. longest_reply: in tokens."""
        self._conversations, self._turns, self._figures = conversations, turns, figures
        self._names, self._longest = names, longest_reply

    async def answer(self, request: Request, body: wire.ChatRequest, owner: Owner) -> Response:
        """The reply. A client that goes away before it is complete has it cancelled."""
        ask = wire.read(body, request.headers, longest_reply=self._longest)
        began = time.monotonic()
        turn = cast("Events", self._turns.run(lambda cancelled: self._turn(ask, owner, cancelled)))
        gone = asyncio.create_task(_gone(request))
        try:
            taken = await _unless(gone, anext(turn))
            assert isinstance(taken, Taken)
            self._figures.took("first_token_seconds", time.monotonic() - began)
            reply = wire.Reply(model=body.model, taken=taken)
            if not body.stream:
                await _unless(gone, self._listen(reply, turn))
                return JSONResponse(reply.whole(), headers=reply.headers())
        finally:
            gone.cancel()
        usage = body.stream_options is not None and body.stream_options.include_usage
        stream = self._stream(reply, turn, usage=usage, events=ask.events)
        return StreamingResponse(stream, media_type="text/event-stream", headers=reply.headers() | _AS_IT_COMES)

    def _turn(self, ask: Ask, owner: Owner, cancelled: Callable[[], bool]) -> Iterator[Taken | Event]:
        known = self._names()
        if ask.model not in known:
            raise Refused(
                f"that model does not speak here; there are: {', '.join(known)}, each also as NAME:PACK",
                status=404, code="model_not_found", param="model",
            )  # fmt: skip
        outcome = "turns_cancelled_total"
        try:
            for event in self._conversations.answer(ask, owner, cancelled):
                if isinstance(event, Swapped):
                    self._figures.count("conversations_swapped_total")
                yield event
            outcome = "turns_cancelled_total" if cancelled() else "turns_total"
        except Refused:
            outcome = "turns_refused_total"
            raise
        except Exception:
            outcome = "turns_failed_total"
            raise
        finally:
            self._figures.count(outcome)

    async def _listen(self, reply: wire.Reply, turn: Events) -> None:
        async with aclosing(turn):
            async for event in turn:
                reply.hear(cast("Event", event))

    async def _stream(self, reply: wire.Reply, turn: Events, *, usage: bool, events: bool) -> AsyncIterator[bytes]:
        try:
            async with aclosing(turn):
                about = {"dialog_rl": reply.about()} if events else {}
                yield _line({**reply.piece({"role": "assistant", "content": ""}), **about})
                async for event in turn:
                    reply.hear(cast("Event", event))
                    if isinstance(event, Delta):
                        yield _line(reply.piece({"content": event.text}))
                    elif events:
                        yield _line(reply.event(cast("Event", event)))
        except Exception as e:  # the status has been sent: what goes wrong from here on is an event of the stream
            yield _line(refusal(e).document())
            return
        yield _line(reply.piece({}, finish=reply.finish()))
        if usage:
            yield _line(reply.counted())
        yield b"data: [DONE]\n\n"


def _line(document: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


async def _gone(request: Request) -> None:
    """Returns once the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _unless(gone: asyncio.Task[None], awaited: Awaitable[T]) -> T:
    """What is awaited, given up as soon as the client goes away."""
    task = asyncio.ensure_future(awaited)
    try:
        await asyncio.wait({gone, task}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Refused("the client has gone", status=499, code="gone")
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
