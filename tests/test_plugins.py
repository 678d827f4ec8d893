"""Loading: broken plugins are named, the others work."""

import os
import subprocess
import sys
import types
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from dialog_rl import hookimpl, hookspecs
from dialog_rl.errors import ConfigError, PluginError
from dialog_rl.plugins.discovery import import_file
from dialog_rl.plugins.loading import Plugins, load_plugins
from dialog_rl.plugins.registry import Registration
from dialog_rl.scoring import Score
from dialog_rl.testing.episodes import make_episode


class Constant:
    def __init__(self, *, value: float = 1.0) -> None:
        self.value = value

    def score(self, episodes):
        return [Score(value=self.value) for _ in episodes]


def module(**members: object) -> types.ModuleType:
    made = types.ModuleType("a_plugin")
    for name, member in members.items():
        setattr(made, name, member)
    return made


def registering(name: str, **more: object) -> types.ModuleType:
    @hookimpl
    def register_rewards(register):
        register(name, Constant)

    return module(register_rewards=register_rewards, **more)


PLUGIN = """
from dialog_rl import hookimpl
from dialog_rl.scoring import Score

class One:
    def score(self, episodes):
        return [Score(value=1.0) for _ in episodes]

@hookimpl
def register_rewards(register):
    register({name!r}, One, description="always one")
"""


def test_a_loose_file_registers_its_reward(tmp_path: Path) -> None:
    file = tmp_path / "my_reward.py"
    file.write_text(PLUGIN.format(name="one"))
    with load_plugins(files=[file], found=[]) as plugins:
        found = plugins.registry.rewards["one"]
        assert (found.plugin, found.description) == ("my_reward", "always one")
        assert [score.value for score in found.make({}).score([make_episode(("hi", "hello"))])] == [1.0]


def test_a_file_that_was_asked_for_and_is_broken_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("def (")
    with pytest.raises(PluginError, match=r"broken\.py.*SyntaxError"):
        load_plugins(files=[file], found=[])
    with pytest.raises(PluginError, match="there is no such file"):
        load_plugins(files=[tmp_path / "absent.py"], found=[])


