"""Asking an OpenAI-compatible chat server: bounded replies, patient with a busy one, never redirected."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dialog_rl.errors import ConfigError, PluginError

_REPLY_LIMIT = 1 << 20
_AGAIN = (408, 429)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would send the conversation, and the key with it, somewhere that nobody configured."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatServer:
    url: str
    """The server's base, as in http://127.0.0.1:8000/v1."""
    model: str
    key: str = ""
    """Sent as a bearer token where there is one; not part of any message."""
    timeout: float = 60.0
    """Seconds a request may take."""
    attempts: int = 3

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ConfigError(f"a chat server's url must begin with http:// or https://, not {self.url!r}")
        if self.attempts < 1:
            raise ConfigError(f"attempts must be at least 1, not {self.attempts}")

    def __repr__(self) -> str:
        return f"ChatServer(url={self.url!r}, model={self.model!r})"

    def complete(self, messages: Sequence[Mapping[str, str]], **sampling: Any) -> str:
        """The text of the answer. Raises PluginError if the server gives none."""
        answer = self._post({"model": self.model, "messages": list(messages), **sampling})
        try:
            return str(answer["choices"][0]["message"]["content"])
        except (KeyError, IndexError, TypeError) as e:
            raise PluginError(f"{self.url}: the answer is not a chat completion") from e

    def _post(self, body: Mapping[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        url = self.url.rstrip("/") + "/chat/completions"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        opener = urllib.request.build_opener(_NoRedirects)
        error = ""
        for attempt in range(self.attempts):
            try:
                with opener.open(request, timeout=self.timeout) as reply:
                    return json.loads(reply.read(_REPLY_LIMIT))
            except urllib.error.HTTPError as e:
                error = f"HTTP {e.code} {e.reason}"
                if e.code < 500 and e.code not in _AGAIN:
                    break
            except (OSError, ValueError) as e:
                error = f"{type(e).__name__}: {getattr(e, 'reason', e)}"
            if attempt + 1 < self.attempts:
                time.sleep(min(4.0, 0.2 * 2**attempt))
        raise PluginError(f"{url}: {error}")
