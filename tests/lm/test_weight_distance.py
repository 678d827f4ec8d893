"""Distances of weights, against sums done by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dialog_rl.errors import CheckpointError
from dialog_rl.lm.weight_distance import weight_distance


def folder(path: Path, **tensors: torch.Tensor) -> Path:
    path.mkdir()
    save_file(tensors, path / "model.safetensors")
    return path


def test_distances_are_those_of_the_elements(tmp_path: Path) -> None:
    a = folder(tmp_path / "a", near=torch.tensor([3.0, 4.0]), far=torch.tensor([[1.0], [0.0]]))
    b = folder(tmp_path / "b", near=torch.tensor([3.0, 4.5]), far=torch.tensor([[1.0], [2.0]]))
    found = weight_distance(a, b)
    far, near = found.tensors
    assert (far.name, far.shape, far.distance, far.relative, far.largest) == ("model/far", (2, 1), 2.0, 2.0, 2.0)
    assert (near.name, near.relative, near.largest) == ("model/near", pytest.approx(0.1), pytest.approx(0.5))
    assert found.relative == pytest.approx(math.sqrt(0.25 + 4) / math.sqrt(26))


def test_a_version_is_at_no_distance_from_itself(tmp_path: Path) -> None:
    a = folder(tmp_path / "a", w=torch.ones(3, dtype=torch.bfloat16), zero=torch.zeros(2))
    found = weight_distance(a, a)
    assert found.relative == 0 and all(d.relative == d.distance == d.largest == 0 for d in found.tensors)


def test_tensors_that_only_one_has_are_named(tmp_path: Path) -> None:
    a = folder(tmp_path / "a", w=torch.ones(3), old=torch.ones(1))
    b = folder(tmp_path / "b", w=torch.ones(4), new=torch.ones(1))
    found = weight_distance(a, b)
    assert found.tensors == () and found.relative == 0
    assert found.only_first == ("model/old", "model/w") and found.only_second == ("model/new", "model/w")


def test_what_grew_from_zero_is_infinitely_far(tmp_path: Path) -> None:
    a, b = folder(tmp_path / "a", w=torch.zeros(2)), folder(tmp_path / "b", w=torch.ones(2))
    assert weight_distance(a, b).tensors[0].relative == math.inf


def test_a_file_that_is_no_safetensors_is_named(tmp_path: Path) -> None:
    a = folder(tmp_path / "a", w=torch.zeros(2))
    (a / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(CheckpointError, match="model.safetensors: cannot be read"):
        weight_distance(a, a)
