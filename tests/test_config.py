from __future__ import annotations

from pathlib import Path

import pytest

from dialog_rl import config
from dialog_rl.config import keys, resolve
from dialog_rl.errors import ConfigError


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "user.toml"
    monkeypatch.setattr(config, "user_file", lambda: file)
    return file


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "deep" / "down").mkdir(parents=True)
    return folder


def origin_and_value(resolved: config.Resolved, key: str) -> tuple[str, object]:
    return next((origin, value) for k, value, origin in resolved.rows() if k == key)


def test_each_layer_wins_over_the_one_below(user: Path, project: Path) -> None:
    def look(flags: dict[str, object], environ: dict[str, str]) -> tuple[str, object]:
        return origin_and_value(resolve(flags, folder=project, environ=environ), "train.dialogues")

    assert look({}, {}) == ("default", None)
    user.write_text("[train]\ndialogues = 10\n")
    assert look({}, {}) == (str(user), 10)
    (project / "dialog_rl.toml").write_text("[train]\ndialogues = 20\n")
    assert look({}, {}) == (str(project / "dialog_rl.toml"), 20)
    environ = {"DIALOG_RL_TRAIN_DIALOGUES": "30"}
    assert look({}, environ) == ("environment DIALOG_RL_TRAIN_DIALOGUES", 30)
    assert look({"train.dialogues": 40}, environ) == ("flag for train.dialogues", 40)
    assert look({"train.dialogues": None}, environ)[1] == 30


def test_layers_mix_by_key_not_by_section(user: Path, project: Path) -> None:
    user.write_text("[train]\nseed = 7\ndialogues = 10\n")
    (project / "dialog_rl.toml").write_text("[train]\ndialogues = 20\n")
    train = resolve(folder=project, environ={}).settings.train
    assert (train.seed, train.dialogues) == (7, 20)


def test_the_nearest_project_file_upward_counts(user: Path, project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.dialog_rl.train]\nseed = 1\n")
    assert resolve(folder=project / "deep" / "down", environ={}).settings.train.seed == 1
    (project / "deep" / "pyproject.toml").write_text("[project]\nname = 'another'\n")
    assert resolve(folder=project / "deep" / "down", environ={}).settings.train.seed == 1
    (project / "deep" / "dialog_rl.toml").write_text("[train]\nseed = 2\n")
    assert resolve(folder=project / "deep" / "down", environ={}).settings.train.seed == 2


def test_a_named_file_replaces_the_project_file(user: Path, project: Path) -> None:
    (project / "dialog_rl.toml").write_text("[train]\nseed = 1\nepochs = 3\n")
    other = project / "other.toml"
    other.write_text("[train]\nseed = 5\n")
    train = resolve(file=other, folder=project, environ={}).settings.train
    assert (train.seed, train.epochs) == (5, None)
    assert resolve(folder=project, environ={"DIALOG_RL_CONFIG": str(other)}).settings.train.seed == 5


def test_lists_are_written_with_commas_in_the_environment(user: Path, project: Path) -> None:
    found = resolve(folder=project, environ={"DIALOG_RL_TRAIN_PACKS": "retail, banking"})
    assert found.settings.train.packs == ("retail", "banking")


def test_rewards_are_given_as_tables(user: Path, project: Path) -> None:
    (project / "dialog_rl.toml").write_text('[[rewards]]\nuse = "fluency"\nweight = 2\noptions = {garbled = -5.0}\n')
    (reward,) = resolve(folder=project, environ={}).settings.rewards
    assert (reward.use, reward.weight, dict(reward.options)) == ("fluency", 2.0, {"garbled": -5.0})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[train]\ndialoges = 1\n", "'train.dialoges' is not a setting; did you mean 'train.dialogues'?"),
        ("[trian]\nseed = 1\n", "'trian' is not a setting; did you mean 'train'?"),
        ("[train]\nlam = 2.0\n", "'train.lam': input should be less than or equal to 1, found 2.0"),
        ("[train]\nlam = 'high'\n", "'train.lam': input should be a valid number"),
        ("[train\n", "not TOML"),
        ("train = 3\n", "'train'"),
        ("[[rewards]]\nweight = 1\n", "'rewards.0.use': field required"),
    ],
)
def test_a_mistake_names_the_file_the_key_and_what_would_be_right(
    user: Path, project: Path, text: str, message: str
) -> None:
    file = project / "dialog_rl.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        resolve(folder=project, environ={})
    assert str(file) in str(caught.value) and message in str(caught.value) and "\n" not in str(caught.value)


def test_a_mistake_in_the_environment_names_the_variable(user: Path, project: Path) -> None:
    with pytest.raises(ConfigError, match="DIALOG_RL_TRAIN_SEED.*found 'x'"):
        resolve(folder=project, environ={"DIALOG_RL_TRAIN_SEED": "x"})


def test_a_missing_named_file_is_an_error_and_a_missing_project_file_is_none(user: Path, project: Path) -> None:
    resolve(folder=project, environ={})
    with pytest.raises(ConfigError, match="cannot be read"):
        resolve(file=project / "none.toml", environ={})


def test_no_setting_of_a_project_names_code_to_load() -> None:
    """A project's file may be a stranger's: entering a folder must not run what it holds."""
    assert not [key for _, key in keys() if any(word in key for word in ("plugin_file", "path", "module", "import"))]
    with pytest.raises(ConfigError, match="is not a setting"):
        config._check({"plugins": {"files": ["x.py"]}}, "f")


def test_every_setting_is_listed_with_its_origin(user: Path, project: Path) -> None:
    listed = [key for key, _, _ in resolve(folder=project, environ={}).rows()]
    assert listed == [*(f"{section}.{name}" for section, name in keys()), "rewards"]
