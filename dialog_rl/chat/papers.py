"""What stays on a person's own machine, wherever the conversations are: drafts, and what was exported."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from dialog_rl import durable
from dialog_rl.chat.export import export
from dialog_rl.chat.saved import Saved
from dialog_rl.episode import Rating
from dialog_rl.errors import EpisodeLogError

DRAFT = "draft.txt"
EXPORTS = "exports"
ENDINGS = {"md": ".md", "json": ".jsonl", "pairs": ".pairs.jsonl"}


class Papers:
    """In one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def export(self, kind: str, saved: Saved, ratings: Sequence[Rating], *, trains: bool | None) -> Path:
        """Write a conversation, in place of what was exported of it before. Raises ConfigError, EpisodeLogError."""
        text = export(kind, saved.episode, ratings, title=saved.title, trains=trains)
        name = re.sub(r"[^A-Za-z0-9_-]", "_", saved.id)
        path = self._folder / EXPORTS / f"{name}{ENDINGS[kind]}"
        with durable.failing_as(EpisodeLogError, f"{path}: cannot be written"):
            path.parent.mkdir(exist_ok=True)
            durable.write_file(path, text.encode("utf-8"))
        return path

    def draft(self) -> str:
        """What was typed last time and never sent."""
        try:
            return self._draft_file.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def keep_draft(self, text: str) -> None:
        """Keep what is typed and not sent; nothing, if there is nothing. Raises EpisodeLogError."""
        with durable.failing_as(EpisodeLogError, f"{self._draft_file}: cannot be written"):
            if text:
                durable.write_file(self._draft_file, text.encode("utf-8", "replace"))
            else:
                self._draft_file.unlink(missing_ok=True)

    @property
    def _draft_file(self) -> Path:
        return self._folder / DRAFT
