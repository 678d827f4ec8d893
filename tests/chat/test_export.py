"""What leaves the program: readable, whole, and harmless."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dialog_rl.chat.export import as_json, as_markdown, preferences
from dialog_rl.episode import Message, Rating, Role, Step, StopReason, ToolCall, Turn, episode_from_json, to_json
from dialog_rl.text import unsafe
from tests.episode_log import made

EPISODE = made.episode("c1", turns=2)


def rating(turn: int | None, **more: object) -> Rating:
    return Rating(episode_id="c1", rater="ann", turn=turn, **more)  # type: ignore[arg-type]


def test_markdown_tells_who_said_what_and_what_was_thought() -> None:
    text = as_markdown(
        EPISODE, [rating(0, value=-1.0, tags=("rude",), correction="Good day!"), rating(None, value=0.5)]
    )
    assert text.startswith("# c1\n") and text.count("**You**") == 2 and text.count("**Agent**") == 2
    assert "*-1, rude, rather: Good day\\!*" in text and "Of the whole: *+0.5*" in text


def test_nothing_in_it_is_markup_or_steers_a_terminal() -> None:
    evil = "<script>\x1b[2J [x](javascript:1)\n# head\n---\n```"
    call = Step(message=Message(role=Role.ASSISTANT, text=f"{evil} {{}}", tool_call=ToolCall(name="x", arguments={})))
    spoken = Step(message=Message(role=Role.ASSISTANT, text=evil))
    turn = Turn(user=Message(role=Role.USER, text=evil), steps=(call, spoken))
    text = as_markdown(replace(EPISODE, turns=(turn,)), [rating(0, value=1.0, comment=evil)], title=evil)
    assert not any(unsafe(line) for line in text.splitlines())
    quoted = [line for line in text.splitlines() if line and not line.startswith(("> ", "    "))]
    assert not any(mark in line.replace("\\" + mark, "") for line in quoted for mark in "<`[")
    assert not any(line.startswith(("> #", "> ```", "> <")) for line in text.splitlines())


def test_a_line_of_json_holds_all_of_it() -> None:
    line = as_json(EPISODE, [rating(0, value=1.0)], trains=True)
    document = json.loads(line)
    assert line.isascii() and "\n" not in line and episode_from_json(document["episode"]) == EPISODE
    assert document["ratings"][0]["value"] == 1.0 and document["consent"] is True


def test_corrections_and_votes_are_preferences() -> None:
    other = to_json(replace(EPISODE.turns[1], steps=(Step(message=Message(role=Role.ASSISTANT, text="other")),)))
    said = [turn.reply for turn in EPISODE.turns]
    given = [
        rating(0, correction="better"),
        rating(1, extra={"pair": {"chosen": "said", "other": other}}),
        rating(1, extra={"pair": {"chosen": "other", "other": other}}),
        rating(1, extra={"pair": {"chosen": "tie", "other": other}}),
        rating(None, value=1.0),
        rating(7, correction="of a turn that is not there"),
    ]
    found = [json.loads(line) for line in preferences(EPISODE, given)]
    assert [(f["turn"], f["chosen"], f["rejected"]) for f in found] == [
        (0, "better", said[0]), (1, said[1], "other"), (1, "other", said[1]),
    ]  # fmt: skip
    assert [m["role"] for m in found[0]["prompt"]] == ["system", "user"]
    assert found[1]["prompt"][-1]["content"] == EPISODE.turns[1].user.text and len(found[1]["prompt"]) > 3


@pytest.mark.parametrize("stop", [StopReason.USER_LEFT, StopReason.ABORTED])
def test_who_left_without_a_word_leaves_no_empty_quotation(stop: StopReason) -> None:
    silence = Turn(user=Message(role=Role.USER, text=""))
    text = as_markdown(replace(EPISODE, turns=(*EPISODE.turns, silence), stop=stop))
    assert text.count("**You**") == 2
