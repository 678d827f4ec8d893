"""Learning from people: every loss against its closed form, every fit against the optimum found another way."""

from __future__ import annotations

import math

import pytest
import torch

from dialog_rl.rl.preferences import bradley_terry_loss, calibration, dpo_loss, hindsight_advantages, kto_loss


def test_an_even_pair_costs_log_two() -> None:
    assert float(bradley_terry_loss(torch.tensor(0.3), torch.tensor(0.3))) == pytest.approx(math.log(2))


def test_bradley_terry_recovers_the_odds_of_the_choices() -> None:
    r = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([r], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = 3 * bradley_terry_loss(r[0], r[1]) + bradley_terry_loss(r[1], r[0])
        loss.backward()
        return loss

    optimizer.step(closure)  # pyright: ignore[reportArgumentType]
    assert float((r[0] - r[1]).detach()) == pytest.approx(math.log(3), abs=1e-5)


def test_the_optimum_of_dpo_is_the_reference_tilted_by_the_reward() -> None:
    """Choices made by Bradley-Terry with reward r: π* ∝ π_ref e^(r / β)."""
    reward, beta = torch.tensor([1.0, 0.2, -0.5], dtype=torch.float64), 0.5
    reference = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64).log()
    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=500, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        ratio = logits.log_softmax(0) - reference
        loss = torch.zeros((), dtype=torch.float64)
        for a in range(3):
            for b in range(3):
                if a != b:
                    loss = loss + torch.sigmoid(reward[a] - reward[b]) * dpo_loss(ratio[a], ratio[b], beta=beta)
        loss.backward()
        return loss

    optimizer.step(closure)  # pyright: ignore[reportArgumentType]
    assert torch.allclose(logits.detach().softmax(0), (reference + reward / beta).softmax(0), atol=1e-4)


def test_a_liked_reply_is_pulled_up_and_a_disliked_one_down() -> None:
    ratio_P = torch.tensor([0.4, 0.4], requires_grad=True)
    kto_loss(ratio_P, torch.tensor([True, False]), torch.tensor(0.1), beta=0.5).sum().backward()
    above = 0.5 * (0.4 - 0.1)
    slope = 0.5 * math.exp(-above) / (1 + math.exp(-above)) ** 2
    assert ratio_P.grad is not None
    assert ratio_P.grad.tolist() == pytest.approx([-slope, slope], rel=1e-5)


def test_the_point_of_reference_gets_no_gradient() -> None:
    kl = torch.tensor(0.2, requires_grad=True)
    ratio_P = torch.tensor([0.4], requires_grad=True)
    kto_loss(ratio_P, torch.tensor([True]), kl, beta=0.5).sum().backward()
    assert kl.grad is None


def test_the_hindsight_gradient_is_that_of_the_divergence_from_the_teacher() -> None:
    teacher_V = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64).log()
    logits_V = torch.tensor([0.1, 0.4, -0.3], dtype=torch.float64, requires_grad=True)
    student_V = logits_V.log_softmax(0)
    (wanted,) = torch.autograd.grad((student_V.exp() * (student_V - teacher_V)).sum(), logits_V, retain_graph=True)
    mask_BT = torch.ones(1, 3, dtype=torch.bool)
    advantages_BT = hindsight_advantages(teacher_V[None], student_V[None], mask_BT, limit=20.0)
    expected = -(student_V.detach().exp() * advantages_BT[0] * student_V).sum()
    (got,) = torch.autograd.grad(expected, logits_V)
    assert torch.allclose(got, wanted, atol=1e-9)


def test_hindsight_says_nothing_off_action_tokens_and_is_kept_within_its_limit() -> None:
    got = hindsight_advantages(
        torch.tensor([[0.0, -1.0, float("nan")]]), torch.tensor([[-9.0, -1.5, 0.0]]),
        torch.tensor([[True, True, False]]), limit=2.0,
    )  # fmt: skip
    assert got.tolist() == [[2.0, 0.5, 0.0]]


def test_calibration_counts_how_far_promises_are_from_what_happens() -> None:
    error, bins = calibration(torch.tensor([0.85, 0.85, 0.15, 0.15]), torch.tensor([True, False, False, False]))
    assert error == pytest.approx(0.5 * 0.35 + 0.5 * 0.15)
    assert [count for _, _, count in bins] == [2, 2]
