"""Looking back: a turn is picked, and single keys rate, tag, correct and comment it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from textual.widgets import Static

from dialog_rl.chat.talk import Talk
from dialog_rl.episode import ToolCall
from dialog_rl.tui.desk import Desk
from dialog_rl.tui.dialogs import AskLine, AskReply, AskTags
from dialog_rl.tui.pair import PairScreen
from dialog_rl.tui.review import Review
from dialog_rl.tui.transcript import PAGE, Older
from tests.chat.scripted import ScriptedVoices
from tests.tui.desk import Shown, run, shown

LOOK = ToolCall(name="search_help", arguments={"query": "returns"})


async def looking_back(there: Shown, *said: str) -> None:
    for text in said:
        await there.say(text)
    await there.press("escape")
    assert isinstance(there.app.focused, Review)


def picked(there: Shown) -> int | None:
    return there.chat.review.number


def test_the_last_reply_is_picked_first_and_j_and_k_go_down_and_up(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one", "two", "three") as there:
            await looking_back(there, "a", "b", "c")
            seen = [picked(there)]
            for key in ("k", "up", "k", "j", "end", "j", "home", "down", "d", "k"):
                await there.press(key)
                seen.append(picked(there))
            assert seen == [2, 1, 0, 0, 1, None, None, 0, 1, None, 2]
            await there.press("escape")
            assert there.chat.composer.has_focus and not there.chat.query(".selected")

    run(scene)


def test_numbers_and_signs_rate_what_is_picked(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one", "two") as there:
            await looking_back(there, "a", "b")
            for key, value in (
                ("1", -1.0),
                ("2", -0.5),
                ("3", 0.0),
                ("4", 0.5),
                ("5", 1.0),
                ("minus", -1.0),
                ("plus", 1.0),
                ("2", -0.5),
                ("equals_sign", 1.0),
            ):
                await there.press(key)
                await there.until(lambda value=value: [r.value for r in there.ratings()] == [value])
            await there.press("k", "4")
            await there.until(lambda: len(there.ratings()) == 2)
            assert {(r.turn, r.value) for r in there.ratings()} == {(1, 1.0), (0, 0.5)}
            assert str(there.turns[0].remark.visual) == "★★★★☆"

    run(scene)


def test_the_whole_is_rated_and_stays_shown(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one") as there:
            await looking_back(there, "a")
            assert there.text(".whole") == ""
            await there.press("d", "2")
            await there.until(lambda: there.ratings())
            assert [(r.turn, r.value) for r in there.ratings()] == [(None, -0.5)]
            await there.press("escape")
            assert "★★☆☆☆" in there.text(".whole")

    run(scene)


def test_undo_takes_back_one_change_after_the_other(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one") as there:
            await looking_back(there, "a")
            await there.press("4", "2")
            await there.until(lambda: [r.value for r in there.ratings()] == [-0.5])
            await there.press("u")
            await there.until(lambda: [r.value for r in there.ratings()] == [0.5])
            await there.press("u")
            await there.until(lambda: not there.ratings())
            assert not there.turns[0].remark.display
            await there.press("u")
            await there.until(lambda: "nothing to take back" in there.status)

    run(scene)


def test_tags_a_correction_and_a_comment_are_asked_for(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one") as there:
            await looking_back(there, "a")
            await there.press("t")
            await there.until(lambda: isinstance(there.app.screen, AskTags))
            await there.press("space", "j", "j", "k", "space", "enter")
            await there.until(lambda: there.ratings())
            assert there.ratings()[0].tags == ("helpful", "polite") and there.ratings()[0].value is None
            await there.press("e")
            await there.until(lambda: isinstance(there.app.screen, AskReply))
            await there.press("ctrl+j")
            await there.type("two")
            await there.press("enter")
            await there.until(lambda: there.ratings()[0].correction == "one\ntwo")
            await there.press("c")
            await there.until(lambda: isinstance(there.app.screen, AskLine))
            await there.type("so so")
            await there.press("enter")
            await there.until(lambda: there.ratings()[0].comment == "so so")
            assert there.ratings()[0].tags == ("helpful", "polite")
            told = "helpful · polite · “so so” · rather: one two"
            await there.until(lambda: str(there.turns[0].remark.visual) == told)
            await there.until(lambda: isinstance(there.app.focused, Review) and picked(there) == 0)

    run(scene)


def test_escape_leaves_every_window_without_a_change(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one") as there:
            await looking_back(there, "a")
            for key in ("t", "e", "c"):
                await there.press(key)
                await there.until(lambda: there.app.screen is not there.chat)
                await there.press("escape")
                await there.until(lambda: there.app.screen is there.chat)
            assert not there.ratings() and picked(there) == 0

    run(scene)


def test_a_reply_is_copied_unfolded_and_answered_by_the_version_before(tmp_path: Path) -> None:
    async def scene() -> None:
        earlier = lambda desk: replace(desk, earlier=lambda version: {"v1": "v0"}.get(version, ""))  # noqa: E731
        async with shown(tmp_path, LOOK, "one\x1b[2J", "before", desk=earlier) as there:
            await looking_back(there, "a")
            await there.press("y")
            assert there.app.clipboard == "one\\x1b[2J"
            folded = str(there.turns[0].calls.visual)
            await there.press("o")
            assert str(there.turns[0].calls.visual).startswith("▾ search_help {}") and folded.startswith("▸")
            await there.press("o")
            assert str(there.turns[0].calls.visual) == folded
            await there.press("b")
            await there.until(lambda: isinstance(there.app.screen, PairScreen))
            assert there.voices.made[-1][0] == "v0"
            await there.press("equals_sign")
            await there.until(lambda: "v0" in there.status and "v1" in there.status)
            assert there.ratings()

    run(scene)


def test_what_is_only_for_replies_says_so_at_the_whole(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one") as there:
            await looking_back(there, "a")
            await there.press("b")
            assert "no version spoke before" in there.status
            await there.press("d")
            for key in ("t", "e", "y", "r", "b"):
                there.chat.status("")
                await there.press(key)
                assert "pick a reply" in there.status

    run(scene)


def test_a_message_of_long_ago_is_said_otherwise(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one", "two", "three") as there:
            await looking_back(there, "a", "b")
            first = there.session.id
            await there.press("k", "r")
            assert there.typed == "a" and "and what came after it" in there.status
            await there.type("!")
            await there.press("enter")
            await there.until(lambda: there.session.id != first and not there.chat.speaking.busy)
            assert [(view.user, view.reply.text) for view in there.turns] == [("a!", "three")]

    run(scene)


def test_a_long_conversation_shows_its_last_turns_and_older_ones_when_asked(tmp_path: Path) -> None:
    count = 2 * PAGE + 5

    def begin(room):  # type: ignore[no-untyped-def]
        session = room.new("retail", 1)
        session.voices = ScriptedVoices(*[f"reply {n}" for n in range(count)])
        limits = session.setting.scenario.limits.model_copy(update={"turns": 100})
        session.setting = replace(
            session.setting, scenario=session.setting.scenario.model_copy(update={"limits": limits})
        )
        for n in range(count):
            session.say(f"message {n}")
            list(session.answer())
        return session

    async def scene() -> None:
        async with shown(tmp_path, begin=begin) as there:
            assert [view.number for view in there.turns] == list(range(count - PAGE, count))
            assert f"{count - PAGE} earlier turns" in there.text("Older")
            await there.press("escape", "home", "k")
            await there.until(lambda: len(there.turns) == 2 * PAGE)
            assert [view.number for view in there.turns] == list(range(5, count)) and "5 earlier" in there.text("Older")
            await there.press("home", "k")
            await there.until(lambda: len(there.turns) == count)
            assert not there.chat.query_one(Older).display and there.turns[0].reply.text == "reply 0"
            await there.press("home", "5", "escape")
            await there.until(lambda: there.ratings())
            assert there.ratings()[0].turn == 0

    run(scene)


def test_page_keys_of_the_prompt_scroll_and_bring_older_turns(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, *["a long reply " * 30] * 4) as there:
            for text in ("a", "b", "c"):
                await there.say(text)
            review = there.chat.review
            bottom = review.scroll_y
            await there.press("pageup")
            assert review.scroll_y < bottom
            await there.press("pagedown", "pagedown")
            assert review.scroll_y == bottom
            await there.say("d")
            assert review.scroll_y > bottom

    run(scene)


def test_what_becomes_of_a_rating_is_shown_as_it_becomes_known(tmp_path: Path) -> None:
    known: dict[str, str] = {}

    async def scene() -> None:
        receipts = lambda desk: replace(desk, receipts=lambda session: known)  # noqa: E731
        async with shown(tmp_path, "one", desk=receipts) as there:
            await there.say("a")
            await there.press("ctrl+g")
            await there.until(lambda: there.session.opinions.given)
            event_id = there.session.opinions.given[0].event_id
            known[event_id] = "waits\x1b"
            await there.chat._look_at_receipts()  # noqa: SLF001  not waited for by the clock
            assert str(there.turns[0].remark.visual) == "▲ good   waits\\x1b"
            known[event_id] = "used in update 3, now v4"
            await there.chat._look_at_receipts()  # noqa: SLF001
            assert str(there.turns[0].remark.visual) == "▲ good   used in update 3, now v4"

    run(scene)


def explained(desk: Desk) -> Desk:
    """With a reward that says which turn it was asked of, and how that was rated."""

    def rewards(session: Talk, number: int) -> list[str]:
        rated = session.opinions.of(number).value
        return [f"brevity -0.0{number + 1} {rated}: [b]short[/]", "safety abstains"]

    return replace(desk, rewards=rewards)


def whys(there: Shown) -> list[str]:
    """What is told of the rewards, turn by turn."""
    told = [view.query_one(".why", Static) for view in there.turns]
    return [str(why.visual) if why.display else "" for why in told]


def test_why_this_reward_is_told_beneath_the_turn(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one", "two", desk=explained) as there:
            await looking_back(there, "a", "b")
            assert whys(there) == ["", ""]
            await there.press("k", "w")
            await there.until(lambda: whys(there) == ["brevity -0.01 None: [b]short[/]\nsafety abstains", ""])
            await there.press("4")  # a rating may be what a reward goes by
            await there.until(lambda: whys(there)[0].startswith("brevity -0.01 0.5"))
            await there.press("w")
            await there.until(lambda: whys(there) == ["", ""])

    run(scene)


def test_why_is_told_of_every_reply_from_there_on_until_that_is_enough(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one", "two", "three", "four", desk=explained) as there:
            await there.say("a")
            await there.type("/rewards")
            await there.press("enter")
            await there.until(lambda: whys(there)[0])
            await there.say("b")
            await there.until(lambda: whys(there)[1].startswith("brevity -0.02"))
            await there.press("escape", "w")
            await there.until(lambda: not whys(there)[1])
            await there.press("escape")
            await there.say("c")
            assert [bool(why) for why in whys(there)] == [True, False, False]

    run(scene)


def test_what_came_of_edited_rewards_is_told_between_the_turns(tmp_path: Path) -> None:
    known: list[str] = []
    reloading = lambda desk: replace(  # noqa: E731
        desk, reload=lambda: ["taken up anew"], before_turn=lambda: ["brevity has changed"] if known else []
    )

    async def scene() -> None:
        async with shown(tmp_path, "one", desk=reloading) as there:
            last = lambda: str(there.chat.query(".notice").last(Static).visual)  # noqa: E731
            await there.type("/reload")
            await there.press("enter")
            await there.until(lambda: there.chat.query(".notice") and last() == "taken up anew")
            known.append("yes")
            await there.say("c")
            assert last() == "brevity has changed"

    run(scene)


def test_one_key_makes_a_scenario_file_of_the_conversation(tmp_path: Path) -> None:
    kept: list[int] = []

    def keep(episode):  # type: ignore[no-untyped-def]
        kept.append(len(episode.turns))
        return tmp_path / "x.json"

    async def scene() -> None:
        async with shown(tmp_path, "one", desk=lambda desk: replace(desk, keep_scenario=keep)) as there:
            await looking_back(there)
            await there.press("s")
            assert "no reply yet" in there.status
            await there.press("escape")
            await looking_back(there, "a")
            await there.press("s")
            await there.until(lambda: "written to" in there.text(".notice"))
            assert kept == [1] and "x.json" in there.text(".notice")

    run(scene)
