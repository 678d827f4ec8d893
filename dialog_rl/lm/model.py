"""A model that can speak: weights, the chat format they know, and which version they are, in one folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from dialog_rl.errors import CheckpointError
from dialog_rl.lm import versions
from dialog_rl.lm.policy import Policy
from dialog_rl.lm.renderer import EmbeddedRenderer
from dialog_rl.lm.tokenizer import Tokenizer

TOKENIZER_FILE = "tokenizer.model"
EMBEDDED = versions.EMBEDDED
"""The versions that come with the program: `base` and `champion`."""


@dataclass(slots=True, kw_only=True)
class SpeakingModel:
    policy: Policy
    renderer: EmbeddedRenderer
    version: str
    """The id of the weights as loaded; empty for weights that were never published."""

    @classmethod
    def load(cls, folder: Path, *, autocast: bool = False) -> SpeakingModel:
        """Read a version's folder. Raises CheckpointError unless every byte verifies and every tensor fits."""
        version = versions.verify(folder)
        tokenizer = folder / TOKENIZER_FILE
        if not tokenizer.is_file():
            raise CheckpointError(f"{folder}: no {TOKENIZER_FILE}, so nothing can be said with these weights")
        return cls(
            policy=Policy.load(folder, autocast=autocast),
            renderer=EmbeddedRenderer(Tokenizer.load(tokenizer)),
            version=version.id,
        )

    def save(self, folder: Path, *, dtype: torch.dtype = torch.float32) -> None:
        """Write everything that `load` needs but the manifest, which publishing adds."""
        self.policy.save(folder, dtype=dtype)
        (folder / TOKENIZER_FILE).write_bytes(self.renderer.tokenizer.data)

    def save_in_half(self, folder: Path) -> None:
        """`save` with weights in bf16: half the space, and what is lost is far below what sampling adds."""
        self.save(folder, dtype=torch.bfloat16)

    def load_weights(self, folder: Path) -> None:
        """Take over the weights of a checkpoint of the same model, in place, so that an optimizer keeps its hold."""
        other = Policy.load(folder)
        self.policy.load_state_dict(other.state_dict())
