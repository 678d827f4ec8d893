"""`dialog-rl words`: the smallest language task, learnt by Q-learning on words, with every value to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.cli.options import as_json
from dialog_rl.cli.output import emit, emit_json, heading
from dialog_rl.text import pad

if TYPE_CHECKING:
    from dialog_rl.rl.language_env import LanguageEnv

SHOWN = 12
"""Rows and words of a Q table that are shown at most."""


@click.command()
@click.option("--words", "count", type=click.IntRange(2, 500), help="So many made-up words. Default: 我, 爱 and 你.")
@click.option("--length", type=click.IntRange(1, 12), default=3, show_default=True, help="Words of a sentence.")
@click.option("--algorithm", "names", multiple=True, type=click.Choice(["q", "dqn"]), help="Default: both.")
@click.option("--episodes", type=click.IntRange(min=50), help="Sentences to try; each has its own default.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), metavar="PNG", help="Draw the learning curve.")
@as_json
def words(
    count: int | None, length: int, names: tuple[str, ...], episodes: int | None, seed: int, plot: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Learn to say a sentence word by word, by tabular Q-learning and by a Q-network.

    Value iteration, which is told the rewards, says how far the values that were learnt are from the right ones.
    """
    from dialog_rl.rl.language_env import generated, i_love_you
    from dialog_rl.rl.q_values import value_iteration

    env = i_love_you() if count is None else generated(count, length, seed=seed)
    best_q = value_iteration(env)
    sentence, best = env.say(best_q)
    curves: dict[str, list[tuple[int, float, float]]] = {}
    found: dict[str, Any] = {}
    for name in dict.fromkeys(names or ("q", "dqn")):
        curve: list[tuple[int, float, float]] = []

        def note_down(episode: int, q: Any, curve: list[tuple[int, float, float]] = curve) -> None:
            curve.append((episode, float((q - best_q).abs().max()), env.say(q)[1]))

        q = _algorithm(name, episodes).learn(env, seed=seed, progress=note_down)
        curves[name], said = curve, env.say(q)
        found[name] = {"sentence": list(said[0]), "earned": said[1], "error": float((q - best_q).abs().max())}
        if not as_json:
            _tell(env, name, q.tolist(), curve, found[name])
    if plot is not None:
        from dialog_rl.evaluation.words_figure import draw_words

        draw_words(curves, plot, best=best, title="Q-learning on words")
    if as_json:
        emit_json("words", {"best": {"sentence": list(sentence), "earned": best}, "learnt": found, "curves": curves})
        return
    emit(f"value iteration: {' '.join(sentence)} earns {best:.3f}, and nothing earns more")


def _algorithm(name: str, episodes: int | None) -> Any:
    from dialog_rl.rl.q_values import DQN, QLearning

    given = {} if episodes is None else {"episodes": episodes}
    return QLearning(**given) if name == "q" else DQN(**given)


def _tell(
    env: LanguageEnv, name: str, q: list[list[float]], curve: list[tuple[int, float, float]], end: dict[str, Any]
) -> None:
    heading({"q": "tabular Q-learning", "dqn": "Q-network"}[name])
    emit(pad("", 16) + "".join(pad(word, 9) for word in env.words[:SHOWN]))
    for state, row in enumerate(q[:SHOWN]):
        emit(pad(_state(env, state), 16) + "".join(pad(f"{value:.3f}", 9) for value in row[:SHOWN]))
    if len(q) > SHOWN or len(env.words) > SHOWN:
        emit(f"… {len(q)} states of {len(env.words)} words")
    for episode, error, earned in curve[:: max(1, len(curve) // 8)]:
        emit(f"{episode:>7} sentences  largest error {error:9.6f}  the best it knows earns {earned:.3f}")
    emit(f"{' '.join(end['sentence'])} earns {end['earned']:.3f}; largest error of any value {end['error']:.6f}")
    emit()


def _state(env: LanguageEnv, state: int) -> str:
    if state == 0:
        return "(beginning)"
    said, last = divmod(state - 1, len(env.words))
    return f"{said + 1}: … {env.words[last]}"
