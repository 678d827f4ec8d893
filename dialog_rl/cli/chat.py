"""`dialog-rl chat`: a person in the customer's place, line by line, every turn logged before it is shown."""

from __future__ import annotations

import getpass
import io
import random
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.cli import opening
from dialog_rl.cli.options import environment_options, open_environment
from dialog_rl.cli.output import emit, note, style
from dialog_rl.conversation import Conversation, UserReply
from dialog_rl.episode import Act, Episode, Message, Rating, Role, StopReason
from dialog_rl.phrasing import says_yes
from dialog_rl.staging import Customers, Stage, document
from dialog_rl.text import one_line, printable

if TYPE_CHECKING:
    from dialog_rl.episode_log.log import EpisodeLog
    from dialog_rl.lm.model import SpeakingModel
    from dialog_rl.scenario import Scenario

MAX_MESSAGE = 2000
"""Characters. Longer ones are refused before anything is done with them; the model's whole context is about as long."""
RUN = "chat"
HELP = """\
/card   who you are and what you might want    /good /bad   rate the last reply
/new    another customer                       /quit        leave (or Ctrl-D)"""


@click.command()
@click.option("--plain", is_flag=True, help="Line by line, for screen readers and pipes. The only way there is so far.")
@click.option("--pack", default="retail", show_default=True, metavar="NAME|DIR", help="Which shop you call.")
@click.option("--version", "agent__version", metavar="VERSION", help="Who answers. Default: champion.")
@click.option("--customer", type=click.IntRange(min=0), help="Whose place you take, by number. Default: anybody's.")
@click.option("--temperature", type=click.FloatRange(min=0), default=0.0, show_default=True, help="0: no chance in it.")
@environment_options
def chat(
    plain: bool,
    pack: str,
    customer: int | None,
    temperature: float,
    config_file: Path | None,
    plugin: tuple[Path, ...],
    no_plugin: tuple[str, ...],
    **flags: Any,
) -> None:
    """Talk to the agent, in a customer's place.

    You are told who you are and what you might want; say it in your own words. What is said is kept in runs/chat.
    """
    with open_environment(config_file, plugin, no_plugin, **flags) as (resolved, plugins):
        settings = resolved.settings
        (stage,) = opening.open_stages(plugins, (pack,))
        model = opening.open_model(settings, settings.agent.version)
        from dialog_rl.episode_log.log import EpisodeLog

        folder = Path(settings.paths.runs) / RUN
        folder.mkdir(parents=True, exist_ok=True)
        _prepare_input()
        with EpisodeLog.open(folder / opening.LOG) as log:
            number = customer if customer is not None else random.SystemRandom().randrange(1_000_000)
            while True:
                talk = Talk(stage, model, log, number=number, temperature=temperature)
                if not talk.run():
                    return
                number = random.SystemRandom().randrange(1_000_000)


@dataclass(frozen=True, slots=True)
class Line:
    """Something the person typed that is no command."""

    text: str


class Leave(Exception):
    """The person leaves; `again` for another customer."""

    def __init__(self, *, again: bool) -> None:
        self.again = again


