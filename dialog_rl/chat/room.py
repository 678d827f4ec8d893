"""Where conversations with people begin, and where they are kept: found again, searched, named, put away."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from dialog_rl import durable
from dialog_rl.chat.card import Card, card_of, freed
from dialog_rl.chat.papers import Papers
from dialog_rl.chat.saved import TITLE, Saved, saved_of
from dialog_rl.chat.session import RUN, WENT_ON, ChatSession
from dialog_rl.chat.setting import Setting
from dialog_rl.chat.voice import Voices
from dialog_rl.episode import Episode, Message
from dialog_rl.errors import ConfigError, EpisodeLogError
from dialog_rl.staging import Customers, Stage, scenario_of
from dialog_rl.text import one_line

if TYPE_CHECKING:
    from dialog_rl.episode_log.log import EpisodeLog

SPLIT = "validation"
"""People play customers whom training and the final measurement never meet."""
NAMES = "names.json"
LISTED = 100
"""Ended conversations that are listed: to read and verify more of them would take longer than a person waits."""
SEARCHED = 2000
"""Ended conversations that are looked through for words."""


class ChatRoom:
    """New conversations and kept ones, over one log."""

    def __init__(
        self, folder: Path, log: EpisodeLog, voices: Voices, stages: Callable[[str], Stage], *, temperature: float = 0.0
    ) -> None:
        """folder: where the names that people gave are kept. stages: by a pack's name; raises what find_pack raises."""
        self.folder, self.log, self.voices = folder, log, voices
        self._stages, self._temperature, self._papers = stages, temperature, Papers(folder)

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

    def take_over(self, logged: Episode, turn: int | None = None) -> ChatSession:
        """In the customer's place from a turn of any logged conversation on, or after its last; what was said before
        stays as it was.

        Raises CannotGoOn, and what opening its pack raises.
        """
        before = self.reread(logged)
        before.setting = replace(before.setting, temperature=self._temperature)
        return before.branch(before.turns[:turn])

    def card(self, kept: Episode) -> Card:
        """In whose place the person spoke. Raises what opening its pack raises."""
        setting = self._setting_of(kept)
        return card_of(setting.stage, setting.scenario, setting.seed)

    def _setting_of(self, kept: Episode) -> Setting:
        return Setting(
            stage=self._stages(kept.pack), scenario=scenario_of(kept), seed=kept.seed, temperature=kept.temperature
        )

    def saved(self, words: str = "") -> list[Saved]:
        """The newest kept conversations, without those put away; of more than these, those that contain the words."""
        names = self._names()
        hidden = set(names.get("hidden", ()))
        found = [s for s in self._newest(SEARCHED if words else LISTED, names.get("titles", {})) if s.id not in hidden]
        return sorted((s for s in found if s.contains(words)), key=lambda s: s.started_at, reverse=True)

    def find(self, name: str) -> Saved:
        """By id, by the beginning of a newer one's, or "last". Raises EpisodeLogError."""
        if name in self.log:
            return saved_of(self.log.get(name), title=self._names().get("titles", {}).get(name, ""))
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
        return self._papers.export(kind, saved, ratings, trains=trains)

    def draft(self) -> str:
        return self._papers.draft()

    def keep_draft(self, text: str) -> None:
        self._papers.keep_draft(text)

    def _newest(self, count: int, titles: Mapping[str, str]) -> Iterator[Saved]:
        """Those that go on, all of them, and the last so many that have ended."""
        from dialog_rl.episode_log.log import Query

        going_on = list(self.log.open_conversations())
        ended = [e for e in self.log.latest(Query(run=RUN), count=count) if not e.episode.note.startswith(WENT_ON)]
        rated = self.log.rated([one.episode.episode_id for one in (*going_on, *ended)])
        for opened in going_on:
            about = _about(opened.episode, titles, rated)
            yield saved_of(opened.episode, **about, unanswered=opened.unanswered, is_open=True)
        for logged in ended:
            yield saved_of(logged.episode, **_about(logged.episode, titles, rated))

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


class _About(TypedDict):
    title: str
    rated: int


def _about(episode: Episode, titles: Mapping[str, str], rated: Counter[str]) -> _About:
    return {"title": titles.get(episode.episode_id, ""), "rated": rated[episode.episode_id]}
