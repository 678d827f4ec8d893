from __future__ import annotations

from typing import Any

import pytest

from dialog_rl.errors import ConfigError
from dialog_rl.rl.choices import KLEstimator
from dialog_rl.rl.kl import KLConfig, KLController


def test_without_a_target_the_coefficient_stays() -> None:
    controller = KLController(KLConfig(coef=0.3))
    controller.update(50.0, 1000)
    assert controller.coef == 0.3


def test_the_coefficient_follows_the_clipped_relative_error() -> None:
    controller = KLController(KLConfig(coef=0.1, target=0.02, horizon=1000))
    controller.update(5.0, 100)  # far above: the error counts as .2, over a tenth of the horizon
    assert controller.coef == pytest.approx(0.1 * 1.02)
    controller.update(0.019, 1000)  # 5 % below
    assert controller.coef == pytest.approx(0.1 * 1.02 * 0.95)
    controller.update(-3.0, 1000)
    assert controller.coef == pytest.approx(0.1 * 1.02 * 0.95 * 0.8)


def test_a_kl_that_is_not_a_number_does_not_become_the_coefficient() -> None:
    controller = KLController(KLConfig(coef=0.1, target=0.02))
    controller.update(float("nan"), 100)
    assert controller.coef == 0.1


def test_the_coefficient_survives_a_restart() -> None:
    first = KLController(KLConfig(coef=0.1, target=0.02))
    first.update(1.0, 333)
    second = KLController(KLConfig(coef=0.1, target=0.02))
    second.load_state_dict(first.state_dict())
    assert second.coef == first.coef


@pytest.mark.parametrize(
    "wrong",
    [{"coef": -1.0}, {"target": 0.0}, {"coef": 0.0, "target": 0.1}, {"horizon": 0}, {"estimator": KLEstimator.K1}],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        KLConfig(**wrong)
