"""The update as a whole: what may influence the gradient, what may not, and what happens when something goes wrong."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dialog_rl.episode import StopReason
from dialog_rl.errors import CheckpointError, ConfigError, TrainingError
from dialog_rl.rl.actor_critic import Evaluation
from dialog_rl.rl.algorithm import Loss, Needs
from dialog_rl.rl.algorithms.ppo import PPO
from dialog_rl.rl.algorithms.ppo_config import PPOConfig
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.choices import KLEstimator, Level
from dialog_rl.rl.experience import Experience
from dialog_rl.rl.kl import KLConfig, KLPlace
from dialog_rl.rl.learner import Learner
from dialog_rl.rl.learner_config import LearnerConfig
from dialog_rl.rl.update_stats import UpdateEnd

NO_KL = KLConfig(coef=0.0)
CALM = LearnerConfig(kl=NO_KL, kl_stop=float("inf"), kl_discard=float("inf"), max_mismatch=1e-3)
Episodes = Callable[..., list[Any]]


def weights(policy: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in policy.named_parameters()}


def moved(policy: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, p in policy.named_parameters() if not torch.equal(p, before[name])}


def one_gradient(policy: nn.Module, batch: EpisodeBatch, config: LearnerConfig, reference: nn.Module | None = None):
    """The gradient of the first step, caught before the optimizer uses it."""
    caught: dict[str, Tensor] = {}
    learner = Learner(policy, reference, PPO(), replace(config, epochs=1, max_grad_norm=1e9))  # type: ignore[arg-type]

    def catch(*_: Any) -> None:
        caught.update({n: p.grad.clone() for n, p in policy.named_parameters() if p.grad is not None})

    learner._optimizer.register_step_pre_hook(catch)
    stats = learner.update(batch)
    assert stats.steps == 1
    return caught


def assert_close(got: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 1e-6) -> None:
    assert got.keys() == expected.keys()
    for name in got:
        assert torch.allclose(got[name], expected[name], atol=tolerance, rtol=1e-4), name


def test_first_ratios_are_exactly_one(tiny_lm: Any, sampled: Episodes) -> None:
    policy = tiny_lm()
    batch = EpisodeBatch.from_scored(sampled(policy, 20), 0)
    stats = Learner(policy, None, PPO(), replace(CALM, epochs=1, token_budget=60)).update(batch)
    assert (stats.ratio_min, stats.ratio_max, stats.clip_fraction) == (1.0, 1.0, 0.0)
    assert stats.steps == 1 and stats.kl_old > 0
    assert stats.mismatch_max < 1e-5


def test_neither_padding_nor_micro_batches_change_the_gradient(tiny_lm: Any, sampled: Episodes) -> None:
    policy, reference = tiny_lm(), tiny_lm(seed=1)
    episodes = sampled(policy, 12)
    config = replace(CALM, kl=KLConfig(coef=0.1), entropy_coef=0.01)
    whole = EpisodeBatch.from_scored(episodes, 0)
    expected = one_gradient(copy.deepcopy(policy), whole, config, reference)
    for budget in (1, 30, 90):
        assert_close(
            one_gradient(copy.deepcopy(policy), whole, replace(config, token_budget=budget), reference), expected
        )
    other_pad = EpisodeBatch.from_scored(episodes, 7)
    assert_close(one_gradient(copy.deepcopy(policy), other_pad, config, reference), expected)


def test_nan_off_action_tokens_cannot_leak(tiny_lm: Any, padding_breaks: Any, sampled: Episodes) -> None:
    policy, careless = tiny_lm(), padding_breaks()
    batch = EpisodeBatch.from_scored(sampled(policy, 8), 0)
    config = replace(CALM, kl=KLConfig(coef=0.1), entropy_coef=0.01)
    expected = one_gradient(policy, batch, config, tiny_lm(seed=1))
    assert_close(one_gradient(careless, batch, config, padding_breaks(seed=1)), expected)


class Table(nn.Module):
    """A free number for each quantity at each position of one batch: gradients show position by position."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.logprobs = nn.Parameter(torch.full((rows, width), -1.0))
        self.entropy = nn.Parameter(torch.ones(rows, width))
        self.value_head = nn.Parameter(torch.zeros(rows, width))

    def evaluate(self, ids_BT: Tensor, lengths_B: Tensor, action_mask_BT: Tensor, *, temperature: float = 1.0) -> Any:
        return _Got(self.logprobs + 0, self.entropy + 0, self.value_head + 0, self.value_head.detach()[:, -1])


