"""Models as the voices of conversations with people."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dialog_rl.chat.voice import Voice, Voices
from dialog_rl.episode import Step

if TYPE_CHECKING:
    from dialog_rl.lm.model import SpeakingModel


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
            return self._loaded
