"""What the rewards say in a running chat: built when they are first asked, and anew when a loose file changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialog_rl.cli import lending, opening
from dialog_rl.config import Settings, user_file
from dialog_rl.plugins.consent import FILE, read_consent
from dialog_rl.plugins.live import LiveRewards
from dialog_rl.plugins.loading import Plugins
from dialog_rl.plugins.ratings import LoggedRatings

if TYPE_CHECKING:
    from dialog_rl.chat.talk import Talk


class RewardsAtHand:
    """The settings' rewards and those of loose plugin files, for whoever chats and writes rewards at the same time."""

    def __init__(self, settings: Settings, plugins: Plugins, log: Path) -> None:
        """`log` is where the conversation's ratings are."""
        self._settings, self._plugins, self._log = settings, plugins, log
        self._files = [Path(source) for source in plugins.sources.values() if source.endswith(".py")]
        self._live: LiveRewards | None = self._open() if self._files else None

    def __enter__(self) -> RewardsAtHand:
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.close()

    def before_turn(self) -> Sequence[str]:
        """Take up what has changed since. What came of it, a line each."""
        return self._live.refresh() if self._live is not None else ()

    def reload(self) -> list[str]:
        """Take up every loose file anew."""
        return self._at_hand().reload() or ["no plugin was loaded from a file: --plugin FILE does that"]

    def of_last_reply(self, session: Talk) -> list[str]:
        """What each reward says of the last turn, a line each."""
        return self.of_reply(session, len(session.turns) - 1)

    def of_reply(self, session: Talk, number: int) -> list[str]:
        """What each reward says of a turn, a line each: as if the conversation had come no further."""
        if not session.turns:
            return ["there is no reply yet that a reward could say something of"]
        live = self._at_hand()
        opinions = live.of_last_turn(session.up_to(number))
        return [*live.remarks, *map(str, opinions)]

    def _at_hand(self) -> LiveRewards:
        self._live = self._live or self._open()
        return self._live

    def _open(self) -> LiveRewards:
        lent: dict[str, Any] = {**lending.reference(self._settings), "ratings": LoggedRatings(lambda: self._log)}
        trusted = read_consent(user_file().parent / FILE).trusted
        specs = opening.reward_specs(self._settings)
        return LiveRewards(self._plugins, self._files, specs, lent=lent, trusted=trusted)
