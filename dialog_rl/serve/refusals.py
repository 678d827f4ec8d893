"""What the service cannot do for a client, in the form that OpenAI's clients read errors in."""

from __future__ import annotations

from typing import Any

from dialog_rl.chat.talk import NotSent
from dialog_rl.chat.turns import CannotGoOn
from dialog_rl.errors import CheckpointError, ConfigError, DialogRLError, ModelError, ScenarioError


class Refused(DialogRLError):
    """A request that is not served. The message says what was found and what would be right."""

    def __init__(
        self, message: str, *, status: int = 400, code: str = "invalid_request", param: str = "", wait: float = 0.0
    ) -> None:
        """wait: seconds after which it may be tried again."""
        super().__init__(message)
        self.status, self.code, self.param, self.wait = status, code, param, wait

    def document(self) -> dict[str, Any]:
        kinds = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
        kind = kinds.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        told = {"message": str(self), "type": kind, "param": self.param or None, "code": self.code}
        return {"error": told}

    def headers(self) -> dict[str, str]:
        headers = {"Retry-After": str(max(1, round(self.wait)))} if self.wait else {}
        return {**headers, "WWW-Authenticate": "Bearer"} if self.status == 401 else headers


def refusal(error: Exception) -> Refused:
    """Any failure as one that can be told. What nobody foresaw is told without its words: they may be somebody's."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, NotSent):
        return Refused(str(error), code="not_sent", param="messages")
    if isinstance(error, CannotGoOn):
        return Refused(str(error), code="cannot_go_on", param="messages")
    if isinstance(error, ScenarioError | ConfigError):
        return Refused(str(error))
    if isinstance(error, ModelError | CheckpointError):
        return Refused(str(error), status=503, code="model_error", wait=5)
    if isinstance(error, DialogRLError):
        return Refused("the log cannot be read or written now", status=503, code="log_error", wait=5)
    return Refused(f"a fault in the service: {type(error).__name__}", status=500, code="internal_error")
