"""Only the last layers learn, where that is asked for."""

from __future__ import annotations

import pytest
from torch import nn

from dialog_rl.errors import ConfigError
from dialog_rl.rl.freezing import freeze_all_but_last


class Layered(nn.Module):
    """Parameters named as those of the language model are."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.ModuleDict(
            {
                "embed_tokens": nn.Embedding(3, 2),
                "layers": nn.ModuleList(nn.Linear(2, 2) for _ in range(12)),
                "norm": nn.LayerNorm(2),
            }
        )
        self.value_head = nn.Linear(2, 1)


def trainable(model: nn.Module) -> set[str]:
    return {name.rsplit(".", 1)[0] for name, p in model.named_parameters() if p.requires_grad}


def test_the_last_layers_and_what_comes_after_them_learn() -> None:
    model = Layered()
    numbers = freeze_all_but_last(model, 2)  # pyright: ignore[reportArgumentType]
    assert trainable(model) == {"model.layers.10", "model.layers.11", "model.norm", "value_head"}
    assert numbers == 6 + 6 + 4 + 3


def test_all_layers_leave_only_the_embeddings_out() -> None:
    model = Layered()
    freeze_all_but_last(model, 12)  # pyright: ignore[reportArgumentType]
    assert "model.embed_tokens" not in trainable(model) and "model.layers.0" in trainable(model)


@pytest.mark.parametrize("layers", [0, 13])
def test_more_layers_than_there_are_is_refused(layers: int) -> None:
    with pytest.raises(ConfigError, match="the policy has 12 layers"):
        freeze_all_but_last(Layered(), layers)  # pyright: ignore[reportArgumentType]
