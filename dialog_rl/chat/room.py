"""Where conversations with people begin, and where they are kept: found again, searched, named, put away."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialog_rl import durable
from dialog_rl.chat.card import freed
from dialog_rl.chat.export import export
from dialog_rl.chat.session import RUN, WENT_ON, ChatSession
from dialog_rl.chat.setting import Setting
from dialog_rl.chat.voice import Voices
from dialog_rl.episode import Episode, Message, Role
from dialog_rl.episode_log.records import rating_from_json
from dialog_rl.errors import ConfigError, EpisodeLogError
from dialog_rl.staging import Customers, Stage, scenario_of
from dialog_rl.text import one_line

if TYPE_CHECKING:
    from dialog_rl.episode_log.log import EpisodeLog

SPLIT = "validation"
"""People play customers whom training and the final measurement never meet."""
NAMES = "names.json"
DRAFT = "draft.txt"
EXPORTS = "exports"
ENDINGS = {"md": ".md", "json": ".jsonl", "pairs": ".pairs.jsonl"}
TITLE = 60
"""Characters of a conversation's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A conversation in the log."""

    id: str
    title: str
    """As somebody named it, or how it began."""
    pack: str
    started_at: float
    turns: int
    version: str
    """Who spoke last."""
    open: bool
    """It was never ended: it can go on as it was."""
    rated: int
    """How many of one's ratings hold."""
    episode: Episode = field(repr=False)
    unanswered: Message | None = None

    def contains(self, words: str) -> bool:
        """Whether all of the words occur in its title or in anything that was said."""
        said = [message.text for message in self.episode.messages() if message.role in (Role.USER, Role.ASSISTANT)]
        last = [self.unanswered.text] if self.unanswered else []
        text = " ".join([self.title, self.id, self.pack, *said, *last]).casefold()
        return all(word in text for word in words.casefold().split())


