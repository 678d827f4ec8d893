"""The commands for plugins and rewards: listing without import, decisions that last, trying a reward on episodes."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from dialog_rl.cli import plugins as command
from dialog_rl.cli.main import main
from dialog_rl.episode import Change, to_json
from dialog_rl.plugins.manifest import Manifest, Named
from dialog_rl.testing.episodes import make_episode

GOAL = {"success": {"db": {"patch": [{"path": "o/1/x", "after": "done"}]}}}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decisions and settings of these tests stay in their own folder."""
    monkeypatch.chdir(tmp_path)
    for module in ("dialog_rl.cli.plugin_deeds", "dialog_rl.cli.options"):
        monkeypatch.setattr(f"{module}.user_file", lambda: tmp_path / "config" / "config.toml")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    said = capsys.readouterr()
    return code, said.out, said.err


def write_episodes(path: Path, count: int = 40) -> Path:
    lines = []
    for n in range(count):
        turns = [("and?", "please " * (n % 7 + 1) + f"wait {n}")] * (n % 5 + 1)
        journal = (Change(path="o/1/x", before="", after="done"),) if n % 2 else ()
        episode = make_episode(*turns, ("bye",), episode_id=f"e{n}", scenario=GOAL, journal=journal)
        lines.append(json.dumps(to_json(episode)))
    path.write_text("\n".join(lines))
    return path


def test_a_new_plugin_can_be_shown_checked_traced_and_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "plugins", "new", "courtesy")[:2] == (0, "courtesy.py\n")
    code, out, _ = run(capsys, "plugins", "show", "courtesy.py")
    assert code == 0 and "replies that thank the customer" in out
    code, out, _ = run(capsys, "plugins", "check", "courtesy.py")
    assert code == 0 and out.count("ok") == 10 and "FAIL" not in out
    code, out, _ = run(capsys, "plugins", "trace", "courtesy.py")
    assert code == 0 and "score" in out and " ms  ok" in out
    write_episodes(tmp_path / "e.jsonl")
    code, out, _ = run(capsys, "reward", "try", "courtesy", "e.jsonl", "--plugin", "courtesy.py")
    assert code == 0 and "agreement with success" in out


def test_a_failing_check_is_named_and_is_a_plugins_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "plugins", "new", "courtesy")
    file = tmp_path / "courtesy.py"
    file.write_text(file.read_text().replace("sum(", "len(replies[0]) ** 9 + sum("))
    code, out, err = run(capsys, "plugins", "check", "courtesy.py")
    assert code == 3
    assert "FAIL  courtesy: scores every episode with finite numbers in its bounds" in out
    assert "checks failed" in err


def test_a_broken_file_is_named_by_list_show_and_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.py").write_text("import nowhere_to_be_found\ndialog_rl_api = 7\n")
    code, out, err = run(capsys, "plugins", "show", "bad.py")
    assert (code, "dialog_rl_api = 7" in err) == (3, True)
    code, _, err = run(capsys, "plugins", "check", "bad.py")
    assert code == 3 and "nowhere_to_be_found" in err


def test_an_unknown_name_is_met_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "plugins", "show", "reward")
    assert code == 3
    if any(m.name == "rewards" for m in command.manifests()):
        assert "did you mean 'rewards'" in err


def test_decisions_last(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "plugins", "disable", "rewards")[0] == 0
    status = {m.name: m.status for m in command.manifests()}
    if "rewards" not in status:
        pytest.skip("dialog_rl is not installed, so it has no entry points")
    assert status["rewards"] == "disabled"
    code, out, _ = run(capsys, "reward", "list", "--json")
    assert code == 0 and not [r for r in json.loads(out)["rewards"] if r["plugin"] == "rewards"]
    run(capsys, "plugins", "enable", "rewards")
    assert {m.name: m.status for m in command.manifests()}["rewards"] == "built in"


def test_list_as_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "plugins", "list", "--json")
    assert code == 0
    assert json.loads(out)["kind"] == "plugins"