@dataclass
class _Got:
    logprobs_BT: Tensor
    entropy_BT: Tensor
    values_BT: Tensor
    final_value_B: Tensor


def test_only_action_tokens_get_a_gradient(scored: Callable[..., Any]) -> None:
    steps = [([1, 2], [3, 4]), ([5, 6, 7], [8, 9])]
    batch = EpisodeBatch.from_scored([scored(steps, reward=1.0), scored(steps, reward=0.0)], 0)
    table = Table(2, 9)
    got = one_gradient(table, batch, replace(CALM, entropy_coef=0.1))
    for name in ("logprobs", "entropy"):
        assert torch.equal(got[name] != 0, batch.action_mask_BT), name
    assert bool((got["value_head"][~batch.action_mask_BT] == 0).all())
    assert bool((got["value_head"][0][batch.action_mask_BT[0]] != 0).all())


def test_the_ppo_gradient_agrees_with_finite_differences(tiny_lm: Any, sampled: Episodes) -> None:
    """The loss is rebuilt here from its definition, token by token, with policy, value, entropy and KL terms."""
    policy, reference = tiny_lm().double(), tiny_lm(seed=1).double()
    batch = EpisodeBatch.from_scored(sampled(tiny_lm(), 5), 0)
    with torch.no_grad():
        old = policy.evaluate(batch.ids_BT, batch.lengths_B, batch.action_mask_BT)
        drift = 0.4 * torch.sin(torch.arange(old.logprobs_BT.numel(), dtype=torch.float64))
        old_logprobs = old.logprobs_BT + drift.view_as(old.logprobs_BT)
        ref = reference.evaluate(batch.ids_BT, batch.lengths_B, batch.action_mask_BT)
    config = replace(CALM, kl=KLConfig(coef=0.3), entropy_coef=0.05)
    learner = Learner(policy, reference, PPO(), config)
    plan = learner._plan(batch)
    fresh, _ = learner._experience(batch, plan)
    experience = replace(fresh, old=fresh.old._replace(logprobs_BT=old_logprobs))  # so that some ratios are clipped
    targets = experience.targets

    def loss_by_hand() -> float:
        with torch.no_grad():
            new = policy.evaluate(batch.ids_BT, batch.lengths_B, batch.action_mask_BT)
        total, count = 0.0, 0
        for b, t in batch.action_mask_BT.nonzero().tolist():
            ratio = float((new.logprobs_BT[b, t] - old_logprobs[b, t]).exp())
            a, r = float(targets.advantages_BT[b, t]), float(targets.returns_BT[b, t])
            v, v_old = float(new.values_BT[b, t]), float(old.values_BT[b, t])
            near = v_old + min(max(v - v_old, -0.2), 0.2)
            log_r = float(ref.logprobs_BT[b, t] - new.logprobs_BT[b, t])
            assert abs(log_r) < 3
            w = float(fresh.importance_BT[b, t])
            total -= w * min(ratio * a, min(max(ratio, 0.8), 1.2) * a)
            total += 0.5 * 0.5 * max((v - r) ** 2, (near - r) ** 2)
            total -= 0.05 * float(new.entropy_BT[b, t])
            total += 0.3 * (2.718281828459045**log_r - 1 - log_r)
            count += 1
        return total / count

    from dialog_rl.rl.learner import _Run

    learner._gradient(experience, plan[0], _Run(critic_only=False))
    checked = 0
    for name, p in policy.named_parameters():
        assert p.grad is not None
        for place in (0, p.numel() // 2, p.numel() - 1):
            flat, step = p.data.view(-1), 1e-6
            kept = float(flat[place])
            flat[place] = kept + step
            above = loss_by_hand()
            flat[place] = kept - step
            below = loss_by_hand()
            flat[place] = kept
            expected = (above - below) / (2 * step)
            assert float(p.grad.view(-1)[place]) == pytest.approx(expected, abs=1e-7, rel=1e-4), (name, place)
            checked += expected != 0
    assert checked > 15


@pytest.mark.parametrize("level", list(Level))
def test_constant_rewards_leave_the_policy_alone_whatever_the_momentum(
    tiny_lm: Any, sampled: Episodes, level: Level
) -> None:
    policy = tiny_lm()
    learner = Learner(policy, None, PPO(PPOConfig(level=level)), CALM)
    assert learner.update(EpisodeBatch.from_scored(sampled(policy, 16), 0)).steps > 0
    before = weights(policy)
    constant = EpisodeBatch.from_scored(sampled(policy, 16, reward=lambda n: 0.7), 0)
    stats = learner.update(constant)
    assert moved(policy, before) == {"value_head.weight", "value_head.bias"}
    assert stats.critic_only and stats.advantage_std == 0.0
    assert all(p.requires_grad for p in policy.parameters())


def test_warm_up_trains_the_value_head_alone(tiny_lm: Any, sampled: Episodes) -> None:
    policy = tiny_lm()
    learner = Learner(policy, None, PPO(), replace(CALM, value_warmup_updates=1))
    before = weights(policy)
    assert learner.update(EpisodeBatch.from_scored(sampled(policy, 8), 0)).critic_only
    assert moved(policy, before) == {"value_head.weight", "value_head.bias"}
    assert not learner.update(EpisodeBatch.from_scored(sampled(policy, 8), 0)).critic_only
    assert "embed.weight" in moved(policy, before)


@dataclass(frozen=True)
class Poisoned:
    """PPO whose loss is not finite in the calls named."""

    when: Callable[[int], bool]
    calls: list[int]
    name: str = "poisoned"
    needs: Needs = Needs(values=True)

    def advantages(self, batch: EpisodeBatch, old: Evaluation, reference_logprobs_BT: Tensor | None) -> Any:
        return PPO().advantages(batch, old, reference_logprobs_BT)

    def loss(self, new: Evaluation, rows: Experience) -> Loss:
        self.calls.append(0)
        good = PPO().loss(new, rows)
        return replace(good, policy_BT=good.policy_BT * float("nan")) if self.when(len(self.calls)) else good


def test_a_step_that_is_not_finite_is_skipped_before_the_optimizer_sees_it(tiny_lm: Any, sampled: Episodes) -> None:
    policy = tiny_lm()
    batch = EpisodeBatch.from_scored(sampled(policy, 8), 0)
    learner = Learner(policy, None, Poisoned(lambda n: n == 1, []), replace(CALM, epochs=1))
    before = weights(policy)
    stats = learner.update(batch)
    assert (stats.steps, stats.steps_skipped) == (0, 1)
    assert moved(policy, before) == set()
    assert learner._optimizer.state_dict()["state"] == {}
    assert learner.update(batch).steps == 1


def test_three_bad_steps_in_a_row_are_an_error_and_the_weights_stay_good(tiny_lm: Any, sampled: Episodes) -> None:
    policy = tiny_lm()
    batch = EpisodeBatch.from_scored(sampled(policy, 8), 0)
    before = weights(policy)
    learner = Learner(policy, None, Poisoned(lambda n: True, []), replace(CALM, epochs=2))
    assert learner.update(batch).steps_skipped == 2
    with pytest.raises(TrainingError, match="3 optimizer steps in a row"):
        learner.update(batch)
    assert moved(policy, before) == set()


def test_learning_stops_at_the_kl_limit_and_keeps_what_it_has(tiny_lm: Any, sampled: Episodes) -> None:
    policy = tiny_lm()
    batch = EpisodeBatch.from_scored(sampled(policy, 32), 0)
    config = replace(CALM, epochs=50, minibatch_episodes=8, learning_rate=3e-3, kl_stop=0.005)
    before = weights(policy)
    stats = Learner(policy, None, PPO(), config).update(batch)
    assert stats.end is UpdateEnd.KL_STOP
    assert 0 < stats.steps < 40
    assert "embed.weight" in moved(policy, before)


def test_an_update_that_went_too_far_is_undone(tiny_lm: Any, sampled: Episodes) -> None:
    policy = tiny_lm()
    learner = Learner(policy, None, PPO(), CALM)
    learner.update(EpisodeBatch.from_scored(sampled(policy, 16), 0))
    before, optimizer = weights(policy), learner.state_dict()["optimizer"]
    learner.config = replace(CALM, kl_discard=1e-4)
    learner._rates = [0.5, 0.5]
    stats = learner.update(EpisodeBatch.from_scored(sampled(policy, 16, seed=1), 0))
    assert stats.end is UpdateEnd.DISCARDED and stats.kl_old > 1e-4
    assert moved(policy, before) == set()
    after = learner.state_dict()["optimizer"]
    for key, state in optimizer["state"].items():
        assert all(torch.equal(state[name], after["state"][key][name]) for name in state)


def test_episodes_of_another_policy_are_refused(tiny_lm: Any, sampled: Episodes) -> None:
    foreign = EpisodeBatch.from_scored(sampled(tiny_lm(seed=5), 8), 0)
    policy = tiny_lm()
    before = weights(policy)
    with pytest.raises(TrainingError, match="not sampled from the policy"):
        Learner(policy, None, PPO(), CALM).update(foreign)
    assert moved(policy, before) == set()
    loose = replace(CALM, max_mismatch=float("inf"), max_mismatch_k3=float("inf"))
    assert Learner(policy, None, PPO(), loose).update(foreign).mismatch_max > 0.1


@pytest.mark.parametrize("place", list(KLPlace))
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tiny_lm: Any, sampled: Episodes, place: KLPlace) -> None:
    config = replace(CALM, kl=KLConfig(coef=0.05, target=0.001, place=place, estimator=KLEstimator.K2),
                     minibatch_episodes=5, learning_rate=1e-2)  # fmt: skip

    def batches(policy: Any, n: int) -> EpisodeBatch:
        return EpisodeBatch.from_scored(sampled(policy, 16, seed=n), 0)

    straight, reference = tiny_lm(), tiny_lm(seed=1)
    learner = Learner(straight, reference, PPO(), config)
    for n in range(2):
        learner.update(batches(straight, n))
    saved = copy.deepcopy((straight.state_dict(), learner.state_dict()))
    for n in range(2, 4):
        learner.update(batches(straight, n))

    resumed = tiny_lm(seed=9)
    resumed.load_state_dict(saved[0])
    again = Learner(resumed, reference, PPO(), config)
    again.load_state_dict(saved[1])
    for n in range(2, 4):
        again.update(batches(resumed, n))
    assert moved(resumed, weights(straight)) == set()
    assert again.kl.coef == learner.kl.coef != config.kl.coef
    assert again.updates == learner.updates == 4


