"""Asking a service over HTTP: whole answers, and replies as they are made, which can be given up at once."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from dialog_rl.errors import ConfigError, ServiceError
from dialog_rl.text import one_line

_LARGEST = 64 * 1024 * 1024
"""Bytes of an answer. A conversation that fills a model's whole context has some hundred thousand."""
_LOOK = 0.05
"""Seconds between two questions whether a reply is still wanted, while nothing comes."""


Body = Mapping[str, Any] | None


class Service:
    """One service, and the key that opens its door. Safe from many threads: a connection a request."""

    def __init__(self, url: str, *, key: str = "", seconds: float = 150.0) -> None:
        """url: as in http://127.0.0.1:8000, with or without /v1. seconds: to wait for each piece of an answer."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"a service's url begins with http:// or https:// and a host, not {one_line(url, 80)!r}")
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._host, self._port, self._tls = parts.hostname, parts.port, parts.scheme == "https"
        self._path = parts.path.rstrip("/").removesuffix("/v1")
        self._key, self._seconds = key, seconds

    def get(self, path: str) -> dict[str, Any]:
        return self._ask("GET", path, None, {})

    def post(self, path: str, body: Mapping[str, Any], *, once: str = "") -> dict[str, Any]:
        """once: the same request under the same word is done once, however often it comes."""
        return self._ask("POST", path, body, {"Idempotency-Key": once} if once else {})

    def stream(self, path: str, body: Mapping[str, Any], cancelled: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        """The answer's documents as they come. Ends early once `cancelled` says so, and the service hears of that.

        Raises ServiceError, also for an answer that breaks off.
        """
        connection = self._connection()
        heard: queue.Queue[dict[str, Any] | ServiceError | None] = queue.Queue()

        def listen() -> None:
            try:
                for document in self._documents(connection, path, body):
                    heard.put(document)
                heard.put(None)
            except ServiceError as e:
                heard.put(e)

        threading.Thread(target=listen, name="listening", daemon=True).start()
        try:
            while not cancelled():
                with suppress(queue.Empty):
                    document = heard.get(timeout=_LOOK)
                    if document is None:
                        return
                    if isinstance(document, ServiceError):
                        raise document
                    yield document
        finally:
            _hang_up(connection)

    def _documents(
        self, connection: http.client.HTTPConnection, path: str, body: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        try:
            reply = self._request(connection, "POST", path, body, {})
            if reply.status != 200:
                raise self._refusal(reply.status, reply.read(_LARGEST))
            for line in reply:
                told = line.removeprefix(b"data: ").strip()
                if told == b"[DONE]":
                    return
                if told:
                    document = json.loads(told)
                    if "error" in document:
                        raise self._refusal(reply.status, told)
                    yield document
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as e:  # the last: hung up meanwhile
            raise self._unreachable(e) from None
        raise ServiceError(f"{self.url}: the answer broke off")

    def _ask(self, method: str, path: str, body: Body, headers: Mapping[str, str]) -> dict[str, Any]:
        connection = self._connection()
        try:
            reply = self._request(connection, method, path, body, headers)
            content = reply.read(_LARGEST)
            if reply.status >= 300:
                raise self._refusal(reply.status, content)
            document = json.loads(content)
        except (OSError, http.client.HTTPException, ValueError) as e:
            raise self._unreachable(e) from None
        finally:
            connection.close()
        if not isinstance(document, dict):
            raise ServiceError(f"{self.url}{path}: not an answer of dialog-rl serve")
        return document

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._seconds, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._seconds)

    def _request(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Body,
        headers: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        sent = {"Accept": "application/json", **headers}
        if self._key:
            sent["Authorization"] = f"Bearer {self._key}"
        if body is not None:
            sent["Content-Type"] = "application/json"
        connection.request(method, self._path + path, None if body is None else json.dumps(body).encode(), sent)
        return connection.getresponse()

    def _refusal(self, status: int, content: bytes) -> ServiceError:
        try:
            told = json.loads(content)["error"]
            return ServiceError(one_line(str(told["message"]), 500))
        except (ValueError, KeyError, TypeError):
            return ServiceError(f"{self.url}: HTTP {status}, and not in the words of dialog-rl serve")

    def _unreachable(self, error: Exception) -> ServiceError:
        if isinstance(error, ValueError):
            return ServiceError(f"{self.url}: not an answer of dialog-rl serve")
        return ServiceError(f"{self.url}: {getattr(error, 'strerror', None) or error or type(error).__name__}")


def _hang_up(connection: http.client.HTTPConnection) -> None:
    """Closed under whoever waits for it in another thread: closing alone would not wake it."""
    sock = connection.sock
    if sock is not None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    connection.close()