def test_reward_try_names_what_a_reward_pays_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_episodes(tmp_path / "e.jsonl")
    code, out, _ = run(capsys, "reward", "try", "turn_cost", "e.jsonl", "--option", "turn=0.5", "--json")
    trial = json.loads(out)
    assert code == 0
    assert {"behaviour": "turns", "direction": "less"}.items() <= trial["hacks"][0].items()
    assert trial["distribution"]["count"] == 40


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("reward", "try", "nothing_like_it", "e.jsonl"), 2, "no reward is named"),
        (("reward", "try", "turn_cost", "e.jsonl", "--option", "turns=1"), 2, "did you mean 'turn'"),
        (("reward", "try", "turn_cost", "e.jsonl", "--option", "turn"), 2, "write KEY=VALUE"),
        (("reward", "try", "turn_cost", "absent.jsonl"), 1, "absent.jsonl"),
        (("reward", "try", "turn_cost", "junk.jsonl"), 1, "junk.jsonl, line 1: not an episode"),
        (("reward", "list", "--plugin", "absent.py"), 3, "there is no such file"),
        (("plugins", "new", "Not A Name"), 2, "not a plugin's name"),
    ],
)
def test_wrong_input_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, said: str
) -> None:
    write_episodes(tmp_path / "e.jsonl", 5)
    (tmp_path / "junk.jsonl").write_text("{}\n")
    found, _, err = run(capsys, *arguments)
    assert (found, said in err, "Traceback" in err) == (code, True, False)


def test_a_folder_of_plugins_is_not_loaded_without_consent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "plugins", "new", "courtesy", "--in", "mine")
    code, _, err = run(capsys, "reward", "list", "--plugins-dir", "mine")
    assert code == 3 and "have not been agreed to" in err


def test_help_and_plugins_list_import_no_torch() -> None:
    code = (
        "import sys; from dialog_rl.cli.main import main; main({!r});"
        "print(sorted({{'torch', 'transformers', 'sqlalchemy', 'textual'}} & set(sys.modules)), file=sys.stderr)"
    )
    for arguments in (["--help"], ["plugins", "list"]):
        done = subprocess.run(
            [sys.executable, "-c", code.format(arguments)], capture_output=True, text=True, check=True
        )
        assert done.stderr.splitlines()[-1] == "[]"


HACKS = {
    "length": ("len(' '.join(r).split())", "it pays for more words"),
    "flattery": ("sum('great question' in x for x in r) / max(1, len(r))", "it pays for more flattery"),
    "early hang-up": ("-len(e.turns)", "it pays for fewer turns"),
}


@pytest.mark.parametrize("hack", HACKS)
def test_a_planted_hack_is_shown_when_the_reward_is_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], hack: str
) -> None:
    rng = random.Random(1)
    lines = []
    for n in range(80):
        words = [" ".join(["wait"] * rng.randint(2, 20)) for _ in range(rng.randint(1, 6))]
        turns = [("and?", text + (" What a great question!" if rng.random() < 0.3 else "")) for text in words]
        journal = (Change(path="o/1/x", before="", after="done"),) if rng.random() < 0.5 else ()
        episode = make_episode(*turns, ("bye",), episode_id=f"e{n}", scenario=GOAL, journal=journal)
        lines.append(json.dumps(to_json(episode)))
    (tmp_path / "e.jsonl").write_text("\n".join(lines))
    code, words_said = HACKS[hack]
    (tmp_path / "hack.py").write_text(
        "from dialog_rl import hookimpl\n\n\nclass Hack:\n    def score(self, episodes):\n"
        "        return [float(self.judge(e, [t.reply for t in e.turns if t.reply])) for e in episodes]\n\n"
        f"    def judge(self, e, r):\n        return {code}\n\n\n"
        "@hookimpl\ndef register_rewards(register):\n    register('hack', Hack, bounds=(-1000, 1000))\n"
    )
    exit_code, out, _ = run(capsys, "reward", "try", "hack", "e.jsonl", "--plugin", "hack.py")
    assert exit_code == 0 and "What it pays for and success does not" in out and words_said in out
    assert "; worth " in out


def test_rewards_that_need_something_can_be_checked(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "plugins", "check", "rewards")
    assert code == 0 and "ok    human_rating: takes any text" in out and "human_rating" not in err


def test_what_is_broken_and_what_names_itself_when_it_runs_are_listed_as_such(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    named = Named(kind="scenario_packs", name="?")
    found = [
        Manifest(name="good", status="confined", value="good", registrations=(named,)),
        Manifest(name="bad", status="confined", value="bad", problem="it cannot be read"),
        Manifest(name="off", status="disabled", value="off", problem="it cannot be read"),
    ]
    monkeypatch.setattr(command, "manifests", lambda: found)
    code, out, err = run(capsys, "plugins", "list")
    rows = [line.split() for line in out.splitlines()[2:]]
    assert [row[:2] for row in rows] == [["good", "confined"], ["bad", "broken"], ["off", "disabled"]]
    assert rows[0][2:] == ["scenario", "packs"]
    assert code == 0 and "bad: it cannot be read" in err
