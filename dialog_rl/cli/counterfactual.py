"""`dialog-rl replay --from-turn`: a logged conversation up to a turn, and from there on as another version has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from dialog_rl import metrics
from dialog_rl.browsing.standing_in import require_turn, up_to
from dialog_rl.cli import opening
from dialog_rl.cli.output import Progress, emit, emit_json
from dialog_rl.config import Settings
from dialog_rl.conversation import Conversation
from dialog_rl.episode import Episode, to_json
from dialog_rl.errors import ModelError
from dialog_rl.seeds import derive

if TYPE_CHECKING:
    from dialog_rl.lm.model import SpeakingModel
    from dialog_rl.lm.speaker import Speaker


Begin = Callable[[], Conversation]


def continued(
    begin: Begin, logged: Episode, turn: int, version: str, settings: Settings, samples: int
) -> list[Episode]:
    """What `version` makes of the conversation from a turn on, so many times. `begin` gives it at its beginning.

    Raises ConfigError if there is no such turn, ModelError if the version cannot read what was said before it.
    """
    require_turn(logged, turn)
    model = opening.open_model(settings, version)
    if turn and logged.tokenizer != model.renderer.fingerprint:
        raise ModelError(f"{version} has another tokenizer than the version that spoke, so it cannot take it up there")
    with Progress("what if", samples) as progress:
        found: list[Episode] = []
        for number in range(samples):
            conversation = up_to(begin(), logged, turn)
            found.append(_onwards(conversation, model, derive(logged.seed, "what if", number), logged.temperature))
            progress.at(number + 1)
    return found


def _onwards(conversation: Conversation, model: SpeakingModel, seed: int, temperature: float) -> Episode:
    from dialog_rl.lm.speaker import speaks_alone

    history = [step for turn in conversation.turns for step in turn.steps]
    speaker = speaks_alone(model, seed=seed, temperature=temperature, history=history)
    speak_on(conversation, model, speaker)
    return conversation.episode()


def speak_on(conversation: Conversation, model: SpeakingModel, speaker: Speaker) -> None:
    """To its end."""
    from dialog_rl.lm.rollouts import Action

    while conversation.stopped is None:
        action = next(part for part in speaker.speak(conversation.unobserved()) if isinstance(part, Action))
        action.settle(conversation, policy_version=model.version)


def tell(logged: Episode, turn: int, version: str, found: list[Episode], *, as_json: bool) -> None:
    """How the conversation ended, and how it would have."""
    from dialog_rl.evaluation.report import share_cell
    from dialog_rl.evaluation.summaries import share

    succeeded = share(metrics.success(episode).reached for episode in found)
    before = metrics.success(logged).reached
    if as_json:
        emit_json("what_if", _document(logged, turn, version, found))
        return
    emit(f"{logged.episode_id}, {version} from turn {turn} on, {len(found)} times")
    emit(f"as logged: {'served' if before else 'not served'}; so: {share_cell(succeeded)} served")
    for end, count in _ends(found):
        emit(f"  {count}× {end}")


def _ends(found: list[Episode]) -> Iterator[tuple[str, int]]:
    ends = [f"{'served' if metrics.success(e).reached else 'not served'}, {e.stop}" for e in found]
    return iter(sorted({end: ends.count(end) for end in ends}.items(), key=lambda pair: -pair[1]))


def _document(logged: Episode, turn: int, version: str, found: list[Episode]) -> dict[str, Any]:
    return {
        "episode_id": logged.episode_id, "from_turn": turn, "version": version,
        "logged_served": metrics.success(logged).reached, "served": sum(metrics.success(e).reached for e in found),
        "samples": [to_json(episode) for episode in found],
    }  # fmt: skip
