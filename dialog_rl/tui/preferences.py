"""What somebody chose for good: theme, keys, whether conversations may be learnt from. A JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dialog_rl import durable
from dialog_rl.errors import ConfigError

FILE = "chat.json"


class Preferences:
    """Read at the start; every change is written at once. Without a file nothing is kept."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._chosen: dict[str, Any] = _read(file) if file is not None else {}

    @property
    def theme(self) -> str:
        """Empty: nothing was chosen."""
        theme = self._chosen.get("theme", "")
        return theme if isinstance(theme, str) else ""

    @property
    def learn(self) -> bool:
        return self._chosen.get("learn") is True

    @property
    def keys(self) -> Mapping[str, str]:
        """Binding id → keys, as in {"good": "f8"}."""
        keys = self._chosen.get("keys", {})
        return {k: v for k, v in keys.items() if isinstance(v, str)} if isinstance(keys, dict) else {}

    def choose(self, **chosen: Any) -> None:
        """Keep a choice. Raises ConfigError if it cannot be written; it then holds until the end."""
        self._chosen.update(chosen)
        if self._file is not None:
            with durable.failing_as(ConfigError, f"{self._file}: cannot be written"):
                self._file.parent.mkdir(parents=True, exist_ok=True)
                durable.write_file(self._file, json.dumps(self._chosen, indent=1).encode("ascii"))


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as e:
        raise ConfigError(f"{file}: cannot be read as JSON: {e}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{file}: not an object")
    return found
