"""A sweep over slips: the same customers at every level, and how far success falls."""

from __future__ import annotations

import pytest

from dialog_rl.errors import ConfigError
from dialog_rl.evaluation import document, noise
from dialog_rl.staging import Customers
from tests.evaluation.test_chapters import evaluated
from tests.scenarios.library import LIBRARY


def test_levels_are_read_and_put_in_order() -> None:
    assert noise.read_levels("typos=.2,0,0.1") == ("typos", (0.0, 0.1, 0.2))


@pytest.mark.parametrize("text", ["typo=0", "typos", "typos=", "typos=0,2", "drops=a", "=1"])
def test_what_is_no_level_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--noise"):
        noise.read_levels(text)


def test_the_same_customers_slip_more() -> None:
    plain, noisy = (list(Customers(noise=n).scenarios(LIBRARY, 3)) for n in ({}, {"typo": 0.5, "confuse": 0.25}))
    for (one, seed), (other, same) in zip(plain, noisy, strict=True):
        assert (other.user.persona.noise.typo, other.user.persona.noise.confuse, same) == (0.5, 0.25, seed)
        assert other.user.goal == one.user.goal and other.initial == one.initial
        assert other.user.persona.noise.slot_drop == one.user.persona.noise.slot_drop


def test_each_level_is_compared_with_the_least_on_the_same_customers() -> None:
    found = noise.Sweep(kind="typos", evaluations={0.0: evaluated(a="yyyy" * 10), 0.2: evaluated(a="yynn" * 10)})
    (((name, level), paired),) = found.against_least().items()
    assert (name, level, paired.only_first, paired.only_second) == ("a", 0.2, 0, 20)
    page = document.markdown(noise.whole(found))
    assert "| 0.2 | 50.0 %" in page and "-50.0 points" in page and "<svg" not in page
    assert "a: typos 0.2 against 0: -50.0 points" in noise.plain(found)
