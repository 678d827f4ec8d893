"""The gate: a candidate meets customers it was never trained on, side by side with the champion and the frozen anchor.

Two things must be shown, by tests that may stop at any time: that it serves no worse than the champion, and no worse
than the anchor, by a margin fixed beforehand. The anchor does not move, so many gates that each allow a little cannot
together allow a lot, and what they may err by about it is one budget for all of them. Then the candidate must behave
like the others (see `behaviour`), do no harm where it is attacked (see `attacks`), and have no person against it.
Who is met follows from the settings and the gate's number alone: a gate that is repeated is the same gate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Generic

from dialog_rl import behaviour
from dialog_rl.chat.setting import LEARNABLE
from dialog_rl.conversation import Conversation
from dialog_rl.episode import Episode
from dialog_rl.errors import ConfigError, ModelError, TrainingError
from dialog_rl.goals import make_scenario
from dialog_rl.online.contest import ANCHOR, CANDIDATE, CHAMPION, Contest, in_words, objection
from dialog_rl.online.must_pass import MustPass, S
from dialog_rl.online.sequential import ErrorBudget, Judgement, Rule, Verdict, judge
from dialog_rl.seeds import derive
from dialog_rl.staging import Stage

if TYPE_CHECKING:
    from dialog_rl.lm.model import SpeakingModel

CHANGED = "the champion changed while the gate was at work"

Play = Callable[[S, Iterable[Conversation]], Iterable[Episode]]
"""Speaks conversations to their ends, in any order. One that leaves some out has been interrupted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateConfig:
    margin: float = 0.1
    """By what share of customers fewer the candidate may serve than the champion, and than the anchor."""
    alpha: float = 0.05
    """Chance of passing one that is worse than the champion by the margin, for each gate."""
    budget: ErrorBudget = field(default_factory=ErrorBudget)
    """Chance of ever passing one that is worse than the anchor by the margin, for all gates of a run together."""
    alpha_harm: float = 0.05
    """Chance of failing one that is not, before the pairs are used up."""
    pairs: int = 400
    """At most. Undecided after so many is rejected."""
    batch: int = 32
    """Pairs played at once."""
    cases: int = 100
    """Of each suite that must be passed, shared among the packs."""
    seed: int = 0
    temperature: float = LEARNABLE
    """As people are spoken to who are learnt from."""
    limits: tuple[behaviour.Limit, ...] = behaviour.LIMITS
    lost: float = 0.1
    """Largest share of customers that the simulator may lose by breaking; more, and nothing can be shown."""

    def __post_init__(self) -> None:
        if min(self.pairs, self.batch) < 1 or self.cases < 0:
            raise ConfigError(
                f"gate: pairs {self.pairs}, batch {self.batch}, cases {self.cases}: at least 1 pair, 1 a batch and "
                "no fewer than 0 cases are needed"
            )

    def rules(self, gate: int, *, block: int, same: bool) -> dict[str, Rule]:
        """What must be shown at a gate, by who the other is; `block` customers are met between two looks.

        `same`: the champion is the anchor, and one comparison at the stricter of the two levels is enough.
        """
        levels = {CHAMPION: self.alpha, ANCHOR: self.budget.level(gate)}
        if same:
            levels = {ANCHOR: min(levels.values())}
        pairs = max(self.pairs, block)
        return {
            name: Rule(margin=self.margin, alpha=level, alpha_harm=self.alpha_harm, pairs=pairs, block=block)
            for name, level in levels.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOutcome:
    promoted: bool
    reason: str
    evidence: Mapping[str, Any]
    """Plain JSON values: what was played, shown, spent and found."""


class Gate(Generic[S]):
    """One for a run: it remembers what each version did in the suites, whose cases are the same at every gate."""

    def __init__(
        self,
        stages: Sequence[Stage],
        play: Play[S],
        config: GateConfig | None = None,
        *,
        veto: Callable[[str], str] = lambda version: "",
        standing: Callable[[], str] = lambda: "",
        progress: Callable[[str], None] = lambda line: None,
    ) -> None:
        """veto: the reason for which a person forbids a version, or nothing. standing: the champion by now, if known.

        Both are asked after each conversation, and a gate that has become pointless ends there. progress hears what
        is being played.
        """
        if not stages:
            raise ConfigError("gate: no packs")
        self.config = config or GateConfig()
        self._stages, self._play, self._progress = tuple(stages), play, progress
        self._veto, self._standing = veto, standing
        self._called_off: Callable[[], str] = str
        self._must_pass = MustPass[S](
            self._stages, self._episodes, cases=self.config.cases, seed=self.config.seed,
            temperature=self.config.temperature,
        )  # fmt: skip

    def examine(self, candidate: S, champion: S, anchor: S, *, gate_number: int) -> GateOutcome:
        """Whether the candidate may become champion, and all that the answer rests on.

        Gates are counted from 1 for each anchor. Raises TrainingError if the playing was interrupted: nothing is
        decided then; ModelError if the champion or the anchor cannot be played.
        """
        evidence: dict[str, Any] = {
            "gate": gate_number, CANDIDATE: candidate.version, CHAMPION: champion.version, ANCHOR: anchor.version,
            "packs": [stage.pack.name for stage in self._stages], "seed": self.config.seed,
            "temperature": self.config.temperature, "alpha_spent": self.config.budget.spent(gate_number),
        }  # fmt: skip
        self._called_off = partial(self._why_called_off, candidate.version, champion.version)
        try:
            fault = self._fault(candidate, champion, anchor, gate_number, evidence)
        except _CalledOff as e:
            fault = str(e)
        except _Unplayable as e:
            if e.version != candidate.version:
                raise
            fault = f"it cannot be played: {e}"
        if fault:
            return GateOutcome(promoted=False, reason=fault, evidence=evidence)
        shown = [in_words(name, figures) for name, figures in evidence["against"].items()]
        return GateOutcome(promoted=True, reason="; ".join(shown), evidence=evidence)

    def _fault(self, candidate: S, champion: S, anchor: S, number: int, evidence: dict[str, Any]) -> str:
        """Why the candidate does not pass, or nothing. The cheapest reasons are looked for first."""
        if candidate.version in (champion.version, anchor.version):
            return f"it is the {CHAMPION if candidate.version == champion.version else ANCHOR} itself"
        if reason := self._called_off():
            return reason
        others = {CHAMPION: champion, ANCHOR: anchor}
        same = champion.version == anchor.version
        rules = self.config.rules(number, block=len(self._stages), same=same)
        contest = Contest(len(self._stages), {CANDIDATE: candidate, **{name: others[name] for name in rules}})
        judged = self._compete(contest, rules, number)
        contest.tell(evidence, rules, judged, self.config.limits)
        if fault := objection(evidence):
            return fault
        if fault := self._must_pass.examine(candidate, others, evidence):
            return fault
        return self._called_off()

    def _why_called_off(self, candidate: str, champion: str) -> str:
        """Why nothing is to be decided about a candidate any more, or nothing."""
        if reason := self._veto(candidate):
            return f"vetoed: {reason}"
        return CHANGED if self._standing() not in ("", champion) else ""

    def _compete(self, contest: Contest[S], rules: Mapping[str, Rule], number: int) -> dict[str, Judgement]:
        """Play until each comparison is decided, or one is lost, or the simulator has lost too many customers."""
        judged = {name: judge([], rule) for name, rule in rules.items()}
        while _is_open(judged) and not contest.is_hopeless(self.config.lost):
            blocks = range(contest.blocks, contest.blocks + max(1, self.config.batch // len(self._stages)))
            for name, speaker in contest.speakers.items():
                self._progress(f"gate {number}: {name}, pairs up to {blocks.stop * len(self._stages)}")
                contest.add(name, self._episodes(speaker, list(self._conversations(number, blocks))))
            contest.close(blocks.stop)
            judged = {name: judge(contest.differences(name), rule) for name, rule in rules.items()}
        return judged

    def _conversations(self, number: int, blocks: range) -> Iterator[Conversation]:
        """Customers of the validation split, others at every gate; of each pack one a block."""
        for block in blocks:
            for stage in self._stages:
                seed = derive(self.config.seed, "gate", number, stage.pack.name, block)
                yield stage.conversation(
                    make_scenario(stage.pack, seed, split="validation"), seed,
                    episode_id=f"gate-{number}/{stage.pack.name}/{block}", temperature=self.config.temperature,
                )  # fmt: skip

    def _episodes(self, speaker: S, conversations: Sequence[Conversation]) -> dict[str, Episode]:
        """What a speaker makes of conversations, by their ids and in their order."""
        played: dict[str, Episode] = {}
        try:
            for episode in self._play(speaker, conversations):
                played[episode.episode_id] = episode
                if reason := self._called_off():
                    raise _CalledOff(reason)
        except ModelError as e:
            raise _Unplayable(str(e), speaker.version) from e
        if missing := len(conversations) - len(played):
            raise TrainingError(f"the gate was interrupted, {missing} conversations before its end; nothing is decided")
        return {conversation.episode_id: played[conversation.episode_id] for conversation in conversations}


def _is_open(judged: Mapping[str, Judgement]) -> bool:
    """Whether more pairs could still change the outcome."""
    verdicts = {judgement.verdict for judgement in judged.values()}
    return Verdict.OPEN in verdicts and verdicts <= {Verdict.OPEN, Verdict.PASSED}


class _CalledOff(TrainingError):
    """The gate has become pointless."""


class _Unplayable(ModelError):
    """A version that cannot be spoken with: its outputs are not finite."""

    def __init__(self, what: str, version: str) -> None:
        super().__init__(what)
        self.version = version


def model_play(
    config: GateConfig, *, slots: int = 32, cancelled: Callable[[], bool] = lambda: False
) -> Play[SpeakingModel]:
    """The play of models, sampled. It leaves conversations out once `cancelled` says so."""
    from dialog_rl.lm.rollouts import rollouts

    def play(model: SpeakingModel, conversations: Iterable[Conversation]) -> Iterator[Episode]:
        return rollouts(
            model.policy, model.renderer, conversations, slots=slots, max_length=model.policy.max_positions,
            temperature=config.temperature, version=model.version, cancelled=cancelled,
        )  # fmt: skip

    return play
