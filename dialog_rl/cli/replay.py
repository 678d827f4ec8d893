"""`dialog-rl replay`: a logged episode once more."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.browsing.comparison import Replay
from dialog_rl.browsing.stepping import Line
from dialog_rl.cli import counterfactual, opening
from dialog_rl.cli.episodes import line, open_log
from dialog_rl.cli.options import as_json, environment_options, open_environment
from dialog_rl.cli.output import emit, emit_json, note
from dialog_rl.config import Settings
from dialog_rl.conversation import Conversation, UserReply
from dialog_rl.episode import Episode, Message, Role, StopReason
from dialog_rl.errors import CheckpointError, ConfigError, DialogRLError
from dialog_rl.staging import scenario_of
from dialog_rl.text import one_line

if TYPE_CHECKING:
    from dialog_rl.plugins.loading import Plugins
    from dialog_rl.staging import Stage


class ReplayDiffers(DialogRLError):
    """The same episode did not come out the same."""


@click.command()
@click.argument("episode_id")
@click.argument("where", required=False)
@click.option("--pack", metavar="NAME|DIR", help="The pack it was made from, where that is not installed.")
@click.option("--version", metavar="VERSION", help="Let another version speak; 'expert' for the scripted one.")
@click.option("--from-turn", "turn", type=click.IntRange(min=0), metavar="TURN",
              help="As logged up to this turn; from there on --version speaks (default: champion).")  # fmt: skip
@click.option("--samples", type=click.IntRange(min=1), default=10, show_default=True, help="How often, from that turn.")
@environment_options
@as_json
def replay(
    episode_id: str,
    where: str | None,
    pack: str | None,
    version: str | None,
    turn: int | None,
    samples: int,
    as_json: bool,
    config_file: Path | None,
    plugin: tuple[Path, ...],
    no_plugin: tuple[str, ...],
) -> None:
    """Run the episode EPISODE_ID of WHERE again: a run, a log file or a database URL.

    With the version that spoke it, every token must come out again, bit for bit. Where that version is no longer there,
    its logged actions are played to the customer and the back office, whose every word must come out again. With
    --version another one speaks to the same customer, and the first turn that differs is shown. With --from-turn all
    is as it was up to a turn, and it is told how often the customer would have been served from there.
    """
    with open_log(where) as log:
        logged = log.get(episode_id)
    with open_environment(config_file, plugin, no_plugin) as (resolved, plugins):
        stage = stage_of(plugins, logged, pack)
        if turn is not None:
            begin = partial(begin_again, stage, logged)
            name = version or "champion"
            found = counterfactual.continued(begin, logged, turn, name, resolved.settings, samples)
            counterfactual.tell(logged, turn, name, found, as_json=as_json)
            return
        done = run_again(stage, logged, version, resolved.settings)
    if as_json:
        emit_json("replay", _document(done))
    else:
        _tell(done)
    if version is None and not done.identical:
        raise ReplayDiffers(f"episode {episode_id} did not come out the same: turn {done.first_difference} differs")


def stage_of(plugins: Plugins, logged: Episode, pack: str | None = None) -> Stage:
    """Where an episode took place. `pack`: the one it was made from, where that is not installed."""
    if pack is None and logged.pack not in plugins.registry.scenario_packs:
        raise ConfigError(f"the episode was made from a pack {logged.pack!r}, not installed; name its folder: --pack")
    simulated = logged.simulator in plugins.registry.user_simulators
    simulator = logged.simulator if simulated else "agenda"
    (stage,) = opening.open_stages(plugins, (pack or logged.pack,), simulator)
    return stage


def run_again(stage: Stage, logged: Episode, version: str | None, settings: Settings) -> Replay:
    if version is not None:
        return Replay(logged=logged, again=_spoken(stage, logged, version, settings), spoken_by=version)
    if len(logged.policy_versions) == 1:
        original = logged.policy_versions[0]
        try:
            return Replay(logged=logged, again=_spoken(stage, logged, original, settings), spoken_by=original)
        except CheckpointError as e:
            note(f"{e}; playing its logged actions instead")
    return Replay(logged=logged, again=played(stage, logged), spoken_by="")


def played(stage: Stage, logged: Episode) -> Episode:
    """The logged actions once more, to a customer and a back office made anew."""
    conversation = begin_again(stage, logged)
    for step in logged.steps:
        if conversation.stopped is not None:
            break
        conversation.act(
            step.message,
            observation_ids=step.observation_ids,
            action_ids=step.action_ids,
            logprobs=step.logprobs,
            policy_version=step.policy_version,
        )
    conversation.stop(logged.stop)
    return conversation.episode()


def _spoken(stage: Stage, logged: Episode, version: str, settings: Settings) -> Episode:
    from dialog_rl.cli.evaluate import open_contestants

    changed = settings.model_copy(
        update={"evaluate": settings.evaluate.model_copy(update={"temperature": logged.temperature})}
    )
    (speaker,) = open_contestants(changed, (version,), lambda: False)
    return next(iter(speaker.play(stage)([begin_again(stage, logged)])))


class LoggedPerson:
    """Somebody who was no simulation, once more: says in each turn what they said then, whatever is answered."""

    def __init__(self, logged: Episode) -> None:
        self._turns = iter(logged.turns)
        self._left = len(logged.turns) - 1 if logged.stop is StopReason.USER_LEFT else -1
        self._said = -1

    def open(self) -> UserReply:
        turn = next(self._turns, None)
        self._said += 1
        if turn is None:
            return UserReply(message=Message(role=Role.USER, text=""), leaves=True)
        return UserReply(message=turn.user, leaves=self._said == self._left and not turn.steps)

    def reply(self, message: Message) -> UserReply:
        return self.open()


def begin_again(stage: Stage, logged: Episode) -> Conversation:
    """The conversation at its beginning, with the same simulated customer, or a person's words as they were logged."""
    if logged.simulator == stage.simulator_name:
        return stage.again(logged)
    return stage.conversation_with(
        LoggedPerson(logged),
        scenario_of(logged),
        logged.seed,
        episode_id=logged.episode_id,
        simulator=logged.simulator,
        tokenizer=logged.tokenizer,
        temperature=logged.temperature,
        started_at=logged.started_at,
    )


def _tell(done: Replay) -> None:
    by = f"spoken by {done.spoken_by}" if done.spoken_by else "with the logged actions"
    if done.identical:
        emit(f"{done.logged.episode_id}: the same again, bit for bit, {by}")
        return
    number = done.first_difference
    if number is None:
        emit(f"{done.logged.episode_id}: the same words again, {by}; ids or log-probabilities differ")
        return
    emit(f"{done.logged.episode_id}: {number} turns are the same, turn {number} differs, {by}")
    logged, again = done.verdicts
    for title, said, verdict in (
        ("as logged", [one for turn in done.turns[number:] for one in turn.logged], logged),
        ("this time", [one for turn in done.turns[number:] for one in turn.again], again),
    ):
        emit(f"\n{title}:")
        for one in said or [Line(who="customer", text="(it had ended)")]:
            click.echo(line(one.who, one.text))
        for remark in verdict[:2]:
            emit(f"          {one_line(remark)}")


def _document(done: Replay) -> dict[str, Any]:
    from dialog_rl.episode import to_json

    return {
        "episode_id": done.logged.episode_id,
        "spoken_by": done.spoken_by or "logged actions",
        "identical": done.identical,
        "first_difference": done.first_difference,
        "logged": to_json(done.logged),
        "again": to_json(done.again),
    }
