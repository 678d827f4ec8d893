"""bf16 only where it is quicker."""

from __future__ import annotations

import pytest
import torch

from dialog_rl.lm import precision


@pytest.mark.parametrize(
    ("instructions", "pays"),
    [({"avx2": True}, False), ({"avx512_f": True, "avx512_bf16": False}, False), ({"avx512_bf16": True}, True),
     ({"amx_bf16": True}, True)],
)  # fmt: skip
def test_a_processor_computes_in_bf16_if_it_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, instructions: dict[str, bool], pays: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions)
    precision._processor_has_bf16.cache_clear()  # noqa: SLF001
    assert precision.bf16_pays("cpu") is pays
    precision._processor_has_bf16.cache_clear()  # noqa: SLF001


def test_a_gpu_always_does() -> None:
    assert precision.bf16_pays("cuda")
