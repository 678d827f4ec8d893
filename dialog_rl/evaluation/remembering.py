"""A frozen policy that is asked about the same episodes twice, by a reward and by the KL penalty, and answers once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from dialog_rl.lm.policy import Policy, TokenEvaluation

Key = tuple[bytes, bytes, float]


class RememberingPolicy(Policy):
    """`policy` as it is, but for rows that it took note of: those it looks up.

    A row's figures come from the block in which it was first evaluated. In bf16 another block differs by its rounding,
    which a frozen policy's figures allow: no importance ratio is made from them.
    """

    def __init__(self, policy: Policy) -> None:
        nn.Module.__init__(self)
        self._asked = (policy,)  # in a tuple, so that its parameters are not this module's: they may be in training
        self._known: dict[Key, TokenEvaluation] = {}
        self._takes_note = False

    def __getattr__(self, name: str) -> Any:
        if name in ("model", "value_head"):
            return getattr(self._asked[0], name)
        return super().__getattr__(name)

    @property
    def autocast(self) -> bool:
        return self._asked[0].autocast

    @autocast.setter
    def autocast(self, wanted: bool) -> None:
        self._asked[0].autocast = wanted

    def hidden(self, ids_BT: Tensor) -> Tensor:
        return self._asked[0].hidden(ids_BT)

    def logits(self, hidden_ND: Tensor) -> Tensor:
        return self._asked[0].logits(hidden_ND)

    @contextmanager
    def taking_note(self) -> Iterator[None]:
        """Forget what was noted before, and note every row that is evaluated within."""
        self._known.clear()
        self._takes_note = True
        try:
            yield
        finally:
            self._takes_note = False

    @torch.no_grad()
    def evaluate(
        self, ids_BT: Tensor, lengths_B: Tensor, action_mask_BT: Tensor, *, temperature: float = 1.0
    ) -> TokenEvaluation:
        """See `Policy.evaluate`; without gradients."""
        if not self._known and not self._takes_note:
            return super().evaluate(ids_BT, lengths_B, action_mask_BT, temperature=temperature)
        lengths = [int(length) for length in lengths_B.tolist()]
        keys = [_key(ids_BT[b, :n], action_mask_BT[b, :n], temperature) for b, n in enumerate(lengths)]
        rows = {key: self._known[key] for key in keys if key in self._known}
        new = [b for b, key in enumerate(keys) if key not in rows]
        if new:
            width = max(lengths[b] for b in new)
            found = super().evaluate(
                ids_BT[new, :width], lengths_B[new], action_mask_BT[new, :width], temperature=temperature
            )
            rows |= {keys[b]: _row(found, place, lengths[b]) for place, b in enumerate(new)}
        if self._takes_note:
            self._known |= rows
        return _together([rows[key] for key in keys], ids_BT)


def _key(ids_T: Tensor, action_mask_T: Tensor, temperature: float) -> Key:
    return ids_T.cpu().numpy().tobytes(), action_mask_T.cpu().numpy().tobytes(), temperature


def _row(found: TokenEvaluation, place: int, length: int) -> TokenEvaluation:
    """One row's figures, in memory of their own."""
    by_token = (figures_BT[place, :length].clone() for figures_BT in found[:3])
    return TokenEvaluation(*by_token, final_value_B=found.final_value_B[place].clone())


def _together(rows: list[TokenEvaluation], ids_BT: Tensor) -> TokenEvaluation:
    padded = [torch.zeros(ids_BT.shape, device=ids_BT.device) for _ in range(3)]
    for b, row in enumerate(rows):
        for figures_BT, figures_T in zip(padded, row[:3], strict=True):
            figures_BT[b, : len(figures_T)] = figures_T
    return TokenEvaluation(*padded, final_value_B=torch.stack([row.final_value_B for row in rows]))