@pytest.mark.parametrize("trusted", [("broken", "exits", "works", "future", "twin"), ()], ids=["inside", "confined"])
def test_a_broken_entry_point_is_named_and_the_rest_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: tuple[str, ...]
) -> None:
    (tmp_path / f"works_{len(trusted)}.py").write_text(PLUGIN.format(name="works"))
    (tmp_path / f"broken_{len(trusted)}.py").write_text("import a_library_that_is_not_there")
    (tmp_path / f"exits_{len(trusted)}.py").write_text("raise SystemExit(3)")
    (tmp_path / f"future_{len(trusted)}.py").write_text(PLUGIN.format(name="future") + "\ndialog_rl_api = 2")
    (tmp_path / f"twin_{len(trusted)}.py").write_text(PLUGIN.format(name="works"))
    (tmp_path / f"misspelt_{len(trusted)}.py").write_text(
        PLUGIN.format(name="x").replace("def register_", "def registr_")
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    names = ("broken", "exits", "future", "misspelt", "twin", "works")
    entries = [EntryPoint(n, f"{n}_{len(trusted)}", "dialog_rl") for n in names]
    with load_plugins(found=entries, trusted=trusted) as plugins:
        assert set(plugins.registry.rewards) == {"works"}
        said = {problem.plugin: problem.message for problem in plugins.problems}
    assert set(said) == {"broken", "exits", "future", "misspelt", "works"}
    assert "a_library_that_is_not_there" in said["broken"]
    assert "dialog_rl_api = 2" in said["future"]
    assert "did you mean 'register_rewards'" in said["misspelt"]
    assert "by both 'twin' and 'works'" in said["works"]


def test_a_duplicate_name_is_refused_and_both_plugins_are_named() -> None:
    plugins = Plugins()
    plugins.add("first", registering("thanks"))
    with pytest.raises(PluginError, match=r"'thanks' is registered by both 'first' and 'second'"):
        plugins.add("second", registering("thanks"))
    assert plugins.registry.rewards["thanks"].plugin == "first"


def test_a_refused_plugin_leaves_nothing_behind() -> None:
    @hookimpl
    def register_metrics(register):
        register("words", Constant)

    plugins = Plugins()
    plugins.add("first", registering("words", register_metrics=register_metrics))
    second = module(register_metrics=register_metrics, register_rewards=registering("other").register_rewards)
    with pytest.raises(PluginError):
        plugins.add("second", second)
    assert plugins.registry.of("second") == []
    assert not plugins.manager.has_plugin("second")


def test_a_misspelt_hook_is_met_with_the_right_spelling() -> None:
    @hookimpl
    def register_reward(register):
        pass

    with pytest.raises(PluginError, match="'register_reward' is not a hook; did you mean 'register_rewards'?"):
        Plugins().add("misspelt", module(register_reward=register_reward))


def test_a_hook_without_its_marker_is_not_silently_ignored() -> None:
    def register_rewards(register):
        pass

    with pytest.raises(PluginError, match="'register_rewards' is not marked @hookimpl"):
        Plugins().add("unmarked", module(register_rewards=register_rewards))


def test_a_module_without_hooks_is_refused() -> None:
    with pytest.raises(PluginError, match="implements no hook"):
        Plugins().add("empty", module())


def test_a_wrong_argument_name_is_refused() -> None:
    @hookimpl
    def register_rewards(registrar):
        pass

    with pytest.raises(PluginError, match="registrar"):
        Plugins().add("wrong", module(register_rewards=register_rewards))


def test_a_plugin_for_another_api_version_is_refused() -> None:
    with pytest.raises(PluginError, match="dialog_rl_api = 2; this program has 1"):
        Plugins().add("future", registering("x", dialog_rl_api=2))


def test_two_plugins_of_one_name_are_refused() -> None:
    plugins = Plugins()
    plugins.add("same", registering("a"), "here")
    with pytest.raises(PluginError, match="two plugins are named 'same': here and there"):
        plugins.add("same", registering("b"), "there")


def test_only_allowed_and_not_disabled_entry_points_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("red", "green", "blue"):
        (tmp_path / f"{name}_module.py").write_text(PLUGIN.format(name=name))
    monkeypatch.syspath_prepend(str(tmp_path))
    entries = [EntryPoint(n, f"{n}_module", "dialog_rl") for n in ("red", "green", "blue")]

    def loaded(**more) -> set[str]:
        with load_plugins(found=entries, trusted=("red", "green", "blue"), **more) as plugins:
            return set(plugins.registry.rewards)

    allowed = {"DIALOG_RL_LOAD_PLUGINS": "red, green"}
    assert loaded(environ=allowed) == {"red", "green"}
    assert loaded(environ=allowed, disabled=["red"]) == {"green"}
    assert loaded(environ={"DIALOG_RL_LOAD_PLUGINS": ""}) == set()


def test_an_unknown_reward_is_met_with_the_nearest_name() -> None:
    plugins = Plugins()
    plugins.add("first", registering("politeness"))
    with pytest.raises(ConfigError, match="no reward is named 'politness'; did you mean 'politeness'?"):
        plugins.registry.rewards["politness"]


def test_a_failing_observer_is_logged_and_the_others_are_told(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    def observer(name: str, error: bool) -> types.ModuleType:
        @hookimpl
        def on_run_end(error_text=None):
            pass

        @hookimpl
        def on_version_promoted(version):
            told.append(f"{name} {version}")
            if error:
                raise SystemExit(1)

        return module(on_version_promoted=on_version_promoted)

    plugins = Plugins()
    for name, error in (("a", False), ("b", True), ("c", False)):
        plugins.add(name, observer(name, error))
    plugins.notify("on_version_promoted", run={}, version="v2")
    assert sorted(told) == ["a v2", "b v2", "c v2"]
    assert "SystemExit" in caplog.text


def test_a_factory_named_by_a_string_is_imported_when_used() -> None:
    registration = Registration(kind="rewards", name="n", factory="no_such_module:Thing", plugin="p")
    with pytest.raises(PluginError, match=r"rewards 'n' of plugin 'p': no_such_module:Thing cannot be imported"):
        registration.load()


def test_an_unknown_option_is_met_with_the_nearest_one() -> None:
    registration = Registration(kind="rewards", name="n", factory=Constant, plugin="p")
    with pytest.raises(ConfigError, match="'valu' is not an option of rewards 'n'; did you mean 'value'?"):
        registration.make({"valu": 2})


def test_a_needed_resource_must_be_given_unless_it_has_a_default() -> None:
    def strict(*, reference):
        return reference

    def lenient(*, reference=None):
        return reference

    def made(factory, resources):
        registration = Registration(kind="rewards", name="n", factory=factory, plugin="p", needs=("reference",))
        return registration.make({}, resources)

    assert made(strict, {"reference": 5}) == 5
    assert made(lenient, {}) is None
    with pytest.raises(ConfigError, match="needs 'reference'"):
        made(strict, {})


def test_every_hook_says_what_it_is_for() -> None:
    for hook in hookspecs.HOOKS:
        assert getattr(hookspecs, hook).__doc__, f"{hook} has no documentation"


def test_hookimpl_is_importable_without_torch_or_pydantic() -> None:
    code = (
        "import sys; from dialog_rl import hookimpl; from dialog_rl.plugins import loading, rewards;"
        "print({'torch', 'pydantic', 'sqlalchemy', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_loose_file_is_read_anew_however_soon_it_was_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = tmp_path / "mine.py"
    for value in range(5):  # the same size, and within the same second
        path.write_text(f"VALUE = {value}\n")
        os.utime(path, (1_000_000_000, 1_000_000_000))
        assert import_file(path).VALUE == value  # type: ignore[attr-defined]
    assert not (tmp_path / "__pycache__").exists()
