"""Models as the voices of conversations with people."""

from __future__ import annotations

import gc
import os
import socket
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dialog_rl.chat.voice import Voice, Voices
from dialog_rl.cli import opening
from dialog_rl.config import Settings
from dialog_rl.episode import Step

if TYPE_CHECKING:
    from dialog_rl.episode_log.log import EpisodeLog
    from dialog_rl.lm.model import SpeakingModel

CHAMPION = "champion"


class ModelVoices:
    """Voices of one model."""

    def __init__(self, model: SpeakingModel, speaks: Callable[..., Voice] | None = None) -> None:
        """speaks: makes the model's voice in one conversation; by default a decoder is opened for each."""
        self._model, self._speaks = model, speaks

    @property
    def tokenizer(self) -> str:
        return self._model.renderer.fingerprint

    def current(self) -> str:
        return self._model.version

    def voice(self, version: str, *, seed: int, temperature: float, history: Sequence[Step] = ()) -> Voice:
        from dialog_rl.lm.speaker import speaks_alone

        speaks = self._speaks or speaks_alone
        return speaks(self._model, seed=seed, temperature=temperature, history=history)


class LateVoices:
    """Voices that may still be loading: whoever asks for one waits. Another version than the current can be asked for
    by its id, for comparison.
    """

    def __init__(self, load: Callable[[], Voices], open_version: Callable[[str], Voices]) -> None:
        self._load, self._open_version = load, open_version
        self._lock = threading.Lock()
        self._loaded: Voices | None = None
        self._others: dict[str, Voices] = {}

    def prepare(self) -> str:
        """Load, if that has not been done. Returns the version that speaks. Raises what loading raises."""
        return self._voices().current()

    @property
    def tokenizer(self) -> str:
        return self._voices().tokenizer

    def current(self) -> str:
        return self._voices().current()

    def voice(self, version: str, *, seed: int, temperature: float, history: Sequence[Step] = ()) -> Voice:
        voices = self._voices()
        if version != voices.current():
            if version not in self._others:
                self._others = {version: self._open_version(version)}
            voices = self._others[version]
        return voices.voice(version, seed=seed, temperature=temperature, history=history)

    def _voices(self) -> Voices:
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
                # A full collection over all that torch has made stops everything for 0.2 s, in the middle of a reply.
                gc.freeze()
            return self._loaded


def of_the_champion(
    settings: Settings, log: EpisodeLog, *, process: str = "chat", speaks: Callable[..., Voice] | None = None
) -> Voices:
    """Followed from promotion to promotion; one that misbehaves in front of people is taken back.

    process: what it says that it is, once a version speaks here. speaks: as in `ModelVoices`.
    """
    from dialog_rl.episode_log import learning
    from dialog_rl.lm.speaker import speaks_alone
    from dialog_rl.online.following import FollowingVoices, VersionFollower, keep_fresh, roll_back
    from dialog_rl.online.watch import Watch, recall

    stores = opening.stores(settings)
    keep_fresh(stores[0])
    process = f"{process}-{socket.gethostname()}-{os.getpid()}"
    follower = VersionFollower(stores, confirm=lambda version: learning.serving(log, version, process))
    watch = Watch(lambda version, reason: roll_back(stores[0], version, reason, by=process))
    recall(log, watch)
    return FollowingVoices(follower, watch, speaks or speaks_alone)
