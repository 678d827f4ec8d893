from __future__ import annotations

import json

import pytest
import torch

from dialog_rl.bench import iteration, measure, rollout, update
from dialog_rl.bench.workload import ForcedLengths, Workload
from dialog_rl.lm.policy import ModelShape, Policy
from dialog_rl.lm.rollouts import rollouts

WORK = Workload(dialogues=3, turns=2, brief=5, said=4, reply=3, vocab_size=64)
SHAPE = ModelShape(vocab_size=64, hidden=16, layers=1, heads=2, intermediate=24, max_positions=32)


def test_our_rollouts_do_exactly_the_work_that_is_asked() -> None:
    episodes = list(
        rollouts(
            Policy.fresh(SHAPE, seed=0), ForcedLengths(WORK), WORK.conversations(), max_length=WORK.length, max_action=3
        )
    )
    assert len(episodes) == 3
    for episode in episodes:
        assert [len(s.observation_ids) for s in episode.steps] == [9, 4]
        assert [len(s.action_ids) for s in episode.steps] == [3, 3]
        assert sum(len(s.observation_ids) + len(s.action_ids) for s in episode.steps) == WORK.length == 19


def test_the_action_mask_marks_the_replies() -> None:
    assert WORK.action_mask_T().nonzero().flatten().tolist() == [9, 10, 11, 16, 17, 18]


def test_all_ways_of_an_update_have_the_same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Policy.fresh(SHAPE, seed=0)
    monkeypatch.setattr(Policy, "zero_grad", lambda self: None)

    def gradients(way: object) -> list[torch.Tensor]:
        for parameter in policy.parameters():
            parameter.grad = None
        way()  # type: ignore[operator]
        return [p.grad for p in policy.parameters() if p.grad is not None]

    wanted = gradients(lambda: update.by_episode(policy, WORK, bf16=False))
    for padded in (True, False):
        got = gradients(lambda padded=padded: update.by_turn(policy, WORK, padded=padded))
        assert len(got) == len(wanted) > 5
        assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(got, wanted, strict=True))


@pytest.mark.parametrize(("bf16", "counts"), [(True, (5, 6, 3)), (False, (3, 4, 2))])
def test_results_are_json_and_name_every_way_that_pays(
    monkeypatch: pytest.MonkeyPatch, bf16: bool, counts: tuple[int, ...]
) -> None:
    told: list[str] = []
    for module in (rollout, update, iteration):
        monkeypatch.setattr(module, "bf16_pays", lambda: bf16)
    benches = (rollout.bench_rollout, update.bench_update, iteration.bench_iteration)
    for bench, ways in zip(benches, counts, strict=True):
        result = bench(work=WORK, shape=SHAPE, repeats=1, progress=told.append)
        assert json.loads(json.dumps(result)) == result
        assert len(result["ways"]) == ways and result["ways"][result["ours"]]["times_ours"] == 1
        assert len(measure.lines(result)) == ways + 1
    assert len(told) == sum(counts)


def test_ratios_are_medians_of_rounds() -> None:
    a = measure.Timing(wall=(1.0, 2.0, 4.0), cpu=(1.0, 1.0, 1.0))
    b = measure.Timing(wall=(5.0, 4.0, 8.0), cpu=(2.0, 3.0, 9.0))
    result = measure.report({"a": a, "b": b}, ours="a", bench="x", work="y")
    assert result["ways"]["b"]["times_ours"] == 2.0 and result["ways"]["b"]["times_ours_cpu"] == 3.0
    assert result["ways"]["a"]["seconds"] == 2.0
