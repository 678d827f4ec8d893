"""Where models that people bring are computed, and in what precision: a property of the process, set by a command."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dialog_rl.errors import ModelError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
KERNELS = ("sdpa", "eager", "flash_attention_2", "flash_attention_3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    device: str = "auto"
    """auto: an accelerator if there is one. The embedded models stay on the CPU unless a device is named."""
    dtype: str = "auto"
    """Of frozen weights. auto: bfloat16 on an accelerator, float32 on a CPU. What is trained is float32 anywhere."""
    attention: str = "sdpa"
    """Of transformers' kernels, for learning. Speaking has kernels of its own."""
    context: int = 4096
    """Tokens a conversation may have, where the model allows more."""

    def __post_init__(self) -> None:
        if self.dtype != "auto" and self.dtype not in DTYPES:
            raise ModelError(f"dtype {self.dtype!r}; there are: auto, {', '.join(DTYPES)}")
        if self.attention not in KERNELS:
            raise ModelError(f"attention {self.attention!r}; there are: {', '.join(KERNELS)}")
        if self.context < 1:
            raise ModelError(f"a context of {self.context} tokens; at least 1 is needed")

    def torch_device(self, *, embedded: bool) -> torch.device:
        """Raises ModelError for a device that is not there."""
        if self.device == "auto":
            return torch.device("cpu" if embedded else _best_device())
        try:
            device = torch.device(self.device)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as e:
            raise ModelError(f"device {self.device!r} cannot be used: {str(e).splitlines()[0]}") from None
        return device

    def torch_dtype(self, device: torch.device) -> torch.dtype:
        if self.dtype == "auto":
            return torch.float32 if device.type == "cpu" else torch.bfloat16
        return DTYPES[self.dtype]


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


_current = Placement()


def use_placement(placement: Placement) -> None:
    """From here on models are loaded so."""
    global _current
    _current = placement


def current() -> Placement:
    return _current