class Talk:
    """One conversation with a person."""

    def __init__(self, stage: Stage, model: SpeakingModel, log: EpisodeLog, *, number: int, temperature: float) -> None:
        self._stage, self._model, self._log, self._temperature = stage, model, log, temperature
        ((self._scenario, self._seed),) = Customers(split="validation").scenarios(stage.pack, 1, first=number)
        self._id = f"chat-{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:6]}"
        self._started = time.time()
        self._person = Person(self)
        self._conversation: Conversation | None = None
        self._again = False

    def run(self) -> bool:
        """Until somebody leaves. Whether the person wants another customer."""
        for remark in card(self._stage, self._scenario, self._seed):
            emit(remark)
        note(HELP)
        self._log.begin(self._opening())
        conversation = self._stage.conversation_with(
            self._person,
            self._scenario,
            self._seed,
            episode_id=self._id,
            simulator="person",
            tokenizer=self._model.renderer.fingerprint,
            temperature=self._temperature,
            started_at=self._started,
        )
        self._conversation = conversation
        try:
            self._speak(conversation)
        finally:
            conversation.stop(StopReason.ABORTED)
            self._log.append(conversation.episode(), run=RUN)
        self._close(conversation.episode())
        return self._again

    def _speak(self, conversation: Conversation) -> None:
        from dialog_rl.lm.rollouts import Action
        from dialog_rl.lm.speaker import Speaker

        model = self._model
        speaker = Speaker(
            model.policy,
            model.renderer,
            seed=self._seed,
            max_length=model.policy.max_positions,
            temperature=self._temperature,
        )
        while conversation.stopped is None:
            for part in speaker.speak(conversation.unobserved()):
                if isinstance(part, Action):
                    self._show_call(part)
                    part.settle(conversation, policy_version=model.version)

    def _show_call(self, action: Any) -> None:
        message = action.message
        if message.malformed:
            click.echo(style(f"   … (cannot be read: {one_line(message.malformed, 120)})", fg="bright_black"))
        elif message.tool_call is not None:
            click.echo(style(f"   … {one_line(message.text, 160)}", fg="bright_black"))

    # What the person does, called by Person

    def hear(self, reply: Message | None) -> UserReply:
        """Log and show the agent's reply, then read until there is something to say to it."""
        turn = 0
        if self._conversation is not None:
            turn = len(self._conversation.turns)
            self._log.answered(self._id, turn - 1, self._conversation.turns[-1])
        if reply is not None:
            click.echo(style("agent> ", fg="green", bold=True) + printable(reply.text))
        try:
            said = next(self._lines(turn))
        except Leave as leaving:
            self._again = leaving.again
            return UserReply(message=Message(role=Role.USER, text=""), leaves=True)
        yes = says_yes(said.text, self._stage.pack.phrasing.understand)
        message = Message(role=Role.USER, text=said.text, acts=(Act(kind="affirm"),) if yes else ())
        self._log.user_said(self._id, turn, message)
        return UserReply(message=message)

    def _lines(self, turn: int) -> Iterator[Line]:
        while True:
            text = read_line("you> ")
            if text.startswith("/"):
                self._command(text, turn)
            elif len(text) > MAX_MESSAGE:
                note(f"that message has {len(text):,} characters; at most {MAX_MESSAGE:,} fit. Nothing was sent.")
            elif text:
                yield Line(text)

    def _command(self, text: str, turn: int) -> None:
        command = text.split()[0].lower()
        if command in ("/quit", "/exit", "/q"):
            raise Leave(again=False)
        if command == "/new":
            raise Leave(again=True)
        if command == "/card":
            for remark in card(self._stage, self._scenario, self._seed):
                emit(remark)
        elif command in ("/good", "/bad"):
            self._rate(1.0 if command == "/good" else -1.0, turn)
        else:
            note(f"{one_line(command, 30)} is no command\n{HELP}" if command != "/help" else HELP)

    def _rate(self, value: float, turn: int) -> None:
        if turn == 0:
            note("there is no reply to rate yet")
            return
        self._log.rate(
            Rating(episode_id=self._id, rater=getpass.getuser(), turn=turn - 1, value=value, rated_at=time.time())
        )
        note("rated")

    def _opening(self) -> Episode:
        return Episode(
            episode_id=self._id,
            pack=self._stage.pack.name,
            scenario=document(self._scenario),
            seed=self._seed,
            system=Message(role=Role.SYSTEM, text=self._stage.pack.file.brief),
            turns=(),
            stop=StopReason.ABORTED,
            simulator="person",
            tokenizer=self._model.renderer.fingerprint,
            temperature=self._temperature,
            started_at=self._started,
        )

    def _close(self, episode: Episode) -> None:
        from dialog_rl.cli.episodes import judged

        note(f"{episode.episode_id} is kept in {self._log.name}")
        if episode.stop is StopReason.CONTEXT_FULL:
            note("the conversation is as long as the model can remember")
        for remark in judged(episode):
            emit(f"  {remark}")


class Person:
    """The User at the keyboard."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk

    def open(self) -> UserReply:
        return self._talk.hear(None)

    def reply(self, message: Message) -> UserReply:
        return self._talk.hear(message)


def card(stage: Stage, scenario: Scenario, seed: int) -> list[str]:
    """Whose place the person takes, as they would tell it."""
    goal = scenario.user.goal
    if goal is None:
        return [one_line(scenario.user.instructions, 1000)]
    known = ", ".join(f"{slot.replace('_', ' ')} {value}" for slot, value in goal.known.items())
    remarks = [f"You are a customer of {stage.pack.file.title or stage.pack.name}: {known}."]
    for item in goal.items:
        told = ", ".join(f"{slot.replace('_', ' ')} {value}" for slot, value in item.inform.items())
        remarks.append(f"You want: {item.intent.replace('_', ' ')}" + (f" ({told})" if told else ""))
        if item.refusal:
            remarks.append(f"          (it will have to be refused: {item.refusal.replace('_', ' ')})")
    example = stage.simulator.start(scenario, seed).open().message.text
    return [*remarks, f"For example: {example}"]


def read_line(prompt: str) -> str:
    """What is typed, without what surrounds it. Raises Leave at the end of the input."""
    try:
        # `input` edits lines on a terminal; from a pipe it would print its prompt into the transcript.
        text = input(prompt) if sys.stdin.isatty() else sys.stdin.readline()
    except EOFError:
        raise Leave(again=False) from None
    if not text and not sys.stdin.isatty():
        raise Leave(again=False)
    return text.strip()


def _prepare_input() -> None:
    if sys.stdin.isatty():
        try:
            import readline  # noqa: F401  line editing and history for `input`
        except ImportError:
            return
    elif isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
