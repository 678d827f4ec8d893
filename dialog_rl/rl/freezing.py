"""Learning with a part of the weights: the last layers, the value head and what comes after the layers."""

from __future__ import annotations

import re

from dialog_rl.errors import ConfigError
from dialog_rl.rl.actor_critic import VALUE_HEAD, ActorCritic

_LAYER = re.compile(r"(?:^|\.)(?:layers|h)\.(\d+)\.")
_AFTER = re.compile(r"(?:^|\.)(?:norm|ln_f)\.")
"""The normalisation between the last layer and the vocabulary."""


def freeze_all_but_last(policy: ActorCritic, layers: int) -> int:
    """Parameters of earlier layers and embeddings no longer require a gradient. Returns how many numbers still do.

    Raises ConfigError if the policy has fewer layers than are to be trained.
    """
    named = dict(policy.named_parameters())
    numbers = {int(found[1]) for name in named if (found := _LAYER.search(name))}
    if not 1 <= layers <= len(numbers):
        raise ConfigError(f"last_layers is {layers}; the policy has {len(numbers)} layers")
    first = max(numbers) + 1 - layers
    for name, parameter in named.items():
        found = _LAYER.search(name)
        last = int(found[1]) >= first if found else bool(_AFTER.search(name))
        parameter.requires_grad_(last or name.startswith(VALUE_HEAD))
    return sum(parameter.numel() for parameter in named.values() if parameter.requires_grad)
