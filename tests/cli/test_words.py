"""Words: the table, the curve and the picture of Q-learning on the smallest language task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_the_table_shows_every_value_and_the_sentence_learnt(run: Run) -> None:
    done = run("words", "--algorithm", "q")
    assert done.code == 0
    assert "(beginning)" in done.out
    assert "我 爱 你 earns 3.000" in done.out


def test_a_made_up_language_is_learnt_as_value_iteration_has_it(run: Run) -> None:
    told = run("words", "--algorithm", "q", "--words", "5", "--episodes", "3000", "--json").json()
    assert told["learnt"]["q"]["sentence"] == told["best"]["sentence"]
    assert told["learnt"]["q"]["error"] < 1e-3
    assert told["curves"]["q"][-1][0] == 3000


def test_the_learning_curve_is_drawn(run: Run, home: Path) -> None:
    pytest.importorskip("matplotlib", reason="plots need the extra dialog_rl[plots]")
    assert run("words", "--algorithm", "q", "--plot", "words.png").code == 0
    assert (home / "words.png").read_bytes().startswith(b"\x89PNG")
