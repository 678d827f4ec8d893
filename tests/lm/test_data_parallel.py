"""Several processes, one step: the mean of their gradients is that of one process; who dies or fails is named."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dialog_rl.errors import TrainingError
from dialog_rl.lm.data_parallel import Crew


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def squares(network: Any, batch: Any) -> Tensor:
    if isinstance(batch, str):
        if batch == "die":
            os._exit(7)
        raise ValueError(batch)
    network(torch.tensor(batch)).square().sum().backward()
    return torch.tensor([float(len(batch)), 1.0])


BATCHES = [[[1.0, 2.0, 3.0]], [[-1.0, 0.5, 0.0], [2.0, 2.0, 2.0]], [[0.1, 0.2, 0.3]]]


def gradients(network: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


def test_processes_together_have_the_mean_gradient_and_the_sum_of_the_sums() -> None:
    alone = []
    for batch in BATCHES:
        network = model()
        squares(network, batch)
        alone.append(gradients(network))
    network = model()
    with Crew(network, squares, ranks=3, sums=2) as crew:
        sums = crew.compute(BATCHES)
        assert sums.tolist() == [4.0, 3.0]
        assert torch.allclose(gradients(network), torch.stack(alone).mean(0), atol=1e-6)
        crew.compute(BATCHES[:2])
        assert torch.allclose(gradients(network), torch.stack(alone[:2]).mean(0), atol=1e-6)


def test_a_step_of_the_leader_is_seen_by_the_followers() -> None:
    network = model()
    with Crew(network, squares, ranks=2, sums=2) as crew:
        crew.compute([BATCHES[0], BATCHES[0]])
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()
        crew.compute([BATCHES[0], BATCHES[0]])
    assert not gradients(network).any()


def test_one_process_needs_no_other() -> None:
    network = model()
    with Crew(network, squares, ranks=1, sums=2) as crew:
        assert crew.compute([BATCHES[1]]).tolist() == [2.0, 1.0]


def test_a_follower_that_dies_or_fails_is_an_error_that_says_so() -> None:
    for batch, said in (("die", "exit code 7"), ("no such row", "ValueError: no such row")):
        with Crew(model(), squares, ranks=2, sums=2) as crew, pytest.raises(TrainingError, match=said):
            crew.compute([BATCHES[0], batch])
