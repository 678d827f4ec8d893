"""What the learner needs of a policy. The language model fulfils it without knowing this room."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from torch import Tensor
from torch.nn import Parameter

VALUE_HEAD = "value_head"
"""Parameters whose name begins so are the critic's alone: they have a learning rate of their own, and a warm-up."""


class Evaluation(Protocol):
    """What `ActorCritic.evaluate` returns; any object with these attributes will do."""

    @property
    def logprobs_BT(self) -> Tensor:
        """log π(ids[b, t] | ids[b, :t]) at action tokens."""
        ...

    @property
    def entropy_BT(self) -> Tensor:
        """Entropy of π(. | ids[b, :t]) at action tokens, in nats."""
        ...

    @property
    def values_BT(self) -> Tensor:
        """V(ids[b, :t]), the value of the state in which the action token was chosen."""
        ...

    @property
    def final_value_B(self) -> Tensor:
        """V(whole row): what a truncated episode would still have earned."""
        ...


class TokenEvaluation(NamedTuple):
    """This room's own Evaluation."""

    logprobs_BT: Tensor
    entropy_BT: Tensor
    values_BT: Tensor
    final_value_B: Tensor


class ActorCritic(Protocol):
    """A policy with a value head, as a `torch.nn.Module` offers it."""

    def evaluate(
        self, ids_BT: Tensor, lengths_B: Tensor, action_mask_BT: Tensor, *, temperature: float = 1.0
    ) -> Evaluation:
        """One forward over right-padded rows. What stands at positions that are not actions is ignored."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]: ...

    def eval(self) -> Any:
        """Dropout off: the ratio of a policy to itself must be 1."""
        ...
