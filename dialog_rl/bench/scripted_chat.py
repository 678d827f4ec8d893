"""The chat with an agent that says a very long thing: python -m dialog_rl.bench.scripted_chat FOLDER plain|markdown

Loads no model, so that what is measured is the screen.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dialog_rl.chat.room import ChatRoom
from dialog_rl.chat.session import RUN
from dialog_rl.conversation import Conversation
from dialog_rl.episode import Message, Role, Step
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.staging import Stage, open_stage
from dialog_rl.tui import app
from dialog_rl.tui.desk import Desk

LENGTH = 100_000
"""Characters of the long reply."""
LAST = "That was all of it."
PIECE, PACE = 5, 20_000
"""Characters at a time, and a second: a good deal faster than the embedded model speaks."""
_PLAIN = (
    "The parcel left the warehouse on Monday and should be with you by the end of the week, wind and tide allowing. "
)
_MARKDOWN = (
    "## Part {0}\n\nIt **left** on Monday, see `track {0}`:\n\n- first the depot\n- then the *van*\n\n"
    "| place | day |\n|---|---|\n| depot | {0} |\n\n```python\nprint({0})\n```\n\n"
)


def long_reply(kind: str) -> str:
    """100 kB that end with `LAST`."""
    part = _MARKDOWN if kind == "markdown" else _PLAIN
    parts = [part.format(number) for number in range(LENGTH // len(part.format(0)) + 1)]
    return "".join(parts)[: LENGTH - len(LAST) - 2] + "\n\n" + LAST


@dataclass(frozen=True, slots=True)
class Said:
    """A reply, as the voice of a model gives it."""

    message: Message
    ending: str = "complete"
    action_ids: tuple[int, ...] = (1,)
    logprobs: tuple[float, ...] = (0.0,)
    observation_ids: tuple[int, ...] = (0,)

    def settle(self, conversation: Conversation, *, policy_version: str = "") -> None:
        if self.ending == "complete":
            conversation.act(
                self.message,
                observation_ids=self.observation_ids,
                action_ids=self.action_ids,
                logprobs=self.logprobs,
                policy_version=policy_version,
            )


class Reciter:
    """Says the same to everything."""

    tokenizer = "none"

    def __init__(self, reply: str) -> None:
        self._reply = reply

    def current(self) -> str:
        return "scripted"

    def voice(self, version: str, *, seed: int, temperature: float, history: Sequence[Step] = ()) -> Reciter:
        return self

    def speak(self, messages: Sequence[Message], *, cancelled: Callable[[], bool]) -> Iterator[str | Said]:
        begun = time.perf_counter()
        for at in range(0, len(self._reply), PIECE):
            if cancelled():
                yield Said(Message(role=Role.ASSISTANT, text="", malformed="cancelled"), ending="cancelled")
                return
            time.sleep(max(0.0, begun + at / PACE - time.perf_counter()))
            yield self._reply[at : at + PIECE]
        yield Said(Message(role=Role.ASSISTANT, text=self._reply))


def keep_a_long_conversation(where: Path, turns: int) -> str:
    """Log a conversation of so many turns that has ended; what its last reply says."""
    where.parent.mkdir(parents=True, exist_ok=True)
    with load_plugins() as plugins, EpisodeLog.open(where) as log:
        stage = open_stage(plugins.registry, "retail")
        session = _room(where.parent, log, Reciter("Yes."), stage).new("retail", 1)
        session.say("Are you there?")
        list(session.answer())
        session.leave()
        kept = log.get(session.id)
        (said, *_) = (turn for turn in kept.turns if turn.steps)
        step = said.steps[-1]
        many = tuple(
            replace(
                said,
                user=replace(said.user, text=f"Question {number}: where is my parcel, and when will it be here?"),
                steps=(replace(step, message=replace(step.message, text=f"Answer {number}. {_PLAIN}")),),
            )
            for number in range(turns)
        )
        log.append(replace(kept, episode_id="long", turns=many, started_at=kept.started_at + 1), run=RUN)
    return f"Answer {turns - 1}."


def _room(folder: Path, log: EpisodeLog, voices: Reciter, stage: Stage) -> ChatRoom:
    return ChatRoom(folder, log, voices, lambda pack: stage)


def main(folder: Path, kind: str) -> int:
    with load_plugins() as plugins, EpisodeLog.open(folder / "log.sqlite") as log:
        voices = Reciter(long_reply(kind))
        room = _room(folder, log, voices, open_stage(plugins.registry, "retail"))
        code, _ = app.run(Desk(room=room, first=room.new("retail", 1), prepare=voices.current))
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
