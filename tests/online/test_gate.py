"""The gate with clerks whose worth is known: who passes, who does not, and what is told of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from dialog_rl.bench.gate_policies import BAD_HABITS, Clerk, clerks_play, planted
from dialog_rl.conversation import Conversation, User, UserReply
from dialog_rl.episode import Episode, Message
from dialog_rl.errors import ConfigError, ModelError, TrainingError
from dialog_rl.mistakes import Mistakes
from dialog_rl.online import attacks
from dialog_rl.online.gate import CHANGED, Gate, GateConfig, GateOutcome
from dialog_rl.online.must_pass import MustPass
from dialog_rl.online.sequential import ErrorBudget
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.scenario import Scenario
from dialog_rl.seeds import derive
from dialog_rl.staging import Simulator, Stage, open_stage
from tests.scenarios.library import FOLDER

CHAMPION = Clerk(version="champion")
CONFIG = GateConfig(cases=12)


@cache
def stage(pack: str = str(FOLDER)) -> Stage:
    return open_stage(load_plugins().registry, pack)


PLAYED: dict[tuple[str, str], Episode] = {}


class Recorder:
    """A play that remembers who spoke which conversations. Clerks do the same each time, so they are asked once."""

    def __init__(self, stages: Sequence[Stage] = ()) -> None:
        self._play = clerks_play(stages or [stage()])
        self.heard: list[tuple[str, str]] = []
        self.openings: dict[str, set[str]] = {}

    def __call__(self, clerk: Clerk, conversations: Iterable[Conversation]) -> Iterator[Episode]:
        for conversation in conversations:
            opening, case = conversation.unobserved()[-1].text, conversation.episode_id
            key = repr(clerk), f"{case} {conversation.seed} {opening}"
            if key not in PLAYED:
                (PLAYED[key],) = self._play(clerk, [conversation])
            self.heard.append((clerk.version, case))
            self.openings.setdefault(case, set()).add(opening)
            yield PLAYED[key]


@cache
def gate() -> Gate[Clerk]:
    """One for many tests: what it remembers of the suites saves their time."""
    return Gate([stage()], Recorder(), CONFIG)


def examine(candidate: Clerk, champion: Clerk = CHAMPION, anchor: Clerk = CHAMPION, number: int = 1) -> GateOutcome:
    return gate().examine(candidate, champion, anchor, gate_number=number)


def test_a_candidate_as_good_as_the_champion_passes() -> None:
    outcome = examine(Clerk(version="equal"))
    assert outcome.promoted and outcome.reason.startswith("no worse than the anchor by 10 points")


def test_a_better_candidate_passes_sooner_and_is_known_to_be_better() -> None:
    equal, better = examine(Clerk(version="equal")), examine(Clerk(version="better", serves=1.0))
    assert better.promoted and better.evidence["pairs"] <= equal.evidence["pairs"]
    assert better.evidence["against"]["anchor"]["better"] > 20 > equal.evidence["against"]["anchor"]["better"]


@pytest.mark.parametrize("clerk", planted(), ids=lambda clerk: clerk.version)
def test_no_planted_clerk_passes(clerk: Clerk) -> None:
    outcome = examine(clerk)
    assert not outcome.promoted and outcome.reason


def test_twenty_bad_clerks_are_planted() -> None:
    assert len({clerk.version for clerk in planted()}) == 20


def test_a_candidate_as_good_as_a_champion_that_has_sunk_does_not_pass_below_the_anchor() -> None:
    sunk, anchor = Clerk(version="sunk", serves=0.55), Clerk(version="anchor", serves=0.85)
    outcome = examine(Clerk(version="equal", serves=0.55), sunk, anchor)
    assert not outcome.promoted and "the anchor" in outcome.reason
    assert outcome.evidence["against"]["champion"]["verdict"] != "failed"


def test_the_outcome_holds_all_its_evidence_as_plain_json() -> None:
    outcome = examine(Clerk(version="equal"), Clerk(version="champion 2"), number=3)
    told = json.loads(json.dumps(outcome.evidence, allow_nan=False))
    assert (told["gate"], told["candidate"], told["champion"], told["anchor"]) == (3, "equal", "champion 2", "champion")
    for name in ("champion", "anchor"):
        figures = told["against"][name]
        assert figures["verdict"] == "passed" and figures["evidence"] >= figures["needed"] == 1 / figures["alpha"]
        assert figures["wins"] + figures["losses"] <= figures["pairs"] <= told["pairs"] and figures["margin"] == 0.1
    assert told["alpha_spent"] == pytest.approx(ErrorBudget().spent(3))
    assert told["panels"]["candidate"]["words"] > 1 and told["faults"] == []
    assert told["suites"]["safety"]["cases"] == 12 and told["suites"]["injection"]["failures"] == {"candidate": 0}
    assert told["suites"]["safety"]["at_most"] == 0.25


def test_a_failed_comparison_names_what_was_lost() -> None:
    outcome = examine(Clerk(version="refuses", habit=BAD_HABITS["refuses"]))
    assert outcome.reason.startswith("worse than the anchor by more than 10 points: 0 won and")
    assert outcome.evidence["against"]["anchor"]["verdict"] == "failed" and "suites" not in outcome.evidence


def test_who_was_served_against_the_rules_was_not_served() -> None:
    hasty = examine(Clerk(version="hasty", serves=1.0, mistakes=Mistakes(skips_confirmation=1.0)))
    assert not hasty.promoted and hasty.evidence["served"]["candidate"] < 0.85


def test_everybody_meets_the_same_customers_with_the_same_luck() -> None:
    play = Recorder()
    Gate([stage()], play, CONFIG).examine(
        Clerk(version="equal"), CHAMPION, Clerk(version="anchor"), gate_number=1
    )  # fmt: skip
    equal, champion, anchor = (
        {case for who, case in play.heard if who == name and case.startswith("gate")}
        for name in ("equal", "champion", "anchor")
    )
    assert equal == champion == anchor != set()
    assert all(len(openings) == 1 for openings in play.openings.values())


def test_a_champion_that_is_the_anchor_is_played_once() -> None:
    play = Recorder()
    Gate([stage()], play, CONFIG).examine(Clerk(version="equal"), CHAMPION, CHAMPION, gate_number=1)
    assert len(play.heard) == len(set(play.heard))


def test_a_repeated_gate_is_the_same_gate_and_another_number_meets_others() -> None:
    play = Recorder()
    gates = [Gate([stage()], play, replace(CONFIG, pairs=32)) for _ in range(2)]
    one, other = (g.examine(Clerk(version="equal"), CHAMPION, CHAMPION, gate_number=2) for g in gates)
    assert one == other and all(len(openings) == 1 for openings in play.openings.values())
    gates[0].examine(Clerk(version="equal"), CHAMPION, CHAMPION, gate_number=3)
    blocks = [play.openings[f"gate-{number}/library/{block}"] for number in (2, 3) for block in range(20)]
    assert blocks[:20] != blocks[20:]


def test_packs_take_turns() -> None:
    stages = [stage("retail"), stage(), stage("banking")]
    play = Recorder(stages)
    few = replace(CONFIG, pairs=16, batch=16, cases=0)
    outcome = Gate(stages, play, few).examine(Clerk(version="equal"), CHAMPION, CHAMPION, gate_number=1)
    played = [case.split("/")[1] for who, case in play.heard if who == "equal"]
    assert played == ["retail", "library", "banking"] * 5 and outcome.evidence["pairs"] == 15


def test_a_later_gate_asks_for_more_evidence_against_the_anchor_alone() -> None:
    first, tenth = (CONFIG.rules(number, block=1, same=False) for number in (1, 10))
    assert tenth["anchor"].needed > 5 * first["anchor"].needed and tenth["champion"] == first["champion"]
    assert CONFIG.rules(1, block=1, same=True)["anchor"].needed == max(r.needed for r in first.values())


# Refusals without a test


def test_a_vetoed_candidate_is_not_played() -> None:
    play = Recorder()
    reasons = {"rude": "it was rude to me"}
    vetoing = Gate([stage()], play, CONFIG, veto=lambda version: reasons.get(version, ""))
    outcome = vetoing.examine(Clerk(version="rude"), CHAMPION, CHAMPION, gate_number=1)
    assert (outcome.promoted, outcome.reason, play.heard) == (False, "vetoed: it was rude to me", [])
    assert vetoing.examine(Clerk(version="equal"), CHAMPION, CHAMPION, gate_number=1).promoted


def test_a_veto_that_comes_while_the_gate_is_at_work_holds() -> None:
    play = Recorder()
    late = Gate([stage()], play, CONFIG, veto=lambda version: "I have seen enough" if play.heard else "")
    outcome = late.examine(Clerk(version="equal"), CHAMPION, CHAMPION, gate_number=1)
    assert not outcome.promoted and outcome.reason == "vetoed: I have seen enough"
    assert len(play.heard) == 1


def test_a_gate_ends_at_once_when_the_champion_is_another_one_by_then() -> None:
    play = Recorder()
    moved = Gate([stage()], play, CONFIG, standing=lambda: "by hand" if len(play.heard) > 4 else CHAMPION.version)
    outcome = moved.examine(Clerk(version="equal"), CHAMPION, CHAMPION, gate_number=1)
    assert not outcome.promoted and outcome.reason == CHANGED and len(play.heard) == 5


@pytest.mark.parametrize("who", ["champion", "anchor"])
def test_the_champion_or_the_anchor_itself_is_no_candidate(who: str) -> None:
    outcome = examine(Clerk(version=who), anchor=Clerk(version="anchor"))
    assert not outcome.promoted and outcome.reason == f"it is the {who} itself"


# What goes wrong while playing


def test_an_interrupted_gate_decides_nothing() -> None:
    def interrupted(clerk: Clerk, conversations: Iterable[Conversation]) -> list[Episode]:
        return list(clerks_play([stage()])(clerk, conversations))[:-3]

    with pytest.raises(TrainingError, match="interrupted, 3 conversations before its end"):
        Gate([stage()], interrupted, CONFIG).examine(Clerk(version="equal"), CHAMPION, CHAMPION, gate_number=1)


def broken_for(version: str) -> Callable[[Clerk, Iterable[Conversation]], Iterator[Episode]]:
    def play(clerk: Clerk, conversations: Iterable[Conversation]) -> Iterator[Episode]:
        if clerk.version == version:
            raise ModelError("its logits are not finite")
        return clerks_play([stage()])(clerk, conversations)

    return play


def test_a_candidate_whose_outputs_are_not_finite_is_rejected() -> None:
    outcome = Gate([stage()], broken_for("nan"), CONFIG).examine(
        Clerk(version="nan"), CHAMPION, CHAMPION, gate_number=1
    )
    assert not outcome.promoted and outcome.reason == "it cannot be played: its logits are not finite"


def test_a_champion_that_cannot_be_played_is_no_reason_to_reject() -> None:
    with pytest.raises(ModelError, match="not finite"):
        Gate([stage()], broken_for("champion"), CONFIG).examine(
            Clerk(version="equal"), CHAMPION, CHAMPION, gate_number=1
        )


class Fragile:
    """A simulator that breaks with a share of its customers once they have been answered."""

    def __init__(self, simulator: Simulator, every: int) -> None:
        self._simulator, self._every = simulator, every

    def start(self, scenario: Scenario, seed: int) -> User:
        user = self._simulator.start(scenario, seed)
        return Breaking(user) if seed % self._every == 0 else user


class Breaking:
    def __init__(self, user: User) -> None:
        self._user = user

    def open(self) -> UserReply:
        return self._user.open()

    def reply(self, message: Message) -> UserReply:
        raise RuntimeError("out of words")


def fragile(every: int, **changes: Any) -> GateOutcome:
    stages = [replace(s, simulator=Fragile(s.simulator, every)) for s in (stage(), stage("banking"))]
    return Gate(stages, clerks_play(stages), replace(CONFIG, **changes)).examine(
        Clerk(version="equal"), CHAMPION, CHAMPION, gate_number=1
    )


def test_customers_whom_the_simulator_lost_are_left_out_with_their_whole_block() -> None:
    outcome = fragile(every=30, lost=0.5)
    assert outcome.promoted and outcome.evidence["lost"] > 0
    assert outcome.evidence["lost"] % 2 == 0 and (outcome.evidence["lost"] + outcome.evidence["pairs"]) % 32 == 0


def test_a_gate_in_which_the_simulator_loses_many_customers_shows_nothing() -> None:
    outcome = fragile(every=2)
    assert not outcome.promoted and "too many to show anything" in outcome.reason


@pytest.mark.parametrize("wrong", [{"pairs": 0}, {"batch": 0}, {"cases": -1}])
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="at least 1 pair"):
        GateConfig(**wrong)
    with pytest.raises(ConfigError, match="no packs"):
        Gate([], clerks_play([]))


# Suites that must be passed

GOSSIP = Mistakes(overlooks_refusal=0.4)


def suites(candidate: Clerk, champion: Clerk, anchor: Clerk | None = None) -> tuple[str, dict[str, Any], Recorder]:
    """What the suites say of a candidate, and who was played."""
    play, evidence = Recorder(), dict[str, Any]()
    must_pass = MustPass[Clerk](
        [stage()], lambda who, cases: {e.episode_id: e for e in play(who, cases)}, cases=40, seed=0, temperature=1.0
    )
    return must_pass.examine(candidate, {"champion": champion, "anchor": anchor or champion}, evidence), evidence, play


def test_one_failure_is_one_too_many_where_the_champion_has_none() -> None:
    clean, slips = Clerk(version="clean", serves=1.0), Clerk(version="slips", serves=1.0)
    gossip = replace(slips, mistakes=Mistakes(overlooks_refusal=1.0))
    again = attacks.conversations(attacks.Suite.SAFETY, stage(), 20, derive(0, "suites", "clean"))
    harmful = next(e for e in Recorder()(gossip, again) if attacks.harm(attacks.Suite.SAFETY, e))

    def play(who: Clerk, cases: Sequence[Conversation]) -> Mapping[str, Episode]:
        episodes = {e.episode_id: e for e in Recorder()(who, cases)}
        is_slip = who is slips and harmful.episode_id in episodes
        return {**episodes, harmful.episode_id: harmful} if is_slip else episodes

    evidence: dict[str, Any] = {}
    must_pass = MustPass[Clerk]([stage()], play, cases=20, seed=0, temperature=1.0)
    fault = must_pass.examine(slips, {"champion": clean, "anchor": clean}, evidence)
    assert evidence["suites"]["safety"]["failures"] == {"candidate": 1, "champion": 0}
    assert fault.startswith("safety: 1 of 20 cases failed, the champion none; ")


def test_a_champion_that_fails_cases_may_be_followed_by_one_that_fails_no_more() -> None:
    gossips = [Clerk(version=v, serves=1.0, mistakes=GOSSIP) for v in ("candidate", "champion")]
    fault, evidence, _ = suites(*gossips)
    assert fault == "" and evidence["suites"]["safety"]["failures"]["champion"] > 3


def test_a_clean_anchor_is_not_forgotten_by_a_champion_that_fails() -> None:
    candidate, champion = (Clerk(version=v, serves=1.0, mistakes=GOSSIP) for v in ("candidate", "champion"))
    fault, _, _ = suites(candidate, champion, Clerk(version="clean", serves=1.0))
    assert "the anchor none" in fault


def test_a_candidate_that_fails_more_cases_than_a_champion_that_fails_some_is_rejected() -> None:
    champion = Clerk(version="champion", serves=1.0, mistakes=Mistakes(overlooks_refusal=0.1))
    fault, evidence, _ = suites(Clerk(version="candidate", serves=1.0, mistakes=GOSSIP), champion)
    failures = evidence["suites"]["safety"]["failures"]
    assert failures["candidate"] > failures["champion"] > 0 and "that the champion passes" in fault


def test_nobody_else_is_played_where_the_candidate_fails_nothing() -> None:
    _, evidence, play = suites(Clerk(version="clean", serves=1.0), CHAMPION)
    assert {who for who, _ in play.heard} == {"clean"} and evidence["suites"]["safety"]["at_most"] == 3 / 40


def test_what_a_version_did_in_the_suites_is_remembered_while_the_anchor_stays() -> None:
    play = Recorder()
    must_pass = MustPass[Clerk](
        [stage()], lambda who, cases: {e.episode_id: e for e in play(who, cases)}, cases=6, seed=0, temperature=1.0
    )
    clean = Clerk(version="clean", serves=1.0)
    for _ in range(2):
        must_pass.examine(clean, {"champion": CHAMPION, "anchor": CHAMPION}, {})
    assert len(play.heard) == 12
    before = {case: len(openings) for case, openings in play.openings.items()}
    must_pass.examine(clean, {"champion": CHAMPION, "anchor": Clerk(version="another")}, {})
    assert len(play.heard) == 24 and any(len(o) > before[case] for case, o in play.openings.items())
