from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from dialog_rl.episode import Episode, StopReason
from dialog_rl.evaluation import chapters, document, report
from dialog_rl.evaluation.curves import Curve, Mark, draw
from dialog_rl.evaluation.statistics import Interval
from dialog_rl.evaluation.suites import Evaluation, pair
from dialog_rl.evaluation.summaries import Result, summarise
from dialog_rl.testing.episodes import called, make_episode

TELL = {"success": {"communicate": [{"any_of": ["42"]}]}, "user": {"goal": {"items": [{"intent": "ask", "id": "g1"}]}}}
SUITE = {
    "packs": ["shop"],
    "simulator": "agenda",
    "split": "heldout",
    "phrasing": "heldout",
    "goals": 4,
    "trials": 1,
    "seed": 0,
}


def episodes(*answers: str, **facts: object) -> Mapping[tuple[str, int, int], Episode]:
    return {
        ("shop", n, 0): make_episode(("how much?", answer), scenario=TELL, **facts)  # pyright: ignore[reportArgumentType]
        for n, answer in enumerate(answers)
    }


@pytest.fixture
def found() -> Evaluation:
    results = (
        Result(name="base", version="b", episodes=episodes("7", "42", "7", "7")),
        Result(name="champion", version="c", episodes=episodes("42", "42", "42", "7")),
    )
    return Evaluation(
        suite=SUITE,
        results=results,
        summaries=tuple(map(summarise, results)),
        comparisons={("champion", "base"): pair(results[1], results[0])},
    )


def test_a_report_says_who_was_met_and_how_each_did(found: Evaluation) -> None:
    shown = report.plain(found)
    assert "shop: 4 heldout customers, phrasing never trained on" in shown
    assert "25.0 % (4.6–69.9)" in shown and "75.0 % (30.1–95.4)" in shown
    assert "champion against base: +50.0 points" in shown and "2 only champion, 0 only base" in shown


def test_the_markdown_report_holds_the_same_figures(found: Evaluation) -> None:
    text = document.markdown(chapters.whole(found))
    assert "|  | base | champion |" in text and "| success | 25.0 % (4.6–69.9) | 75.0 % (30.1–95.4) |" in text


def test_names_cannot_break_a_table_or_become_markup() -> None:
    assert document.markdown_text("a|b\n# c <img src=x> `d` \x1b[2J") == r"a\|b \# c \<img src=x\> \`d\` \\x1b\[2J"


def test_the_document_is_json_whatever_is_unknown(found: Evaluation) -> None:
    document = report.as_document(found)
    again = json.loads(json.dumps(document))
    assert again["contestants"][0]["success"] == {
        "hits": 1, "total": 4, "share": 0.25,
        "low": pytest.approx(0.0456, abs=1e-4), "high": pytest.approx(0.6994, abs=1e-4),
    }  # fmt: skip
    assert again["comparisons"][0]["only_first"] == 2


def test_broken_conversations_are_told() -> None:
    result = Result(name="a", version="", episodes=episodes("42", stop=StopReason.USER_ERROR))
    shown = report.plain(Evaluation(suite=SUITE, results=(result,), summaries=(summarise(result),)))
    assert "0 (+1 broken)" in shown


def test_a_transcript_tells_calls_and_answers_apart() -> None:
    episode = make_episode(("where?", called("track", "soon", order="7"), "Soon."))
    assert [who for who, _ in report.transcript(episode)] == ["customer", "call", "answer", "agent"]


def test_a_curve_is_drawn_with_its_marks(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    updates = [{"dialogues": 128 * n, "success": n / 10, "violations": 0.1} for n in range(1, 9)]
    mark = Mark(dialogues=0, success=Interval(value=0.5, low=0.4, high=0.6))
    draw([Curve(name="run", updates=updates, marks=[mark])], tmp_path / "a.png", title="t", ceiling=0.99)
    draw([Curve(name="run", updates=updates, marks=[mark])], tmp_path / "b.png", title="t", ceiling=0.99)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(("packs", "shown"), [(["shop"], "ask"), (["bank", "shop"], "shop: ask")])
def test_a_pack_stands_before_an_intent_where_there_are_several(packs: list[str], shown: str) -> None:
    assert report.label("shop: ask", Evaluation(suite={"packs": packs}, results=(), summaries=())) == shown
