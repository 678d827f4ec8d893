"""How far apart the weights of two versions are, tensor by tensor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from dialog_rl.errors import CheckpointError


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorDistance:
    name: str
    shape: tuple[int, ...]
    distance: float
    """Euclidean, of all elements."""
    relative: float
    """The same as a share of the first version's norm; inf where that is 0 and the distance is not."""
    largest: float
    """The largest difference of an element."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightDistance:
    tensors: tuple[TensorDistance, ...]
    """Those that both have in the same shape, the relatively farthest first."""
    only_first: tuple[str, ...]
    """Names of tensors that the second has not, or in another shape."""
    only_second: tuple[str, ...]
    relative: float
    """Of all shared tensors together."""


def weight_distance(first: Path, second: Path) -> WeightDistance:
    """Compare all tensors in two versions' folders. Raises CheckpointError if one cannot be read."""
    a, b = _tensors(first), _tensors(second)
    shared = [name for name in a if name in b and a[name].shape == b[name].shape]
    found = [_distance(name, a[name], b[name]) for name in shared]
    norm = math.hypot(*(float(a[name].norm()) for name in shared))
    return WeightDistance(
        tensors=tuple(sorted(found, key=lambda d: (-d.relative, d.name))),
        only_first=tuple(sorted(a.keys() - set(shared))),
        only_second=tuple(sorted(b.keys() - set(shared))),
        relative=_share(math.hypot(*(d.distance for d in found)), norm),
    )


def _tensors(folder: Path) -> dict[str, torch.Tensor]:
    """Every tensor by its file's name and its own, in double precision."""
    found: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            loaded = load_file(path)
        except (OSError, SafetensorError) as e:
            raise CheckpointError(f"{path}: cannot be read as safetensors: {e}") from e
        found |= {f"{path.stem}/{name}": tensor.double() for name, tensor in loaded.items()}
    return found


def _distance(name: str, a: torch.Tensor, b: torch.Tensor) -> TensorDistance:
    difference = b - a
    distance = float(difference.norm())
    return TensorDistance(
        name=name,
        shape=tuple(a.shape),
        distance=distance,
        relative=_share(distance, float(a.norm())),
        largest=float(difference.abs().max()) if difference.numel() else 0.0,
    )


def _share(part: float, whole: float) -> float:
    if whole:
        return part / whole
    return math.inf if part else 0.0
