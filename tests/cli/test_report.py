"""`dialog-rl report` on logs that other commands leave behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.fixture
def kept(run: Run, home: Path) -> Path:
    """The log of an evaluation of two agents."""
    assert run("evaluate", "expert", "--goals", "6", "--trials", "2", "--no-pay", "--log", "kept.db").code == 0
    return home


def test_a_page_is_written_of_a_log(run: Run, kept: Path) -> None:
    outcome = run("report", "kept.db", "--no-pay", "--out", "page.html", "--out", "page.md")
    assert (outcome.code, outcome.out) == (0, "page.html\npage.md\n")
    page = (kept / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and "<h1>Report on kept.db</h1>" in page
    assert "retail: 6 heldout customers × 2 conversations" in page and "Only 6 customers" in page
    assert "| pass^2 | 100.0 %" in (kept / "page.md").read_text(encoding="utf-8")


def test_what_it_earns_is_told_where_rewards_are_asked(run: Run, kept: Path) -> None:
    outcome = run("report", "kept.db", "--out", "page.md", "--json")
    assert outcome.json()["contestants"][0]["name"] == "expert" and outcome.json()["pages"] == ["page.md"]
    assert "## What it earns" in (kept / "page.md").read_text(encoding="utf-8")


def test_a_page_is_html_or_markdown(run: Run, kept: Path) -> None:
    outcome = run("report", "kept.db", "--out", "page.pdf")
    assert outcome.code == 2 and "a page is .html or .md" in outcome.error()


def test_a_log_without_such_conversations_is_said_so(run: Run, kept: Path) -> None:
    outcome = run("report", "kept.db", "--pack", "banking")
    assert outcome.code == 1 and "no conversations that fit" in outcome.error()


def test_two_versions_that_met_the_same_customers_are_compared_and_their_value_heads_asked(
    run: Run, with_base: Path
) -> None:
    for name in ("one", "two"):
        assert run("simulate", "--version", "base", "--count", "6", "--run", name).code == 0
    outcome = run("report", "one", "two", "--out", "page.md", "--json")
    (compared,) = outcome.json()["comparisons"]
    assert (compared["first"], compared["second"], compared["pairs"]) == ("two", "one", 6)
    assert [row["id"] for row in outcome.json()["versions"]]
    assert "Where the versions come from" in (with_base / "page.md").read_text(encoding="utf-8")


def test_success_is_measured_against_slips(run: Run, home: Path) -> None:
    outcome = run("evaluate", "expert", "--goals", "4", "--noise", "typos=0,.3", "--report", "noise.html")
    assert outcome.code == 0 and "expert: typos 0.3 against 0: +0.0 points" in outcome.out
    assert "<svg" in (home / "noise.html").read_text(encoding="utf-8")


def test_other_rules_show_which_customers_flip(run: Run, home: Path) -> None:
    limit, plan = "tools/return_order/require/1/that/order.days/max", "intents/return_item/plan/3/when/order.days/min"
    (home / "edit.yaml").write_text(f"rules: {{{limit}: 14, {plan}: 15}}\n")
    asked = ("evaluate", "expert", "--goals", "40", "--policy-edit", "edit.yaml", "--log", "kept.db")
    outcome = run(*asked, "--report", "flips.md")
    assert outcome.code == 0 and "return_item (return_order) → return_item refused, too_long_ago" in outcome.out
    assert "another end is right" in (home / "flips.md").read_text(encoding="utf-8")
    assert {row["is_right"] for row in run(*asked, "--json").json()["moved"]} == {"return_item refused, too_long_ago"}


def test_the_same_customers_are_met_in_two_languages(run: Run, home: Path) -> None:
    both = ("--pack", "retail", "--pack", "retail_zh", "--goals", "3")
    outcome = run("evaluate", "expert", *both, "--twins", "--report", "twins.md", "--log", "kept.db")
    assert outcome.code == 0 and "expert: retail_zh against retail: +0.0 points" in outcome.out
    assert "retail_zh" in (home / "twins.md").read_text(encoding="utf-8")


def test_one_thing_is_changed_at_a_time(run: Run) -> None:
    outcome = run("evaluate", "expert", "--goals", "2", "--twins", "--noise", "typos=0,.1")
    assert outcome.code == 2 and "--noise and --twins each change one thing" in outcome.error()


def test_what_would_have_come_of_a_conversation_from_a_turn_on(run: Run, with_base: Path) -> None:
    assert run("simulate", "--version", "base", "--count", "1", "--run", "r").code == 0
    document = run(
        "replay", "r-000000", "r", "--from-turn", "0", "--version", "base", "--samples", "2", "--json"
    ).json()
    assert (document["from_turn"], len(document["samples"])) == (0, 2)
    assert document["samples"][0]["turns"][0]["user"]["text"] == document["samples"][1]["turns"][0]["user"]["text"]
    outcome = run("replay", "r-000000", "r", "--from-turn", "99", "--version", "base")
    assert outcome.code == 2 and "the conversation has turns 0 to" in outcome.error()
