"""Speaking with the champion, whoever that is by now: looked up before each turn, never within one.

A version counts as active once a process that speaks has taken it up and said so. What was remembered of a conversation
under another version's weights is dropped with its voice; the next voice reads the conversation's ids again.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from dialog_rl.chat.voice import Spoken, Voice
from dialog_rl.episode import Message, Step
from dialog_rl.errors import CheckpointError, ModelError, SupersededError
from dialog_rl.lm import journal, promotions, shared, versions
from dialog_rl.lm.journal import CHAMPION
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.speaker import speaks_alone
from dialog_rl.online.watch import Watch

logger = logging.getLogger(__name__)

_RECENT = 2
"""Models kept for conversations that have just looked up which version is to speak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Serving:
    model: SpeakingModel
    pins: ExitStack


class VersionFollower:
    """The version that an alias means, loaded. Safe to ask from many threads."""

    def __init__(
        self, stores: Sequence[Path], *, alias: str = CHAMPION, confirm: Callable[[str], object] = lambda version: None
    ) -> None:
        """stores: looked through in order. confirm: told of a version once this process speaks with it."""
        self._stores, self._alias, self._confirm = tuple(stores), alias, confirm
        self._lock = threading.Lock()
        self._seen: object = None
        self._serving: _Serving | None = None

    def current(self) -> SpeakingModel:
        """The model that the next turn is to be spoken with. To be asked between turns only.

        A version that cannot be loaded is passed over as long as there is an earlier one to speak with. Raises
        CheckpointError if there is none.
        """
        with self._lock:
            signature = self._signature()
            if self._serving is None or signature != self._seen:
                self._look_up()
                self._seen = signature
            assert self._serving is not None
            return self._serving.model

    def close(self) -> None:
        """Let go of the version, which may be cleared away then."""
        with self._lock:
            if self._serving is not None:
                self._serving.pins.close()
            self._serving, self._seen = None, None

    def _signature(self) -> tuple[tuple[int, int, int] | None, ...]:
        """Changes whenever a promotion is written."""
        return tuple(_stamp(store / journal.JOURNAL) for store in self._stores)

    def _look_up(self) -> None:
        try:
            found = versions.find(self._stores, self._alias)
            if self._serving is not None and found.id == self._serving.model.version:
                return
            fresh = _open(found)
        except CheckpointError as e:
            if self._serving is None:
                raise
            logger.error("%s; version %s goes on speaking", e, self._serving.model.version)
            return
        before, self._serving = self._serving, fresh
        if before is not None:
            logger.info("version %s speaks from here on, no longer %s", fresh.model.version, before.model.version)
            before.pins.close()
        self._confirm(fresh.model.version)


def _open(version: versions.Version) -> _Serving:
    pins = ExitStack()
    try:
        pins.enter_context(promotions.pinned(version))
        return _Serving(model=SpeakingModel.load(version.path), pins=pins)
    except BaseException:
        pins.close()
        raise


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def keep_fresh(store: Path, *, every: float = 5.0) -> None:
    """Where a store is a copy of one that machines share, bring it up to date until this process ends."""
    if shared.of(store) is None:
        return

    def go_on() -> None:
        while True:
            try:
                promotions.refresh(store)
            except CheckpointError as e:
                logger.warning("%s; who speaks goes on speaking", e)
            time.sleep(every)

    threading.Thread(target=go_on, name="versions", daemon=True).start()


class FollowingVoices:
    """Voices of the champion for conversations with people, watched: a version that misbehaves is taken back.

    Safe to ask from many threads; each voice is for one.
    """

    def __init__(
        self, follower: VersionFollower, watch: Watch | None = None, speaks: Callable[..., Voice] = speaks_alone
    ) -> None:
        """speaks: makes a model's voice in one conversation; asked as `speaks_alone` is."""
        self._follower, self._watch, self._speaks = follower, watch, speaks
        self._lock = threading.Lock()
        self._models: dict[str, SpeakingModel] = {}

    @property
    def tokenizer(self) -> str:
        return self._follower.current().renderer.fingerprint

    def current(self) -> str:
        model = self._follower.current()
        with self._lock:
            kept = [*(m for m in self._models.values() if m.version != model.version), model][-_RECENT:]
            self._models = {m.version: m for m in kept}
        return model.version

    def voice(self, version: str, *, seed: int, temperature: float, history: Sequence[Step] = ()) -> Voice:
        """Raises SupersededError for a version that `current` has not named lately."""
        model = self._models.get(version)
        if model is None:
            raise SupersededError(f"version {version} does not speak any more; ask which one does")
        speaker = self._speaks(model, seed=seed, temperature=temperature, history=history)
        said = next((step.message.text for step in reversed(history) if step.result is None), "")
        return speaker if self._watch is None else WatchedVoice(speaker, version, self._watch, said=said)


class WatchedVoice:
    """A voice whose replies, and whose failures to make one, are watched."""

    def __init__(self, voice: Voice, version: str, watch: Watch, *, said: str = "") -> None:
        """said: its last reply in this conversation."""
        self._voice, self._version, self._watch, self._said = voice, version, watch, said

    def speak(self, messages: Sequence[Message], *, cancelled: Callable[[], bool]) -> Iterator[str | Spoken]:
        try:
            for part in self._voice.speak(messages, cancelled=cancelled):
                if not isinstance(part, str) and part.ending != "cancelled":
                    self._notice(part)
                yield part
        except ModelError as e:
            self._watch.broken(self._version, str(e))
            raise

    def _notice(self, spoken: Spoken) -> None:
        message = spoken.message
        if message.tool_call is None and not message.malformed:
            self._watch.replied(self._version, empty=not message.text.strip(), repeated=message.text == self._said)
            self._said = message.text
        elif message.malformed:
            self._watch.failed(self._version)


def roll_back(root: Path, version: str, reason: str, *, by: str) -> str:
    """Let the champion before speak again, if `version` is champion now. The version that speaks then, or nothing."""
    if journal.standing(root).get(CHAMPION) != version:
        return ""
    if not promotions.previous(root, CHAMPION):
        logger.error("version %s misbehaves (%s), and there is no earlier one to go back to", version, reason)
        return ""
    target = promotions.rollback(root, CHAMPION, reason=reason, by=by).version
    logger.error("version %s was rolled back to %s: %s", version, target, reason)
    return target
