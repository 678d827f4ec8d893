"""A model's tensors in files: which there must be, and reading them strictly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import PreTrainedModel

from dialog_rl.errors import CheckpointError


def stored(model: PreTrainedModel) -> dict[str, Tensor]:
    """The tensors a checkpoint holds: the state dict without the output embedding where that is tied to the input's."""
    tensors = dict(model.state_dict())
    if model.config.tie_word_embeddings:
        tensors.pop("lm_head.weight", None)
    return tensors


def fill(wanted: dict[str, Tensor], paths: Sequence[Path]) -> None:
    """Copy the files' tensors into `wanted`, all of them or none."""
    places: dict[str, Path] = {}
    for path in paths:
        with _opened(path) as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                if name in places:
                    raise CheckpointError(f"{path}: {name} is in {places[name].name} as well")
                places[name] = path
    missing, unexpected = sorted(wanted.keys() - places.keys()), sorted(places.keys() - wanted.keys())
    where = paths[0] if len(paths) == 1 else paths[0].parent
    if missing or unexpected:
        raise CheckpointError(
            f"{where}: missing tensors {missing[:8] or 'none'}, unexpected tensors {unexpected[:8] or 'none'}"
        )
    for check in (True, False):  # looked through first, so that a fault leaves everything as it was
        for path in paths:
            with _opened(path) as file:
                for name in file.keys():  # noqa: SIM118
                    tensor = file.get_tensor(name)
                    if check:
                        _require_sound(tensor, name, wanted[name], path)
                    else:
                        with torch.no_grad():
                            wanted[name].copy_(tensor)


def _require_sound(tensor: Tensor, name: str, wanted: Tensor, path: Path) -> None:
    if tuple(tensor.shape) != tuple(wanted.shape):
        asked = tuple(wanted.shape)
        raise CheckpointError(f"{path}: {name} has shape {tuple(tensor.shape)}; config.json asks for {asked}")
    if not tensor.is_floating_point():
        raise CheckpointError(f"{path}: {name} holds {tensor.dtype}; weights are floating-point numbers")
    if not bool(torch.isfinite(tensor).all()):
        raise CheckpointError(f"{path}: {name} holds NaN or infinite weights")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, SafetensorError) as e:
        raise CheckpointError(f"{path}: cannot be read as safetensors: {e}") from e
