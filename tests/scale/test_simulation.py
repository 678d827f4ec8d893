"""The simulation does what the program does, step by step, and says how much of each part is needed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from torch import Tensor

from dialog_rl.bench.scale_figures import NOTHING, fit, script_of
from dialog_rl.lm.decoder import Decoder
from dialog_rl.lm.policy import ModelShape, Policy
from dialog_rl.lm.renderer import EmbeddedRenderer
from dialog_rl.lm.rollouts import rollouts
from dialog_rl.online.casting import Casting
from dialog_rl.online.practice import Practice, Strategy
from dialog_rl.scale import simulation
from dialog_rl.scale.plan import Assumed, plan
from dialog_rl.scale.simulation import Costs, Script
from tests.chat.scripted import stage
from tests.online.conftest import tokenizer  # noqa: F401  fixture

COSTS = Costs(prefill=0.01, heard=0.001, step=0.002, said=0.0001, commit=0.004, event=0.0001, learnt=0.5)
SHORT: Script = (((10, 3),), ((5, 2), (4, 3)))
"""Two turns, the second with a call."""


def test_one_conversation_alone_takes_what_its_steps_take() -> None:
    found = simulation.host([(0.0, SHORT)], COSTS, slots=4)
    counts = found.counts
    assert (counts.prefills, counts.heard, counts.steps, counts.said, found.turns) == (3, 19, 5, 5, 2)
    assert found.busy == pytest.approx(3 * 0.01 + 19 * 0.001 + 5 * 0.002 + 5 * 0.0001)
    assert found.first_tokens[0] == pytest.approx((0.0, 0.02))


def test_two_at_once_share_their_steps_and_a_third_waits_for_a_slot() -> None:
    two = simulation.host([(0.0, SHORT)] * 2, COSTS, slots=2)
    assert (two.counts.prefills, two.counts.steps, two.counts.said) == (3, 5, 10)
    three = simulation.host([(0.0, SHORT)] * 3, COSTS, slots=2)
    assert three.counts.prefills == 6 and max(waited for _, waited in three.first_tokens) > two.busy


def test_who_thinks_holds_no_slot() -> None:
    calls = [(0.0, SHORT), (0.1, SHORT)]
    found = simulation.host(calls, COSTS, slots=1, think=1000.0)
    assert max(waited for _, waited in found.first_tokens) < 0.2 and found.ended > 1


@pytest.mark.parametrize("slots", [1, 3, 16])
def test_its_steps_are_those_of_rollouts(
    slots: int,
    tokenizer: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shape = ModelShape(
        vocab_size=-(-len(tokenizer) // 64) * 64, hidden=16, layers=1, heads=2, intermediate=32, max_positions=192
    )  # fmt: skip
    counts = simulation.Counts()
    heard, spoke = Decoder.prefill, Decoder.decode

    def prefill(self: Decoder, at: Any, ids: list[list[int]]) -> Tensor:
        counts.prefills, counts.heard = counts.prefills + 1, counts.heard + sum(map(len, ids))
        return heard(self, at, ids)

    def decode(self: Decoder, at: Any, ids: list[int]) -> Tensor:
        counts.steps, counts.said = counts.steps + 1, counts.said + len(ids)
        return spoke(self, at, ids)

    monkeypatch.setattr(Decoder, "prefill", prefill)
    monkeypatch.setattr(Decoder, "decode", decode)
    casting = Casting(sources=[stage()], seed=0, practice=Practice(Strategy.UNIFORM))
    callers = casting.conversations(0, 7, run="r", tokenizer="tok", temperature=1.0)
    policy = Policy.fresh(shape, seed=3)
    episodes = sorted(
        rollouts(policy, EmbeddedRenderer(tokenizer), callers, slots=slots, max_length=192),
        key=lambda e: e.episode_id,
    )  # fmt: skip
    found = simulation.host([(0.0, script_of(e)) for e in episodes], COSTS, slots=slots).counts
    assert (found.prefills, found.steps, found.said) == (counts.prefills, counts.steps, counts.said)
    # the last token of an action is fed with what is heard next, so that each hearing but the first has one more
    actions = sum(len(turn) for e in episodes for turn in script_of(e))
    assert found.heard == counts.heard - (actions - len(episodes))


def test_costs_are_found_again_from_what_whole_runs_took() -> None:
    runs = []
    for slots, count in ((1, 3), (2, 8), (5, 20), (16, 40)):
        scripts = [SHORT[: 1 + n % 2] for n in range(count)]
        runs.append((slots, scripts, simulation.host([(0.0, s) for s in scripts], COSTS, slots=slots).busy))
    found = replace(NOTHING, **fit(runs))
    scripts = [SHORT] * 9
    expected = simulation.host([(0.0, s) for s in scripts], COSTS, slots=3).busy
    assert simulation.host([(0.0, s) for s in scripts], found, slots=3).busy == pytest.approx(expected, rel=0.02)


def test_a_log_that_is_asked_too_much_falls_behind() -> None:
    calm, full = simulation.log(10, COSTS), simulation.log(12_000, COSTS, seconds=5)
    assert sorted(calm)[len(calm) // 2] == pytest.approx(0.0041) and full[-1] > 1.0


def test_what_waits_for_an_update_is_as_old_as_the_batch_the_update_and_the_gate() -> None:
    waited = simulation.learner(0.01, COSTS, batch=2, most=8, speed=1.0, gate=30.0, seconds=10_000)
    assert waited[:2] == pytest.approx([100 + 1 + 30, 1 + 30])
    late = simulation.learner(1.0, COSTS, batch=2, most=8, speed=1.0, gate=30.0, seconds=10_000)
    assert late[-1] > 5_000


def test_more_people_never_need_less_and_the_targets_are_met() -> None:
    assumed = Assumed()
    small, large = (plan(size, [SHORT], COSTS, assumed) for size in (1_000, 3_000_000))
    assert small.hosts == small.logs == small.learners == 1 < large.hosts
    assert max(small.first_token_p95, large.first_token_p95) <= assumed.first_token
    assert max(small.ack_p99, large.ack_p99) <= assumed.ack


def test_where_the_gate_is_the_narrowest_place_some_are_left_out() -> None:
    few, many = (plan(size, [SHORT], COSTS, Assumed()) for size in (10_000, 30_000_000))
    assert few.learnt == 1.0 and many.learnt < 1.0 and many.learners == Assumed().most_learners
    assert many.staleness_p95 < 3600