def test_training_state_survives_a_file_without_running_code(tiny_lm: Any, sampled: Episodes, tmp_path: Any) -> None:
    policy = tiny_lm()
    learner = Learner(policy, None, PPO(), CALM)
    learner.update(EpisodeBatch.from_scored(sampled(policy, 8), 0))
    torch.save(learner.state_dict(), tmp_path / "state.pt")
    again = Learner(policy, None, PPO(), CALM)
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert again.updates == 1


def test_training_state_of_something_else_is_refused(tiny_lm: Any, sampled: Episodes) -> None:
    state = Learner(tiny_lm(), None, PPO(), CALM).state_dict()
    with pytest.raises(CheckpointError, match="other"):
        Learner(tiny_lm(), None, PPO(), CALM).load_state_dict({**state, "algorithm": "other"})
    with pytest.raises(CheckpointError, match="does not fit"):
        small = tiny_lm()
        small.value_head.requires_grad_(False)
        Learner(small, None, PPO(), CALM).load_state_dict(state)


def test_imitation_raises_the_likelihood_of_replayed_episodes_only(tiny_lm: Any, sampled: Episodes) -> None:
    policy = tiny_lm()
    old = sampled(tiny_lm(seed=5), 6, seed=3)
    constant = sampled(policy, 6, reward=lambda n: 1.0)
    batch = EpisodeBatch.from_scored(constant, 0, replayed=old)
    config = replace(CALM, imitation_coef=0.1, learning_rate=1e-2)
    stats = Learner(policy, None, PPO(PPOConfig(value_coef=0.0)), config).update(batch)
    assert stats.imitation_loss > 0 and stats.reward_mean == 1.0
    assert (stats.ratio_min < 1) or (stats.ratio_max > 1)
    later = EpisodeBatch.from_scored(old, 0)
    with torch.no_grad():
        before, after = (p.evaluate(later.ids_BT, later.lengths_B, later.action_mask_BT) for p in (tiny_lm(), policy))
    mask = later.action_mask_BT
    assert after.logprobs_BT[mask].mean() > before.logprobs_BT[mask].mean() + 0.01


