"""`evaluate --text`: figures of how replies read, for each contestant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]


def test_the_figures_of_text_come_with_the_evaluation(run: Run) -> None:
    pytest.importorskip("sacrebleu", reason="measures of text need the extra dialog_rl[text-metrics]")
    told = run("evaluate", "expert", "--goals", "2", "--no-pay", "--text", "--json").json()
    figures = told["text"]["agenda"]["expert"]
    assert figures["words a reply"] > 2
    assert 0 < figures["distinct-1"] <= 1
    assert 0 <= figures["self-BLEU"] <= 1
    said = run("evaluate", "expert", "--goals", "2", "--no-pay", "--text").out
    assert "how replies read" in said and "self-BLEU" in said
