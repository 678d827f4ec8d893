"""A learner's state as files that hold no code: tensors in safetensors, the rest in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from dialog_rl.errors import CheckpointError

TENSORS = "learner.safetensors"
REST = "learner.json"
_TENSOR, _MAP = "__tensor__", "__items__"


def save_state(state: Mapping[str, Any], folder: Path) -> None:
    """Write a nested state of tensors and plain values."""
    tensors: dict[str, torch.Tensor] = {}
    plain = _strip(state, "", tensors)
    (folder / REST).write_text(json.dumps(plain), encoding="utf-8")
    save_file(tensors, folder / TENSORS)


def load_state(folder: Path) -> dict[str, Any]:
    """Read what `save_state` wrote. Raises CheckpointError if a file or a tensor is missing."""
    try:
        plain = json.loads((folder / REST).read_text(encoding="utf-8"))
        return _restore(plain, load_file(folder / TENSORS))
    except (OSError, ValueError, KeyError) as e:
        raise CheckpointError(f"{folder}: the training state cannot be read: {e}") from e


def _strip(value: Any, path: str, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        tensors[path] = value.detach().clone().contiguous()
        return {_TENSOR: path}
    if isinstance(value, Mapping):
        # Pairs, because optimizer states have integer keys and JSON objects do not.
        return {_MAP: [[key, _strip(item, f"{path}/{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [_strip(item, f"{path}/{n}", tensors) for n, item in enumerate(value)]
    return value


def _restore(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    if isinstance(value, dict):
        if _TENSOR in value:
            return tensors[value[_TENSOR]]
        return {key: _restore(item, tensors) for key, item in value[_MAP]}
    if isinstance(value, list):
        return [_restore(item, tensors) for item in value]
    return value
