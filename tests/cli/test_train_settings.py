"""Settings of a training as flags, variables and files give them reach the trainer and its algorithm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dialog_rl.cli.sweep import trials_of
from dialog_rl.cli.train_settings import algorithm_of, in_force, train_config
from dialog_rl.config import Train
from dialog_rl.errors import ConfigError, PluginError
from dialog_rl.online.practice import Strategy
from dialog_rl.online.train_config import TrainConfig
from dialog_rl.plugins.loading import Plugins, load_plugins
from dialog_rl.rl.algorithms.a2c import A2C
from dialog_rl.rl.algorithms.ppo import PPO
from dialog_rl.rl.choices import KLEstimator, Level
from dialog_rl.rl.kl import KLPlace
from dialog_rl.rl.schedules import Schedule

Run = Callable[..., Any]
REGISTRY = load_plugins().registry


def test_without_settings_it_is_the_trainers_own_ppo() -> None:
    assert train_config(Train()) == TrainConfig()
    assert algorithm_of(REGISTRY, Train()) == PPO(TrainConfig().ppo)


def test_options_come_after_settings() -> None:
    made = algorithm_of(REGISTRY, Train(lam=0.5, clip=0.3, algorithm_options=("lam=0.7", "level=token")))
    assert isinstance(made, PPO)
    assert (made.config.lam, made.config.clip, made.config.level) == (0.7, 0.3, Level.TOKEN)


def test_actions_are_steps_to_every_algorithm_that_knows_them() -> None:
    made = algorithm_of(REGISTRY, Train(algorithm="a2c"))
    assert isinstance(made, A2C) and made.config.level is Level.STEP


def test_how_the_policy_is_held_reaches_the_learner() -> None:
    settings = Train(kl=0.2, kl_estimator="k1", kl_place="reward", kl_target=0.05, kl_stop=0.3)
    learner = train_config(settings).learner
    assert (learner.kl.coef, learner.kl.estimator, learner.kl.place) == (0.2, KLEstimator.K1, KLPlace.REWARD)
    assert (learner.kl.target, learner.kl_stop) == (0.05, 0.3)


def test_exploration_and_craft_reach_the_trainer() -> None:
    config = train_config(
        Train(
            entropy=0.01, entropy_target=0.4, temperature=1.2, temperature_end=0.9, schedule="cosine", warmup=3,
            last_layers=2, per_pack=True, practice="thompson", validate_every=2, validation=5, patience=4,
            tuition_every=6, tuition=7, group=2,
        )
    )  # fmt: skip
    assert (config.learner.entropy_coef, config.learner.entropy_target) == (0.01, 0.4)
    assert (config.temperature, config.temperature_end, config.schedule) == (1.2, 0.9, Schedule.COSINE)
    assert (config.warmup, config.last_layers, config.per_pack, config.practice) == (3, 2, True, Strategy.THOMPSON)
    assert (config.validate_every, config.validation, config.patience) == (2, 5, 4)
    assert (config.tuition_every, config.tuition, config.group) == (6, 7, 2)


def test_what_does_not_keep_the_contract_is_refused_by_name() -> None:
    class Half:
        @staticmethod
        def register() -> None: ...

    with Plugins() as plugins:
        from dialog_rl import hookimpl

        class Plugin:
            @hookimpl
            def register_algorithms(self, register: Any) -> None:
                register("half", Half)

        plugins.add("mine", Plugin())
        with pytest.raises(PluginError, match="'half' of plugin 'mine' has no name, needs, advantages, loss"):
            algorithm_of(plugins.registry, Train(algorithm="half"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"algorithm": "grop"}, "did you mean 'grpo'"),
        ({"algorithm": "grpo", "lam": 0.3}, "'lam' is not an option"),
        ({"algorithm_options": ("clip",)}, "write KEY=VALUE"),
    ],
)
def test_what_cannot_be_made_is_said_with_what_would_be_right(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        algorithm_of(REGISTRY, Train(**settings))


# an algorithm of one's own


README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
THUMBS = README.partition("## An algorithm of your own")[2].partition("```python\n")[2].partition("```")[0]


def test_a_file_with_an_algorithm_trains_by_its_name(
    run: Run, with_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (with_base / "thumbs.py").write_text(THUMBS)
    for module in ("dialog_rl.cli.plugin_deeds", "dialog_rl.cli.options"):
        monkeypatch.setattr(f"{module}.user_file", lambda: with_base / "user" / "config.toml")
    assert run("plugins", "trust", "thumbs").code == 0
    arguments = ("--plugin", "thumbs.py", "--algorithm", "thumbs", "--algorithm-option", "bar=-0.1")
    done = run("train", *arguments, "--dialogues", "4", "--batch", "4", "--run", "own", "--json")
    assert done.code == 0, done.err
    assert (with_base / "runs" / "own" / "run.json").read_text().count('"thumbs"') == 1


def test_a_file_with_an_algorithm_must_be_trusted_first(run: Run, with_base: Path) -> None:
    (with_base / "thumbs.py").write_text(THUMBS)
    refused = run("train", "--plugin", "thumbs.py", "--algorithm", "thumbs", "--dialogues", "4", "--batch", "4")
    assert refused.code == 3 and "plugins trust thumbs" in refused.err


# sweeps


def test_all_combinations_are_tried() -> None:
    trials = trials_of(Train(), ("learning_rate=1e-4,3e-4", "kl=0.01,0.1"))
    assert list(trials.values()) == [
        {"learning_rate": rate, "kl": kl} for rate in ("1e-4", "3e-4") for kl in ("0.01", "0.1")
    ]


@pytest.mark.parametrize(
    ("given", "words"),
    [(("learning_rat=1,2",), "did you mean 'learning_rate'"), (("kl=0.1",), "at least two"), (("kl=x,y",), "kl")],
)
def test_a_sweep_of_what_is_no_setting_is_refused(given: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        trials_of(Train(), given)


def test_a_sweep_gives_up_the_worse_half_and_goes_on_where_it_was_stopped(
    run: Run, with_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = iter([0.1, 0.4, 0.9, 0.95])
    measured: list[float] = []

    def success(*_: Any, **__: Any) -> float:
        measured.append(next(good))
        if len(measured) == 2:
            raise KeyboardInterrupt
        return measured[-1]

    monkeypatch.setattr("dialog_rl.online.validation.success_of", success)
    small = ("--dialogues", "8", "--batch", "4", "--run", "search", "--json")
    assert run("train", "--sweep", "learning_rate=1e-5,1e-3", *small).code == 130
    done = run("train", "--resume", "search", "--json")
    assert done.code == 0, done.err
    found = done.json()
    assert found["best"] == {"learning_rate": "1e-3"}
    assert found["scores"] == {"1": {"trial-00": 0.1, "trial-01": 0.9}, "2": {"trial-01": 0.95}}


# environments


def test_an_environment_is_trained_on_where_packs_are_named(run: Run, with_base: Path) -> None:
    pytest.importorskip("gymnasium", reason="environments need the extra gym")
    small = ("--dialogues", "4", "--batch", "4", "--reward", "env_return", "--run", "doors", "--json")
    done = run("train", "--pack", "gym:dialog_rl/Doors-v0", *small)
    assert done.code == 0, done.err
    kept = run("episodes", "list", "doors", "--json").json()
    assert kept["total"] == 4


def test_every_setting_of_a_training_is_shown_with_the_value_it_would_run_with(run: Run) -> None:
    shown = {row["key"]: row["value"] for row in run("config", "show", "--json").json()["settings"]}
    own = TrainConfig()
    assert set(in_force(Train())) == set(Train.model_fields)
    assert (shown["train.batch"], shown["train.learning_rate"]) == (own.batch, own.learner.learning_rate)
    assert (shown["train.level"], shown["train.lam"], shown["train.kl"]) == ("step", own.ppo.lam, own.learner.kl.coef)
    assert [reward["use"] for reward in shown["rewards"]][:2] == ["task_success", "policy_rules"]


def test_what_is_set_is_in_force() -> None:
    given = {"batch": 8, "learning_rate": 3e-4, "level": "token", "kl_target": 0.1, "practice": "ucb", "lora": 4}
    assert in_force(Train(**given)).items() >= given.items()  # type: ignore[arg-type]
