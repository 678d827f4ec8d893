"""A logged customer again, before an agent who may not say what the logged one said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from dialog_rl.conversation import User, UserReply
from dialog_rl.episode import Act, Episode, Message, Role, StopReason, episode_from_json
from dialog_rl.errors import ConfigError, ScenarioError
from dialog_rl.pack import Pack
from dialog_rl.phrasing import Reading, read_agent
from dialog_rl.scenario import Scenario
from dialog_rl.sources import SourcedPack
from dialog_rl_simulators.agenda import AgendaUser

AFTERWARDS = ("agenda", "leave")


class ReplayedUser:
    """Says what the logged customer said to a reply that meant the same.

    To each reply of the agent, the first message not yet said whose logged reply reads alike: asks for the same,
    confirms, reports success or refuses as it did. Where there is none, the agent has diverged: an agenda customer with
    the same goal takes over, or the customer leaves, saying so in the message's acts.
    """

    def __init__(self, episode: Episode, scenario: Scenario, pack: Pack, seed: int, afterwards: str) -> None:
        self._pack, self._scenario, self._seed, self._afterwards = pack, scenario, seed, afterwards
        self._opening = episode.turns[0].user
        self._left = episode.stop is StopReason.USER_LEFT
        pairs = zip(episode.turns, episode.turns[1:], strict=False)
        self._answers: list[tuple[Reading, Message]] = [(self._read(t.reply), after.user) for t, after in pairs]
        self._successor: User | None = None

    def open(self) -> UserReply:
        return UserReply(message=self._opening, leaves=self._left and not self._answers)

    def reply(self, message: Message) -> UserReply:
        if self._successor is not None:
            return self._successor.reply(message)
        heard = self._read(message.text)
        for number, (reading, answer) in enumerate(self._answers):
            if _alike(reading, heard):
                del self._answers[: number + 1]
                return UserReply(message=answer, leaves=self._left and not self._answers)
        return self._diverge(message)

    def _diverge(self, message: Message) -> UserReply:
        if self._afterwards == "agenda" and self._scenario.user.goal is not None:
            self._successor = AgendaUser(self._scenario, self._pack, self._seed)
            self._successor.open()
            return self._successor.reply(message)
        gone = Message(role=Role.USER, text="Never mind, bye.", acts=(Act(kind="diverged"), Act(kind="bye")))
        return UserReply(message=gone, leaves=True)

    def _read(self, text: str) -> Reading:
        return read_agent(text, self._pack.phrasing.understand)


def _alike(logged: Reading, heard: Reading) -> bool:
    if logged.requests or heard.requests:
        return logged.requests == heard.requests
    same = (logged.confirms, logged.done, logged.refuses) == (heard.confirms, heard.done, heard.refuses)
    return same and logged.nothing == heard.nothing


class Replayed:
    """The customers of logged episodes, found by their scenario's id.

    From `file`, which is a log or exported episodes (.jsonl), from episodes that the program lends, or from a pack of
    recorded chats.
    """

    def __init__(
        self, *, pack: Pack, file: str = "", episodes: Sequence[Episode] | None = None, afterwards: str = "agenda"
    ) -> None:
        if afterwards not in AFTERWARDS:
            raise ConfigError(f"afterwards is {afterwards!r}; it may be {' or '.join(AFTERWARDS)}")
        if episodes is None and isinstance(pack, SourcedPack):
            episodes = getattr(pack.source, "episodes", None)
        if episodes is None and not file:
            raise ConfigError("replayed needs a log or exported episodes, for example file=runs/chat/episodes.db")
        self._pack, self._afterwards = pack, afterwards
        logged = read_logged(file) if file else list(episodes or ())
        self._by_id = {str(e.scenario.get("id")): e for e in logged if e.turns}

    def start(self, scenario: Scenario, seed: int) -> ReplayedUser:
        episode = self._by_id.get(scenario.id)
        if episode is None:
            raise ScenarioError(f"{scenario.id}: no logged episode of this scenario among {len(self._by_id)}")
        return ReplayedUser(episode, scenario, self._pack, seed, self._afterwards)


def read_logged(file: str) -> list[Episode]:
    """The episodes of a log, or of a file that `dialog-rl episodes export` wrote."""
    if file.endswith(".jsonl"):
        return read_exported(Path(file))
    from dialog_rl.episode_log.log import EpisodeLog  # SQLAlchemy takes its time, and few need it

    if "://" not in file and not Path(file).is_file():
        raise ConfigError(f"{file}: there is no such log")
    with EpisodeLog.open(file, read_only=True) as log:
        return [logged.episode for logged in log.episodes()]


def read_exported(path: Path) -> list[Episode]:
    """Episodes as `dialog-rl episodes export` writes them."""
    try:
        with path.open(encoding="utf-8") as lines:
            return [episode_from_json(json.loads(line)) for line in lines if line.strip()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise ConfigError(f"{path}: no exported episodes: {e}") from e
