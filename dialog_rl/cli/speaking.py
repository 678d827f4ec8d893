"""Models as the voices of conversations with people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dialog_rl.chat.voice import Voice
from dialog_rl.episode import Step

if TYPE_CHECKING:
    from dialog_rl.lm.model import SpeakingModel


class ModelVoices:
    """Voices of the model that is current, or of another version by its id."""

    def __init__(self, current: Callable[[], SpeakingModel], open_version: Callable[[str], SpeakingModel]) -> None:
        """`current` may give another model from call to call; one that was given stays good."""
        self._current, self._open_version = current, open_version
        self._opened: dict[str, SpeakingModel] = {}

    @property
    def tokenizer(self) -> str:
        return self._current().renderer.fingerprint

    def current(self) -> str:
        return self._current().version

    def voice(self, version: str, *, seed: int, temperature: float, history: Sequence[Step] = ()) -> Voice:
        from dialog_rl.lm.speaker import Speaker

        model = self._model(version)
        speaker = Speaker(
            model.policy,
            model.renderer,
            seed=seed,
            max_length=model.policy.max_positions,
            temperature=temperature,
        )
        speaker.remember(history)
        return speaker

    def _model(self, version: str) -> SpeakingModel:
        current = self._current()
        if current.version == version:
            return current
        if version not in self._opened:
            self._opened = {version: self._open_version(version)}
        return self._opened[version]
