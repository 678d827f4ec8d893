"""How long it takes from nothing: to say what version this is, and to have a model's first token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dialog_rl.bench import measure
from dialog_rl.bench.footprint import program
from dialog_rl.lm.versions import EMBEDDED

OURS = "first token"
USUAL = "first token, transformers"
VERSION = "dialog-rl --version"
_FIRST_TOKEN = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from dialog_rl.lm.decoder import open_decoder
from dialog_rl.lm.model import SpeakingModel
model = SpeakingModel.load(Path(sys.argv[1]))
open_decoder(model.policy, slots=1).prefill([0], [[20] * 40])
"""
_TRANSFORMERS = """
import sys
import torch
torch.set_num_threads(1)
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
model.generate(torch.tensor([[20] * 40]), max_new_tokens=1, eos_token_id=None, pad_token_id=0)
"""
_VERSION = """
import sys
from dialog_rl.cli.main import main
sys.exit(main(["--version"]))
"""
_WAYS: Mapping[str, str] = {VERSION: _VERSION, OURS: _FIRST_TOKEN, USUAL: _TRANSFORMERS}


def bench_startup(
    *, folder: Path = EMBEDDED / "base", repeats: int = 3, progress: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Whole processes, one after the other in turn; the files are in the system's cache after the first round.

    folder: of a version that transformers can read as well. The version is verified by us, byte by byte, and not by it.
    """
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in _WAYS}
    for number in range(repeats + 1):
        for name, code in _WAYS.items():
            took = program(code, str(folder))
            if number:
                taken[name].append(took)
                progress(f"round {number} of {repeats}: {name} took {took[0]:.2f} s")
    timings = {
        name: measure.Timing(wall=tuple(wall for wall, _ in rounds), cpu=tuple(cpu for _, cpu in rounds))
        for name, rounds in taken.items()
    }
    return measure.report(timings, ours=OURS, bench="startup", work="a process of its own")
