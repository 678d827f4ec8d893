"""What `versions` shows and decides, and that every decision stays readable."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dialog_rl.bench.gate_policies import Clerk, clerks_play
from dialog_rl.cli.versions import evidence_lines
from dialog_rl.conversation import Conversation
from dialog_rl.episode import Episode
from dialog_rl.lm import journal, promotions, versions

Run = Callable[..., Any]


@pytest.fixture
def store(home: Path) -> Path:
    return home / "runs" / "versions"


def make(store: Path, weights: float, **origin: Any) -> str:
    """A version with one tensor and a configuration."""
    import torch
    from safetensors.torch import save_file

    def fill(folder: Path) -> None:
        save_file({"w": torch.tensor([3.0, weights])}, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps({"layers": 2, "hidden": 8 if weights else 4}))

    return versions.publish(store, fill, versions.Origin(**origin)).id


def test_the_list_names_aliases_origins_and_what_became_of_each(run: Run, store: Path) -> None:
    one = make(store, 4.0, created_by="train", trained_on={"dialogues": 2560, "packs": ["retail"]})
    other, bad = make(store, 5.0, parent=one), make(store, 6.0, parent=one)
    promotions.promote(store, "champion", other, reason="it is better")
    promotions.submit(store, bad)
    promotions.reject(store, bad, reason="worse than the champion")
    out = run("versions", "list").out
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert "2,560 dialogues, retail" in lines[one] and "train" in lines[one]
    assert "champion" in lines[other] and "became champion: it is better" in lines[other] and one in lines[other]
    assert "candidate" in lines[bad] and "rejected: worse than the champion" in lines[bad]
    assert out.index("shipped") < out.index(one) < out.index(other)


def test_a_shipped_version_is_champion_until_one_of_ones_own_is(run: Run, store: Path) -> None:
    def champions() -> list[str]:
        found = run("versions", "list", "--json").json()["versions"]
        return [version["id"] for version in found if "champion" in version["aliases"]]

    (shipped,) = champions()
    own = make(store, 4.0)
    promotions.promote(store, "champion", own, reason="r")
    assert champions() == [own] != [shipped]


def test_the_list_imports_no_torch(store: Path) -> None:
    import subprocess
    import sys

    make(store, 4.0)
    program = (
        "import sys; from dialog_rl.cli.main import main; main(['versions', 'list']); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=120).returncode == 0


def test_a_version_that_is_altered_does_not_hide_the_others(run: Run, store: Path) -> None:
    good, bad = make(store, 4.0), make(store, 5.0)
    (store / bad / versions.MANIFEST).write_text("{}")
    outcome = run("versions", "list")
    assert good in outcome.out and bad not in outcome.out and "warning:" in outcome.err and bad in outcome.err


def test_what_was_decided_is_shown_with_its_evidence(run: Run, store: Path) -> None:
    version = make(store, 4.0, created_by="learn")
    evidence = {"pairs": 120, "against": {"anchor": {"e_value": 104.25, "wins": 3}}, "faults": []}
    promotions.promote(store, "champion", version, reason="no worse", evidence=evidence, by="gate")
    out = run("versions", "show", version[:6]).out
    assert "created by: learn" in out
    assert "1. promoted champion" in out and "by gate: no worse" in out
    assert "faults none, pairs 120" in out and "e_value 104.2, wins 3" in out
    told = run("versions", "show", "champion", "--json").json()
    assert told["journal"][0]["evidence"] == evidence and told["manifest"]["id"] == version


def test_evidence_is_read_from_the_outside_in() -> None:
    lines = list(evidence_lines({"a": 1, "b": {"c": 0.123456, "d": {"e": "f"}}, "g": [1, 2]}))
    assert lines == ["a 1, g 1, 2", "b:", "  c 0.1235", "  d:", "    e f"]


def test_the_difference_names_configuration_training_and_tensors(run: Run, store: Path) -> None:
    one = make(store, 4.0, trained_on={"seed": 1, "updates": 2})
    other = make(store, 0.0, trained_on={"seed": 1, "updates": 5}, parent=one)
    found = run("versions", "diff", one, other, "--json").json()
    assert found["facts"]["config.hidden"] == [8, 4] and found["facts"]["trained_on.updates"] == [2, 5]
    assert found["facts"]["parent"] == ["", one] and "config.layers" not in found["facts"]
    (tensor,) = found["weights"]["tensors"]
    assert tensor["name"] == "model/w" and tensor["distance"] == 4 and tensor["relative"] == pytest.approx(0.8)
    assert "0.8 of the first's norm" in run("versions", "diff", one, other).out
    assert "weights: 0 of" in run("versions", "diff", one, one).out


def test_a_promotion_and_a_rollback_are_lines_of_the_journal(run: Run, store: Path) -> None:
    one, other = make(store, 4.0), make(store, 5.0)
    for version in (one, other):
        assert run("versions", "promote", version, "--reason", "I like it").code == 0
    assert journal.standing(store) == {"champion": other}
    assert "rolled back champion: " + one in run("versions", "rollback", "--reason", "I do not").out
    last = journal.read(store)[-1]
    assert (last.event, last.reason, last.by) == (journal.Event.ROLLED_BACK, "I do not", "dialog-rl versions")
    assert (
        run("versions", "rollback", "--reason", "further").out == "rolled back champion: what came with the program\n"
    )
    assert "nothing to roll back" in run("versions", "rollback", "--reason", "further").error()


def test_a_decision_needs_a_reason(run: Run, store: Path) -> None:
    version = make(store, 4.0)
    for command in (["promote", version], ["veto", version], ["rollback"]):
        outcome = run("versions", *command)
        assert outcome.code == 2 and "--reason" in outcome.error()
    assert journal.read(store) == ()


def test_a_vetoed_champion_gives_way_and_is_not_promoted_again(run: Run, store: Path) -> None:
    one, other = make(store, 4.0), make(store, 5.0)
    for version in (one, other):
        run("versions", "promote", version, "--reason", "r")
    told = run("versions", "veto", other, "--reason", "it was rude", "--json").json()["decisions"]
    assert [line["event"] for line in told] == ["vetoed", "rolled_back"]
    assert journal.standing(store) == {"champion": one}
    refused = run("versions", "promote", other, "--reason", "r")
    assert refused.code == 5 and "is vetoed: it was rude" in refused.error()
    assert run("versions", "veto", other, "--lift", "--reason", "a joke").code == 0
    assert run("versions", "promote", other, "--reason", "r").code == 0


def test_a_shipped_version_is_copied_into_ones_own_store_to_be_promoted(run: Run, store: Path) -> None:
    assert run("versions", "promote", "base", "--as", "anchor", "--reason", "as shipped").code == 0
    anchor = journal.standing(store)["anchor"]
    assert versions.verify(store / anchor).id == versions.find([versions.EMBEDDED], "base").id == anchor


def test_clearing_away_says_first_what_would_go(run: Run, store: Path) -> None:
    made = [make(store, float(n)) for n in range(5)]
    promotions.promote(store, "champion", made[0], reason="r")
    oldest = [manifest.id for manifest in versions.list_versions(store)]
    would = run("versions", "gc", "--keep-last", "1", "--dry-run").out.split()
    assert set(would) == set(oldest[:-1]) - {made[0]} and len(versions.list_versions(store)) == 5
    assert run("versions", "gc", "--keep-last", "1").out.split() == would
    assert {m.id for m in versions.list_versions(store)} == {made[0], oldest[-1]}


def test_there_is_nothing_to_clear_away_without_a_store(run: Run, home: Path) -> None:
    outcome = run("versions", "gc")
    assert outcome.code == 5 and "no store of versions" in outcome.error()


def test_an_unknown_version_is_an_error(run: Run, home: Path) -> None:
    for command in (["show", "nothing"], ["diff", "base", "nothing"], ["promote", "nothing", "--reason", "r"]):
        assert run("versions", *command).code == 5


# By the gate


@pytest.fixture
def clerks(monkeypatch: pytest.MonkeyPatch, with_base: Path) -> dict[str, Clerk]:
    """Versions are spoken for by clerks, so that what the gate will say is known."""
    from dialog_rl.online import gate as gates
    from dialog_rl.plugins.loading import load_plugins
    from dialog_rl.staging import open_stage

    by_version: dict[str, Clerk] = {}
    stages = [open_stage(load_plugins().registry, "retail")]

    def model_play(config: Any, **_: Any) -> Callable[[Any, Iterable[Conversation]], Iterator[Episode]]:
        play = clerks_play(stages)
        return lambda model, conversations: play(by_version[model.version], conversations)

    short = gates.GateConfig(cases=6, margin=0.2)
    monkeypatch.setattr(gates, "model_play", model_play)
    monkeypatch.setattr(gates, "GateConfig", lambda: short)
    return by_version


def test_a_version_that_passes_the_gate_is_promoted_on_its_evidence(
    run: Run, store: Path, clerks: dict[str, Clerk]
) -> None:
    champion, candidate = versions.find([versions.EMBEDDED], "champion").id, journal.standing(store)["base"]
    clerks |= {champion: Clerk(version=champion), candidate: Clerk(version=candidate)}
    assert run("versions", "promote", "base", "--gate", "--reason", "trained overnight").code == 0
    last = journal.read(store)[-1]
    assert (last.alias, last.version) == ("champion", candidate) and last.evidence["gate"] == 1
    assert last.reason.startswith("trained overnight; no worse than the anchor by 20 points")


def test_a_version_that_does_not_pass_is_rejected_and_the_next_gate_has_the_next_number(
    run: Run, store: Path, clerks: dict[str, Clerk]
) -> None:
    champion, candidate = versions.find([versions.EMBEDDED], "champion").id, journal.standing(store)["base"]
    clerks |= {champion: Clerk(version=champion), candidate: Clerk(version=candidate, serves=0.2)}
    for number in (1, 2):
        outcome = run("versions", "promote", "base", "--gate", "--reason", "r")
        assert outcome.code == 4 and f"does not pass gate {number}: worse than the anchor" in outcome.error()
        last = journal.read(store)[-1]
        assert last.event is journal.Event.REJECTED and last.evidence["gate"] == number
    assert "champion" not in journal.standing(store)
