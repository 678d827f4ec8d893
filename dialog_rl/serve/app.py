"""The service's routes. Every one is a few lines: what they do is in the modules that they call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from dialog_rl import __version__
from dialog_rl.chat.room import ChatRoom
from dialog_rl.errors import DialogRLError
from dialog_rl.online.eligibility import Rules
from dialog_rl.serve import door
from dialog_rl.serve.completions import Completions
from dialog_rl.serve.conversations import Conversations
from dialog_rl.serve.figures import Figures
from dialog_rl.serve.keys import Keys, Owner
from dialog_rl.serve.records import Records
from dialog_rl.serve.refusals import Refused, refusal
from dialog_rl.serve.turns import Turns
from dialog_rl.serve.wire import ChatRequest, ConsentRequest, ConversationRequest, RatingRequest
from dialog_rl.text import one_line

_SWEEP = 5.0
"""Seconds between two looks for conversations that were left."""
_NO_TELEMETRY: Any = dict.fromkeys(("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False)
"""FastAPI's own would record why requests were refused, with what was in them, wherever a program has set it up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig:
    packs: tuple[str, ...]
    """That may be asked for; the first one where none is."""
    name: str = "champion"
    """What the version that speaks is called, beside its id."""
    at_once: int = 32
    """Turns that are made at once."""
    waiting: int = 256
    """Turns that may wait for that."""
    turn_seconds: float = 120.0
    idle_seconds: float = 1800.0
    """After which a conversation counts as left."""
    longest_reply: int = 96
    """Tokens."""
    limits: door.Limits = field(default_factory=door.Limits)


class Service:
    """Everything behind the routes."""

    def __init__(
        self,
        room: ChatRoom,
        config: ServiceConfig,
        keys: Keys,
        *,
        rules: Callable[[], Rules],
        gauges: Callable[[], dict[str, float]] = dict,
    ) -> None:
        """rules: what waiting conversations are judged by, for receipts. gauges: figures of the decoder."""
        self.room, self.config, self.keys, self.figures = room, config, keys, Figures()
        self.conversations = Conversations(room, config.packs, idle=config.idle_seconds)
        self.turns = Turns(at_once=config.at_once, waiting=config.waiting, seconds=config.turn_seconds)
        self.records = Records(room.log, self.conversations, rules)
        self.completions = Completions(
            self.conversations, self.turns, self.figures, self.names, longest_reply=config.longest_reply
        )
        self.draining = False
        self._gauges, self._began = gauges, int(time.time())

    def names(self) -> tuple[str, ...]:
        """What the version that speaks may be called."""
        return self.config.name, self.room.voices.current()

    def models(self) -> dict[str, Any]:
        named = [(name, "") for name in self.names()] + [(self.config.name, f":{pack}") for pack in self.config.packs]
        version = self.room.voices.current()
        about = {"object": "model", "created": self._began, "owned_by": "dialog_rl", "version": version}
        return {"object": "list", "data": [{"id": name + suffix, **about} for name, suffix in named if name]}

    def metrics(self) -> str:
        gauges = {
            "turns_under_way": self.turns.under_way, "conversations_known": len(self.conversations), **self._gauges()
        }  # fmt: skip
        return self.figures.text(gauges, self.room.voices.current())

    def require_ready(self) -> None:
        """Raises Refused unless a request would be served now."""
        if self.draining:
            raise Refused("going down", status=503, code="draining")
        self.room.log.last_seq()
        self.room.voices.current()

    async def sweep_on(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            self.figures.count("conversations_left_total", await asyncio.to_thread(self.conversations.sweep))


def application(service: Service) -> door.App:
    """The whole service as an ASGI application."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(service.sweep_on())
        yield
        service.draining = True
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping
        await asyncio.to_thread(service.turns.close)

    api: Any = FastAPI(
        title="dialog_rl", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        telemetry=_NO_TELEMETRY,
    )  # fmt: skip
    _speaking_routes(api, service)
    _record_routes(api, service)
    _watching_routes(api, service)

    def told(_: Request, error: Exception) -> Response:
        refused = refusal(error)
        return JSONResponse(refused.document(), status_code=refused.status, headers=refused.headers())

    def malformed(request: Request, error: Any) -> Response:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return told(request, Refused("the body is not JSON", code="not_json"))
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        return told(request, Refused(f"{one_line(where, 80) or 'body'}: {first['msg']}", param=one_line(where, 80)))

    def no_route(request: Request, error: Any) -> Response:
        return told(request, Refused(f"{error.detail}: see the README", status=error.status_code, code="no_route"))

    api.add_exception_handler(DialogRLError, told)
    api.add_exception_handler(Exception, told)
    api.add_exception_handler(RequestValidationError, malformed)
    api.add_exception_handler(HTTPException, no_route)
    return door.Door(api, service.keys, service.figures, service.config.limits)


def _owner(request: Request) -> Owner:
    return request.state.owner


def _speaking_routes(api: FastAPI, service: Service) -> None:
    @api.post("/v1/chat/completions")
    async def complete(request: Request, body: ChatRequest) -> Response:
        return await service.completions.answer(request, body, _owner(request))

    @api.get("/v1/models")
    def models() -> dict[str, Any]:
        return service.models()


def _record_routes(api: FastAPI, service: Service) -> None:
    records = service.records

    @api.post("/v1/conversations", status_code=201)
    def begin(request: Request, body: ConversationRequest) -> dict[str, Any]:
        return records.begin(body, _owner(request))

    @api.get("/v1/episodes")
    def episodes(request: Request, since: int = 0, limit: int = 50, pack: str = "") -> dict[str, Any]:
        return records.episodes(_owner(request), since=max(0, since), limit=min(200, max(1, limit)), pack=pack)

    @api.get("/v1/episodes/{episode}")
    def episode(request: Request, episode: str) -> dict[str, Any]:
        return records.episode(episode, _owner(request))

    @api.get("/v1/episodes/{episode}/receipts")
    def receipts(request: Request, episode: str) -> dict[str, Any]:
        return records.receipts(episode, _owner(request))

    @api.post("/v1/episodes/{episode}/end")
    def end(request: Request, episode: str) -> dict[str, Any]:
        return records.end(episode, _owner(request))

    @api.post("/v1/ratings")
    def rate(request: Request, body: RatingRequest) -> Response:
        told, is_new = records.rate(body, _owner(request), request.headers.get("idempotency-key", ""))
        return JSONResponse(told, status_code=201 if is_new else 200)

    @api.get("/v1/receipts/{rating}")
    def receipt(request: Request, rating: str) -> dict[str, Any]:
        return records.receipt(rating, _owner(request))

    @api.post("/v1/consent")
    def consent(request: Request, body: ConsentRequest) -> dict[str, Any]:
        return records.consent(body, _owner(request))


def _watching_routes(api: FastAPI, service: Service) -> None:
    @api.get("/healthz")
    async def alive() -> dict[str, str]:
        return {"status": "ok"}

    @api.get("/readyz")
    def ready() -> dict[str, str]:
        service.require_ready()
        return {"status": "ok"}

    @api.get("/metrics")
    def metrics() -> Response:
        return PlainTextResponse(service.metrics(), media_type="text/plain; version=0.0.4")
