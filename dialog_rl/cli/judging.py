"""What a command makes of the episodes it has had: how fluent they are, and what the rewards would pay them for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dialog_rl.cli import lending, opening
from dialog_rl.cli.output import note
from dialog_rl.config import Settings
from dialog_rl.errors import ConfigError, PluginError
from dialog_rl.plugins.loading import Plugins
from dialog_rl.plugins.rewards import build_rewards
from dialog_rl.scoring import Reward, RewardSpec, ScoredEpisode

if TYPE_CHECKING:
    from dialog_rl.episode import Episode, Rating
    from dialog_rl.evaluation.gaming import Gaming
    from dialog_rl.evaluation.suites import Evaluation, Suite
    from dialog_rl.evaluation.summaries import Result

    Ratings = Callable[[Sequence[Episode]], Sequence[tuple[Rating, ...]]]

FLUENCY = "fluency"


class Judge:
    """Where a model speaks, the version that training starts from is the reference that fluency is measured by."""

    def __init__(
        self,
        settings: Settings,
        plugins: Plugins,
        *,
        speaks: bool,
        pay: bool = True,
        ratings: Ratings = lambda episodes: [()] * len(episodes),
    ) -> None:
        """speaks: a model of ours did. ratings: what people said; nobody has rated what is new."""
        lent: dict[str, Any] = dict(lending.reference(settings)) if speaks else {}
        self._fluency_by = settings.train.version if lent else ""
        lent["ratings"] = ratings
        measures = _buildable(plugins, [RewardSpec(use=FLUENCY)] if FLUENCY in plugins.registry.rewards else [], lent)
        self._fluency = measures[0] if measures else None
        self.rewards = _buildable(plugins, opening.reward_specs(settings), lent) if pay else ()
        self._combine = plugins.combine
        self.scored: dict[str, tuple[list[ScoredEpisode], dict[str, float]]] = {}
        """What each contestant's episodes were paid, and the weights of the components: told by `compare`."""

    def compare(self, results: Sequence[Result], suite: Suite) -> Evaluation:
        """Results on one suite, with fluency and pay."""
        return self.compare_described(results, suite.described())

    def compare_described(self, results: Sequence[Result], described: Mapping[str, object]) -> Evaluation:
        """The same of results from wherever."""
        from dialog_rl.evaluation.suites import compared

        fluency = self._fluencies if self._fluency is not None else None
        return compared(results, described, fluency=fluency, fluency_by=self._fluency_by, pay=self._pay)

    def _fluencies(self, episodes: Sequence[Episode]) -> list[float | None]:
        assert self._fluency is not None
        return [score.value for score in self._fluency.function.score(episodes)]

    def _pay(self, name: str, episodes: Sequence[Episode]) -> Gaming | None:
        from dialog_rl.evaluation.gaming import gaming_of, paid_leniently

        if not self.rewards:
            return None
        self.scored[name] = paid_leniently(episodes, self.rewards, self._combine)
        return gaming_of(name, *self.scored[name])


def _buildable(plugins: Plugins, specs: Sequence[RewardSpec], lent: dict[str, Any]) -> tuple[Reward, ...]:
    """The rewards that can be made here; one that cannot is told, for a measurement does not stand or fall with it."""
    made: list[Reward] = []
    for spec in specs:
        try:
            made += build_rewards(plugins.registry, [spec], resources=lent)
        except (ConfigError, PluginError) as e:
            note(f"warning: left out: {e}")
    return tuple(made)