class ChatRoom:
    """New conversations and kept ones, over one log."""

    def __init__(
        self, folder: Path, log: EpisodeLog, voices: Voices, stages: Callable[[str], Stage], *, temperature: float = 0.0
    ) -> None:
        """folder: where the names that people gave are kept. stages: by a pack's name; raises what find_pack raises."""
        self.folder, self.log, self.voices = folder, log, voices
        self._stages, self._temperature = stages, temperature

    def new(
        self,
        pack: str,
        number: int | None = None,
        *,
        free: bool = False,
        episode_id: str = "",
        rater: str = "",
        temperature: float | None = None,
        seed: int | None = None,
    ) -> ChatSession:
        """In the place of a customer: the `number`-th, or anybody. `free`: the same person without anything to want.

        seed: what the agent's chance follows from, if not the customer.
        """
        stage = self._stages(pack)
        number = random.SystemRandom().randrange(1_000_000) if number is None else number
        ((scenario, of_customer),) = Customers(split=SPLIT).scenarios(stage.pack, 1, first=number)
        scenario = freed(scenario) if free else scenario
        setting = Setting(
            stage=stage,
            scenario=scenario,
            seed=of_customer if seed is None else seed,
            temperature=self._temperature if temperature is None else temperature,
        )
        return ChatSession(self.log, self.voices, setting, episode_id=episode_id, rater=rater)

    def take_up(self, saved: Saved) -> ChatSession:
        """A kept conversation: one that never ended goes on, one that did can be read, rated and branched off.

        Raises CannotGoOn, and what opening its pack raises.
        """
        if saved.open:
            return self.resume(saved.episode, saved.unanswered)
        return self.reread(saved.episode)

    def resume(self, kept: Episode, unanswered: Message | None, *, rater: str = "") -> ChatSession:
        """One that never ended, as it was. Raises as `take_up`."""
        return ChatSession.resumed(self.log, self.voices, self._setting_of(kept), kept, unanswered, rater=rater)

    def reread(self, ended: Episode, *, rater: str = "") -> ChatSession:
        """One that has ended. Raises as `take_up`."""
        return ChatSession.closed(self.log, self.voices, self._setting_of(ended), ended, rater=rater)

    def _setting_of(self, kept: Episode) -> Setting:
        return Setting(
            stage=self._stages(kept.pack), scenario=scenario_of(kept), seed=kept.seed, temperature=kept.temperature
        )

    def saved(self, words: str = "") -> list[Saved]:
        """The kept conversations that contain the words, newest first; without those put away."""
        names = self._names()
        hidden = set(names.get("hidden", ()))
        found = [saved for saved in self._all(names.get("titles", {})) if saved.id not in hidden]
        return sorted((s for s in found if s.contains(words)), key=lambda s: s.started_at, reverse=True)

    def find(self, name: str) -> Saved:
        """By id, by the beginning of it, or "last". Raises EpisodeLogError."""
        found = self.saved()
        matching = found[:1] if name == "last" else [s for s in found if s.id == name] or [
            s for s in found if s.id.startswith(name)
        ]  # fmt: skip
        if len(matching) != 1:
            many = "several conversations" if matching else "no conversation"
            raise EpisodeLogError(f"{self.log.name}: there is {many} {one_line(name, 60)!r}")
        return matching[0]

    def rename(self, episode_id: str, title: str) -> None:
        """An empty title gives it back the one it had."""
        names = self._names()
        titles = {**names.get("titles", {}), episode_id: one_line(title, TITLE)}
        self._keep({**names, "titles": {key: value for key, value in titles.items() if value}})

    def put_away(self, episode_id: str) -> None:
        """Show it no longer and let it be learnt from no longer. What was said stays in the log."""
        names = self._names()
        self.log.consent(episode_id, train=False)
        self._keep({**names, "hidden": sorted({*names.get("hidden", ()), episode_id})})

    def export(self, saved: Saved, kind: str) -> Path:
        """Write a conversation beside the log, in place of what was exported of it before. Raises ConfigError."""
        ratings = self.log.ratings(saved.id)
        trains = self.log.consented(saved.id)
        text = export(kind, saved.episode, ratings, title=saved.title, trains=trains)
        name = re.sub(r"[^A-Za-z0-9_-]", "_", saved.id)
        path = self.folder / EXPORTS / f"{name}{ENDINGS[kind]}"
        with durable.failing_as(EpisodeLogError, f"{path}: cannot be written"):
            path.parent.mkdir(exist_ok=True)
            durable.write_file(path, text.encode("utf-8"))
        return path

    def draft(self) -> str:
        """What was typed last time and never sent."""
        try:
            return self._draft_file.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def keep_draft(self, text: str) -> None:
        """Keep what is typed and not sent; nothing, if there is nothing. Raises EpisodeLogError."""
        with durable.failing_as(EpisodeLogError, f"{self._draft_file}: cannot be written"):
            if text:
                durable.write_file(self._draft_file, text.encode("utf-8", "replace"))
            else:
                self._draft_file.unlink(missing_ok=True)

    def _all(self, titles: Mapping[str, str]) -> Iterator[Saved]:
        from dialog_rl.episode_log.log import Query

        rated = self._rated()
        for opened in self.log.open_conversations():
            yield _saved(opened.episode, titles, rated, unanswered=opened.unanswered, is_open=True)
        for logged in self.log.episodes(Query(run=RUN)):
            if not logged.episode.note.startswith(WENT_ON):
                yield _saved(logged.episode, titles, rated, unanswered=None, is_open=False)

    def _rated(self) -> Counter[str]:
        """How many turns of each conversation somebody has an opinion on."""
        last: dict[tuple[str, int | None, str], bool] = {}
        for event in self.log.events(kinds=("rating",)):
            rating = rating_from_json(event.document)
            last[rating.episode_id, rating.turn, rating.rater] = not rating.says_nothing
        return Counter(episode_id for (episode_id, _, _), holds in last.items() if holds)

    @property
    def _draft_file(self) -> Path:
        return self.folder / DRAFT

    @property
    def _names_file(self) -> Path:
        return self.folder / NAMES

    def _names(self) -> dict[str, Any]:
        try:
            found = json.loads(self._names_file.read_bytes())
        except FileNotFoundError:
            return {}
        except ValueError:
            raise ConfigError(
                f"{self._names_file}: not JSON; without this file conversations lose their names"
            ) from None
        return found if isinstance(found, dict) else {}

    def _keep(self, names: Mapping[str, Any]) -> None:
        with durable.failing_as(EpisodeLogError, f"{self._names_file}: cannot be written"):
            durable.write_file(self._names_file, json.dumps(names, indent=1).encode("ascii"))


def _saved(
    episode: Episode, titles: Mapping[str, str], rated: Counter[str], *, unanswered: Message | None, is_open: bool
) -> Saved:
    answered = tuple(turn for turn in episode.turns if turn.steps)
    first = answered[0].user.text if answered else unanswered.text if unanswered else ""
    return Saved(
        id=episode.episode_id,
        title=titles.get(episode.episode_id) or one_line(first, TITLE),
        pack=episode.pack,
        started_at=episode.started_at,
        turns=len(answered),
        version=next(iter(episode.policy_versions[-1:]), ""),
        open=is_open,
        rated=rated[episode.episode_id],
        episode=episode,
        unanswered=unanswered,
    )
