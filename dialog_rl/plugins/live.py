"""Rewards beside a conversation that is going on: what they say of its last turn, from files that are edited meanwhile.

A file that does not load any more is named once, and what was loaded of it before goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dialog_rl.episode import Episode
from dialog_rl.errors import ConfigError, PluginError, RewardError
from dialog_rl.plugins.discovery import content
from dialog_rl.plugins.isolation import Confinement
from dialog_rl.plugins.loading import Plugins, load_plugins
from dialog_rl.plugins.registry import Registry
from dialog_rl.plugins.rewards import build_rewards
from dialog_rl.plugins.trial import whole
from dialog_rl.scoring import Reward, RewardSpec, Score, checked_scores
from dialog_rl.text import one_line

GONE = ""
"""The content of a file that is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What one reward makes of the last turn."""

    reward: str
    turn: float | None
    """What this turn has added to what the conversation is paid; None where the reward has nothing to say."""
    so_far: float | None
    """What the conversation would be paid if it ended here."""
    reason: str
    failed: bool = False

    def __str__(self) -> str:
        if self.failed:
            return f"{self.reward}: failed: {self.reason}"
        if self.turn is None or self.so_far is None:
            return f"{self.reward}: nothing to say" + (f" ({self.reason})" if self.reason else "")
        said = f"{self.reward}: {self.turn:+.3g} for this turn, {self.so_far:+.3g} so far"
        return said + (f" ({self.reason})" if self.reason else "")


@dataclass(slots=True)
class _File:
    """One loose file: what of it is in use, and which content, as a hash, was last looked at."""

    path: Path
    content: str
    rewards: tuple[Reward, ...] = ()
    plugins: Plugins | None = None
    """What it was loaded into anew; None while it is the program's own."""


@dataclass(slots=True)
class LiveRewards:
    """The configured rewards, and every reward of the loose `files` that `plugins` were loaded with.

    `lent` is what the program can give rewards that need something. A reward that cannot be made is told in `remarks`.
    """

    plugins: Plugins
    files: Sequence[Path] = ()
    specs: Sequence[RewardSpec] = ()
    lent: Mapping[str, Any] = field(default_factory=dict)
    trusted: Collection[str] = ()
    confinement: Confinement | None = None
    remarks: list[str] = field(default_factory=list)
    _steady: tuple[Reward, ...] = ()
    _loose: list[_File] = field(default_factory=list)

    def __post_init__(self) -> None:
        loose = {path.stem for path in self.files}
        registered = self.plugins.registry.rewards
        steady = [s for s in self.specs if s.use not in registered or registered[s.use].plugin not in loose]
        self._steady = self._built(self.plugins.registry, steady)
        for path in self.files:
            rewards = self._built(self.plugins.registry, self._specs_of(path.stem, self.plugins.registry))
            self._loose.append(_File(path=path, content=self.plugins.contents.get(path.stem, GONE), rewards=rewards))

    def of_last_turn(self, episode: Episode) -> list[Opinion]:
        """What every reward says of a conversation's last turn, in the order of the settings, loose files last."""
        rewards = [*self._steady, *(reward for file in self._loose for reward in file.rewards)]
        before = replace(episode, turns=episode.turns[:-1])
        return [_opinion(reward, before, episode) for reward in rewards]

    def refresh(self) -> list[str]:
        """Take up anew the files that have changed since they were last looked at. What came of it, a line each."""
        found = [(file, content(file.path)) for file in self._loose]
        return [self._take_up(file, now) for file, now in found if now != file.content]

    def reload(self) -> list[str]:
        """Take up every file anew, also one that was quarantined."""
        return [self._take_up(file, content(file.path)) for file in self._loose]

    def close(self) -> None:
        """End what was loaded here. What the program loaded is the program's to end."""
        for file in self._loose:
            if file.plugins is not None:
                file.plugins.close()
                file.plugins = None

    def _take_up(self, file: _File, now: str) -> str:
        file.content = now  # a broken content is named once, not before every turn
        fresh: Plugins | None = None
        try:
            if now == GONE:
                raise PluginError(f"{file.path}: there is no such file")
            fresh = load_plugins(files=[file.path], found=[], trusted=self.trusted, confinement=self.confinement)
            self._refuse_taken(file, fresh.registry)
            rewards = build_rewards(fresh.registry, self._specs_of(file.path.stem, fresh.registry), resources=self.lent)
        except (PluginError, ConfigError) as e:
            if fresh is not None:
                fresh.close()
            return f"{one_line(str(e))}; what was loaded before goes on"
        if file.plugins is not None:
            file.plugins.close()
        file.plugins, file.rewards = fresh, rewards
        names = ", ".join(reward.name for reward in rewards) or "no reward"
        return f"{file.path}: taken up anew: {names}"

    def _refuse_taken(self, file: _File, fresh: Registry) -> None:
        """A file may not begin to register what somebody else has registered."""
        others = {name for name, r in self.plugins.registry.rewards.items() if r.plugin != file.path.stem}
        others |= {r.name for other in self._loose if other is not file for r in other.rewards}
        for name in fresh.rewards:
            if name in others:
                raise PluginError(f"{file.path}: reward {name!r} is registered by another plugin; rename it")

    def _specs_of(self, plugin: str, registry: Registry) -> list[RewardSpec]:
        """A plugin's rewards as they are configured; those that are not, with their defaults."""
        names = [r.name for r in registry.of(plugin) if r.kind == "rewards"]
        configured = [spec for spec in self.specs if spec.use in names]
        return configured + [RewardSpec(use=name) for name in names if name not in {spec.use for spec in configured}]

    def _built(self, registry: Registry, specs: Sequence[RewardSpec]) -> tuple[Reward, ...]:
        made: list[Reward] = []
        for spec in specs:
            try:
                made += build_rewards(registry, [spec], resources=self.lent)
            except (ConfigError, PluginError) as e:
                self.remarks.append(f"left out: {one_line(str(e))}")
        return tuple(made)


def _opinion(reward: Reward, before: Episode, now: Episode) -> Opinion:
    try:
        earlier, score = checked_scores(reward, [before, now])
    except RewardError as e:
        return Opinion(reward=reward.name, turn=None, so_far=None, reason=one_line(str(e)), failed=True)
    return Opinion(reward=reward.name, turn=_added(earlier, score), so_far=whole(score), reason=one_line(score.reason))


def _added(earlier: Score, now: Score) -> float | None:
    paid = whole(now)
    return None if paid is None else paid - (whole(earlier) or 0.0)
