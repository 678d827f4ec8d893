"""A voice that says what it was told to say, piece by piece, and waits where it is told to. No model, no torch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dialog_rl_simulators.agenda import Agenda

from dialog_rl.chat.setting import Setting
from dialog_rl.conversation import Conversation
from dialog_rl.episode import Message, Role, Step, StopReason, ToolCall
from dialog_rl.staging import Customers, Stage
from tests.talk import pack

Line = str | ToolCall | Exception


@dataclass(frozen=True)
class ScriptedAction:
    message: Message
    ending: str = "complete"
    action_ids: tuple[int, ...] = (7, 2)
    logprobs: tuple[float, ...] = (-0.5, -0.25)
    observation_ids: tuple[int, ...] = (1, 3)

    def settle(self, conversation: Conversation, *, policy_version: str = "") -> None:
        if self.ending == "cancelled":
            return
        conversation.act(
            self.message,
            observation_ids=self.observation_ids,
            action_ids=self.action_ids,
            logprobs=self.logprobs,
            policy_version=policy_version,
        )
        if self.ending == "context_full":
            conversation.stop(StopReason.CONTEXT_FULL)


class ScriptedVoices:
    """Every voice it makes takes the next line. `gate`, if given, is waited for before each piece of a reply."""

    def __init__(self, *lines: Line, gate: Gate | None = None, version: str = "v1", tokenizer: str = "tok") -> None:
        self.lines = list(lines)
        self.gate = gate
        self.version, self.tokenizer = version, tokenizer
        self.made: list[tuple[str, float, tuple[Step, ...]]] = []
        self.heard: list[str] = []

    def current(self) -> str:
        return self.version

    def voice(self, version: str, *, seed: int, temperature: float, history: Sequence[Step] = ()) -> ScriptedVoice:
        self.made.append((version, temperature, tuple(history)))
        return ScriptedVoice(self)


class ScriptedVoice:
    def __init__(self, voices: ScriptedVoices) -> None:
        self._voices = voices

    def speak(self, messages: Sequence[Message], *, cancelled: Callable[[], bool]) -> Iterator[str | ScriptedAction]:
        self._voices.heard += [m.text for m in messages]
        line = self._voices.lines.pop(0) if self._voices.lines else "…"
        if isinstance(line, Exception):
            raise line
        if isinstance(line, ToolCall):
            yield ScriptedAction(Message(role=Role.ASSISTANT, text=f"{line.name} {{}}", tool_call=line))
            return
        for piece in pieces(line):
            if self._voices.gate is not None:
                self._voices.gate.wait_for_turn(cancelled)
            if cancelled():
                self._voices.lines.insert(0, line)
                yield ScriptedAction(Message(role=Role.ASSISTANT, text="", malformed="cancelled"), ending="cancelled")
                return
            yield piece
        yield ScriptedAction(Message(role=Role.ASSISTANT, text=line))


class Gate:
    """Lets a voice say so many pieces and no more, until it is opened again."""

    def __init__(self) -> None:
        self._pieces = threading.Semaphore(0)
        self._open = threading.Event()

    def let(self, count: int = 1) -> None:
        for _ in range(count):
            self._pieces.release()

    def open(self) -> None:
        self._open.set()

    def wait_for_turn(self, cancelled: Callable[[], bool]) -> None:
        while not self._open.is_set() and not cancelled() and not self._pieces.acquire(timeout=0.01):
            pass


def pieces(text: str) -> list[str]:
    """Words with what separates them."""
    words = text.split(" ")
    return [word if n == 0 else f" {word}" for n, word in enumerate(words)]


def stage(name: str = "retail") -> Stage:
    return Stage(pack=pack(name), simulator=Agenda(pack=pack(name)), simulator_name="agenda")


def setting(number: int = 1, **more: float) -> Setting:
    shop = stage()
    ((scenario, seed),) = Customers(split="validation").scenarios(shop.pack, 1, first=number)
    return Setting(stage=shop, scenario=scenario, seed=seed, **more)


def db(folder: Path) -> Path:
    return folder / "episodes.db"
