"""MultiWOZ's dialogues as episodes, and what they, or other answers to the same customers, are worth as published."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dialog_rl.episode import Episode, Message, Role, Step, StopReason
from dialog_rl.episode import Turn as Said
from dialog_rl.errors import ConfigError, ScenarioError
from dialog_rl.imported import read_json
from dialog_rl.sources import Figure, Recorded
from dialog_rl_multiwoz.corpus import Dialogue, briefing
from dialog_rl_multiwoz.measures import PUBLISHED, judge
from dialog_rl_multiwoz.tables import Tables

WHERE = "published: recorded answers of 2.2's test set"


def recorded(dialogues: Mapping[str, Dialogue], tables: Tables, file: Path | None, *, pack: str) -> Recorded:
    """The dialogues with what the system said, or with the answers of a file: id → a list of answers, or of objects
    with a `response`. Raises ScenarioError naming a dialogue that does not fit.
    """
    answers = None if file is None else _answers(file, dialogues)
    chosen = dialogues if answers is None else {name: dialogues[name] for name in answers}
    judged = [judge(d, tables, None if answers is None else answers[name]) for name, d in chosen.items()]
    inform, success = (
        100 * sum(found) / len(judged) for found in zip(*((j.inform, j.success) for j in judged), strict=True)
    )
    bleu = 100.0 if answers is None else _bleu(chosen, answers)
    figures = (
        Figure(name="conversations", value=len(judged)),
        Figure(name="inform", value=inform, published=PUBLISHED["inform"], note=WHERE),
        Figure(name="success", value=success, published=PUBLISHED["success"], note=WHERE),
        Figure(
            name="BLEU", value=bleu, note="by definition, of the reference itself" if answers is None else "sacrebleu"
        ),
        Figure(name="combined", value=(inform + success) / 2 + bleu, note="(inform + success) / 2 + BLEU"),
    )
    episodes = tuple(_episode(d, pack, None if answers is None else answers[n]) for n, d in chosen.items())
    return Recorded(episodes=episodes, figures=figures)


def _answers(file: Path, dialogues: Mapping[str, Dialogue]) -> dict[str, list[str]]:
    found = read_json(file)
    if not isinstance(found, dict) or not found:
        raise ScenarioError(f"{file}: answers by the dialogues' ids are expected, found {type(found).__name__}")
    own = {name.lower(): name for name in dialogues}
    answers: dict[str, list[str]] = {}
    for name, turns in found.items():
        known = own.get(name.lower().removesuffix(".json"))
        if known is None:
            raise ScenarioError(f"{file}: there is no dialogue {name!r} here")
        given = [turn.get("response") if isinstance(turn, dict) else turn for turn in turns]
        said = [text for text in given if isinstance(text, str)]
        if not len(said) == len(given) == len(dialogues[known].turns):
            raise ScenarioError(f"{file}: {name}: {len(dialogues[known].turns)} answers in words are expected")
        answers[known] = said
    return answers


def _bleu(dialogues: Mapping[str, Dialogue], answers: Mapping[str, Sequence[str]]) -> float:
    """sacrebleu's corpus BLEU of lower-case answers against the recorded ones, both in words."""
    try:
        sacrebleu: Any = importlib.import_module("sacrebleu")
    except ImportError as e:
        raise ConfigError(f"BLEU needs {e.name}: pip install 'dialog_rl[text-metrics]'") from e
    said = [text.lower() for name in dialogues for text in answers[name]]
    wanted = [turn.system.lower() for dialogue in dialogues.values() for turn in dialogue.turns]
    return float(sacrebleu.corpus_bleu(said, [wanted]).score)


def _episode(dialogue: Dialogue, pack: str, answers: Sequence[str] | None) -> Episode:
    """A dialogue as it was had. Nobody called a tool where it could be seen, so it does not say what success is."""
    said = [turn.system for turn in dialogue.turns] if answers is None else answers
    turns = [_turn(turn.user, answer) for turn, answer in zip(dialogue.turns, said, strict=True)]
    scenario = {
        "schema": 1, "id": f"{pack}-{dialogue.id}", "pack": pack, "user": {"instructions": briefing(dialogue.goal)},
        "provenance": {"source": "MultiWOZ", "revision": "2.1", "task": dialogue.id, "licence": "MIT"},
    }  # fmt: skip
    return Episode(
        episode_id=f"{pack}-{dialogue.id}", pack=pack, scenario=scenario, seed=0,
        system=Message(role=Role.SYSTEM, text="Cambridge"), turns=tuple(turns), stop=StopReason.USER_LEFT,
        simulator="recorded",
    )  # fmt: skip


def _turn(user: str, answer: str) -> Said:
    step = Step(message=Message(role=Role.ASSISTANT, text=answer), policy_version="recorded")
    return Said(user=Message(role=Role.USER, text=user), steps=(step,))