def test_learning_rates_follow_the_schedule(tiny_lm: Any, sampled: Episodes) -> None:
    policy = tiny_lm()
    learner = Learner(policy, None, PPO(), CALM, schedule=lambda update: 1 / (1 + update))
    rates = [learner.update(EpisodeBatch.from_scored(sampled(policy, 4), 0)).learning_rate for _ in range(2)]
    assert rates == pytest.approx([1e-4, 0.5e-4])
    assert [group["lr"] for group in learner._optimizer.param_groups] == pytest.approx([0.5e-4, 0.5e-3])


def test_set_ups_that_cannot_work_are_refused(tiny_lm: Any) -> None:
    with pytest.raises(ConfigError, match="reference"):
        Learner(tiny_lm(), None, PPO())
    with pytest.raises(ConfigError, match="epochs"):
        LearnerConfig(epochs=0)
    frozen = tiny_lm().requires_grad_(False)
    with pytest.raises(ConfigError, match="requires a gradient"):
        Learner(frozen, None, PPO(), CALM)
    headless = tiny_lm()
    headless.value_head.requires_grad_(False)
    with pytest.raises(ConfigError, match="value_warmup_updates"):
        Learner(headless, None, PPO(), replace(CALM, value_warmup_updates=2))


def test_the_record_of_an_update_agrees_with_a_count_by_hand(scored: Callable[..., Any]) -> None:
    steps = [([1, 2], [3, 4]), ([5, 6, 7], [8, 9])]
    episodes = [scored(steps, reward=1.0), scored(steps[:1], reward=0.0), scored(steps, stop=StopReason.ABORTED)]
    table = Table(2, 9)
    stats = Learner(table, None, PPO(), replace(CALM, epochs=1)).update(EpisodeBatch.from_scored(episodes, 0))  # type: ignore[arg-type]
    assert (stats.update, stats.episodes, stats.dropped_broken) == (1, 2, 1)
    assert (stats.tokens, stats.action_tokens, stats.padded_tokens) == (13, 6, 18)
    assert (stats.reward_mean, stats.advantage_std) == (0.5, pytest.approx(1.0))
    assert stats.explained_variance == pytest.approx(0.0)  # a critic that says 0 everywhere explains nothing
    assert stats.value_loss == pytest.approx(0.5 * 0.5 * sum(0.95 ** (2 * n) for n in range(4)) / 6)
    assert stats.entropy == 1.0 and stats.mismatch_max == 0.0 and stats.kl_reference is None


