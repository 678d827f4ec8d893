"""What is known of a plugin without importing it, and what the user decided about it."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from dialog_rl.errors import ConfigError, PluginError
from dialog_rl.plugins.consent import Consent, folder_plugins, read_consent, write_consent
from dialog_rl.plugins.manifest import Manifest, Named, find_source, read_manifests

SOURCE = '''"""Thanks and please.

More."""
import {imported}
from dialog_rl import hookimpl
import dialog_rl.hookspecs as specs

dialog_rl_api = {api}

@hookimpl
def {hook}(register):
    register("{name}", "somewhere:Thing", description="counts thanks")

@specs.hookimpl(trylast=True)
def on_rating(rating):
    pass
'''


def source(*, imported="os", api=1, hook="register_rewards", name="thanks") -> str:
    return SOURCE.format(imported=imported, api=api, hook=hook, name=name)


def manifest_of(folder: Path, text: str, **more) -> Manifest:
    file = folder / "plugin.py"
    file.write_text(text)
    return read_manifests(files=[file], found=[], **more)[0]


def test_a_plugin_is_described_without_being_imported(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, source() + "\nraise RuntimeError('imported')")
    assert manifest.summary == "Thanks and please."
    assert manifest.hooks == ("register_rewards", "on_rating")
    assert manifest.registrations == (Named(kind="rewards", name="thanks", description="counts thanks"),)
    assert (manifest.status, manifest.problem) == ("confined", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def (", "plugin.py cannot be read: SyntaxError"),
        (source(api=2), "dialog_rl_api = 2; this program has 1"),
        (source(hook="register_reward"), "'register_reward' is not a hook; did you mean 'register_rewards'?"),
        ("x = '\0'", "plugin.py cannot be read"),
        (source(imported="a_library_that_is_not_there"), "it imports 'a_library_that_is_not_there', which is not"),
    ],
)
def test_what_is_wrong_is_said_without_running_it(tmp_path: Path, text: str, said: str) -> None:
    assert said in manifest_of(tmp_path, text).problem


def test_the_second_plugin_to_take_a_name_is_named_with_the_first(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.py").write_text(source(name="same"))
    first, second = read_manifests(files=[tmp_path / "a.py", tmp_path / "b.py"], found=[])
    assert first.problem == ""
    assert second.problem == "rewards 'same' is registered by 'a' too"
    _, second = read_manifests(files=[tmp_path / "a.py", tmp_path / "b.py"], found=[], disabled=["a"])
    assert second.problem == ""


def test_status_tells_disabled_trusted_and_not_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [EntryPoint(n, f"{n}_somewhere", "dialog_rl") for n in ("a", "b", "c", "d")]
    environ = {"DIALOG_RL_LOAD_PLUGINS": "a,b,c"}
    manifests = read_manifests(found=entries, disabled=["a"], trusted=["b"], environ=environ)
    assert [m.status for m in manifests] == ["disabled", "trusted", "confined", "not allowed"]


def test_a_module_in_a_package_is_found_without_importing_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "exploding_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError")
    (package / "hooks.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_source("exploding_package.hooks") == package / "hooks.py"
    assert "exploding_package" not in sys.modules
    assert find_source("exploding_package.absent") is None


def test_our_own_plugins_are_built_in_and_without_a_problem() -> None:
    ours = {m.name: m for m in read_manifests() if m.status == "built in"}
    if not ours:
        pytest.skip("dialog_rl is not installed, so it has no entry points")
    assert {"rewards", "simulators", "scenarios"} <= set(ours)
    assert [m.problem for m in ours.values()] == [""] * len(ours)
    assert "task_success" in {r.name for r in ours["rewards"].registrations}


def test_decisions_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "plugins.json"
    assert read_consent(file) == Consent()
    write_consent(file, Consent().disable("b").disable("a").trust("c"))
    assert read_consent(file) == Consent(disabled=("a", "b"), trusted=("c",))
    write_consent(file, read_consent(file).enable("a").distrust("c"))
    assert read_consent(file) == Consent(disabled=("b",))


@pytest.mark.parametrize("content", ["{", "[]", '{"disabled": [1]}', '{"folders": {"a": 1}}', "null", "\udc80"])
def test_a_spoilt_file_of_decisions_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "plugins.json"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError, match="plugins.json"):
        read_consent(file)


def test_a_folder_is_asked_about_once_and_again_when_it_changes(tmp_path: Path) -> None:
    folder, file = tmp_path / "plugins", tmp_path / "plugins.json"
    folder.mkdir()
    (folder / "mine.py").write_text("x = 1")
    (folder / "_helper.py").write_text("")
    asked: list[str] = []

    def yes(question: str) -> bool:
        asked.append(question)
        return True

    with pytest.raises(PluginError, match="have not been agreed to"):
        folder_plugins(folder, file, None)
    assert folder_plugins(folder, file, lambda _: False) == []
    assert folder_plugins(folder, file, yes) == [folder / "mine.py"]
    assert folder_plugins(folder, file, None) == [folder / "mine.py"]
    assert len(asked) == 1
    (folder / "_helper.py").write_text("changed = 1")
    folder_plugins(folder, file, yes)
    assert len(asked) == 2
