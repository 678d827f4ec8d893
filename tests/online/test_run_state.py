"""What a learner is in the middle of comes back from its files exactly."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dialog_rl.errors import CheckpointError
from dialog_rl.online.run_state import TENSORS, load_state, save_state


def test_a_nested_state_comes_back_with_its_integer_keys_and_every_bit(tmp_path: Path) -> None:
    step = torch.randn(3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    state = {"optimizer": {"state": {0: {"exp_avg": step}, 7: {}}, "groups": [{"lr": 0.1 + 0.2, "params": [0, 7]}]}}
    save_state(state, tmp_path)
    back = load_state(tmp_path)
    assert torch.equal(back["optimizer"]["state"][0]["exp_avg"], step)
    assert back["optimizer"]["state"][7] == {}
    assert back["optimizer"]["groups"] == [{"lr": 0.1 + 0.2, "params": [0, 7]}]


def test_an_optimizer_goes_on_from_its_files_as_if_never_stopped(tmp_path: Path) -> None:
    def step(parameter: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        (parameter**3).sum().backward()
        optimizer.step()

    whole = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = torch.optim.AdamW([whole], lr=0.1)
    step(whole, optimizer)
    save_state(optimizer.state_dict(), tmp_path)
    resumed = torch.nn.Parameter(whole.detach().clone())
    other = torch.optim.AdamW([resumed], lr=0.1)
    other.load_state_dict(load_state(tmp_path))
    step(whole, optimizer)
    step(resumed, other)
    assert torch.equal(whole, resumed)


def test_a_missing_tensor_is_a_checkpoint_error_that_names_the_folder(tmp_path: Path) -> None:
    save_state({"a": torch.zeros(1)}, tmp_path)
    (tmp_path / TENSORS).unlink()
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        load_state(tmp_path)