@dataclass
class Hears:
    """Notes the temperature it is asked for."""

    inside: Any
    heard: list[float]

    def evaluate(
        self, ids_BT: Tensor, lengths_B: Tensor, action_mask_BT: Tensor, *, temperature: float = 1.0
    ) -> Evaluation:
        self.heard.append(temperature)
        return self.inside.evaluate(ids_BT, lengths_B, action_mask_BT, temperature=temperature)

    def named_parameters(self) -> Any:
        return self.inside.named_parameters()

    def eval(self) -> Any:
        return self.inside.eval()


def test_log_probs_are_those_of_the_sampling_temperature(tiny_lm: Any, sampled: Episodes) -> None:
    policy = tiny_lm()
    batch = replace(EpisodeBatch.from_scored(sampled(policy, 4), 0), temperature=0.8)
    loose = replace(CALM, max_mismatch=float("inf"), max_mismatch_k3=float("inf"))
    hears = Hears(policy, [])
    assert Learner(hears, hears, PPO(), replace(loose, kl=KLConfig())).update(batch).mismatch_max > 0
    assert set(hears.heard) == {0.8}


def test_dropout_is_off_while_learning(tiny_lm: Any, sampled: Episodes) -> None:
    policy = tiny_lm()
    policy.mlp = nn.Sequential(nn.Dropout(0.5), policy.mlp)
    policy.eval()
    batch = EpisodeBatch.from_scored(sampled(policy, 8), 0)
    policy.train()
    stats = Learner(policy, None, PPO(), replace(CALM, epochs=1)).update(batch)
    assert (stats.ratio_min, stats.ratio_max) == (1.0, 1.0)
