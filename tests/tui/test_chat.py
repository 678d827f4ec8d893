"""The chat screen by its keys: what is typed is sent, what is spoken is shown, and each key does what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets import Static

from dialog_rl.chat.session import ChatSession
from dialog_rl.episode import StopReason, ToolCall
from dialog_rl.errors import CheckpointError, EpisodeLogError, ModelError
from dialog_rl.tui.card import CardView
from dialog_rl.tui.dialogs import AskLine, AskYes
from dialog_rl.tui.help import HelpScreen
from dialog_rl.tui.pair import PairScreen
from dialog_rl.tui.preferences import Preferences
from dialog_rl.tui.review import Review
from dialog_rl.tui.saved import SavedScreen
from tests.chat.scripted import Gate, ScriptedVoices, setting
from tests.tui.desk import Loading, Shown, run, shown

LOOK = ToolCall(name="search_help", arguments={"query": "returns"})


def test_enter_sends_and_the_answer_is_shown_and_logged(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, LOOK, "within 30 days") as there:
            assert "missing item" in there.text("#card-above") and "own words" in there.text("#welcome")
            await there.say("until when?")
            (view,) = there.turns
            assert (view.user, view.reply.text) == ("until when?", "within 30 days")
            assert str(view.calls.visual).startswith("▸ search_help returns → ")
            assert there.typed == "" and there.status == "" and there.text("#welcome") == ""
            assert [event.kind for event in there.log.events()] == ["begin", "user", "turn"]

    run(scene)


def test_ctrl_j_breaks_the_line_and_the_composer_grows(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "yes") as there:
            before = there.chat.composer.size.height
            await there.press("o", "n", "e", "ctrl+j", "t", "w", "o", "shift+enter")
            await there.type("three")
            assert there.typed == "one\ntwo\nthree" and there.chat.composer.size.height == before + 2
            await there.press("enter")
            await there.answered()
            assert there.session.turns[0].user.text == "one\ntwo\nthree"

    run(scene)


def test_what_is_typed_after_enter_is_not_sent_with_it(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "yes") as there:
            await there.pilot.press("h", "i", "enter", "n", "e", "x", "t")
            await there.answered()
            assert there.session.turns[0].user.text == "hi" and there.typed == "next"

    run(scene)


def test_wide_characters_are_typed_shown_and_kept(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "好的，马上处理 🙂") as there:
            await there.say("退款在哪里")
            assert there.session.turns[0].user.text == "退款在哪里"
            assert there.turns[0].reply.text == "好的，马上处理 🙂"

    run(scene)


def test_the_reply_is_shown_as_it_is_spoken_and_escape_really_stops_it(tmp_path: Path) -> None:
    gate = Gate()

    async def scene() -> None:
        async with shown(tmp_path, "one two three four", gate=gate) as there:
            await there.type("hi")
            await there.press("enter")
            gate.let(2)
            await there.until(lambda: there.turns and there.turns[0].reply.text == "one two")
            await there.press("escape")
            await there.until(lambda: not there.chat.speaking.busy)
            assert there.session.turns == () and there.typed == "hi" and "stopped" in there.status
            assert not there.turns[0].reply.display
            gate.open()
            await there.press("enter")
            await there.answered()
            assert len(there.turns) == 1 and there.turns[0].reply.text == "one two three four"

    run(scene)


def test_after_a_stop_something_else_can_be_said_instead(tmp_path: Path) -> None:
    gate = Gate()

    async def scene() -> None:
        async with shown(tmp_path, "one two", gate=gate) as there:
            first = there.session.id
            await there.type("hi")
            await there.press("enter")
            gate.let(1)
            await there.until(lambda: there.turns[0].reply.text == "one")
            await there.press("escape")
            await there.until(lambda: there.typed == "hi")
            gate.open()
            await there.type(" there")
            await there.press("enter")
            await there.answered()
            assert there.session.turns[0].user.text == "hi there" and there.session.id != first
            assert [view.user for view in there.turns] == ["hi there"]

    run(scene)


def test_while_the_agent_speaks_one_message_waits_and_nothing_else_is_spoken(tmp_path: Path) -> None:
    gate = Gate()

    async def scene() -> None:
        async with shown(tmp_path, "one two", "three", gate=gate) as there:
            await there.type("hi")
            await there.press("enter")
            gate.let(1)
            await there.until(lambda: there.turns[0].reply.text == "one")
            for _ in range(2):
                await there.type("and")
                await there.press("enter")
                assert there.typed == "" and "as soon as the agent has spoken" in there.status
                await there.type("more")
                await there.press("enter")
                assert there.typed == "more"
                await there.press("ctrl+u", "escape")
                assert there.typed == "and" and there.chat.speaking.busy
                await there.press("ctrl+u")
            await there.type("and")
            await there.press("enter")
            for key in ("ctrl+r", "ctrl+o"):
                await there.press(key)
                assert "still speaking" in there.status
            gate.open()
            await there.answered(2)
            assert there.typed == ""
            assert [(view.user, view.reply.text) for view in there.turns] == [("hi", "one two"), ("and", "three")]

    run(scene)


def test_a_reply_can_be_rated_while_it_is_spoken_and_one_that_is_stopped_is_not(tmp_path: Path) -> None:
    gate = Gate()

    async def scene() -> None:
        async with shown(tmp_path, "one two", gate=gate) as there:
            for said in ("hi", "and"):
                await there.type(said)
                await there.press("enter")
                gate.let(1)
                await there.until(lambda: there.turns[-1].reply.text == "one")
                await there.press("ctrl+g")
                assert "rated as soon as the agent has spoken" in there.status and not there.ratings()
                if said == "hi":
                    await there.press("escape")
                    await there.until(lambda: "stopped" in there.status)
                    await there.press("ctrl+u")
            gate.open()
            await there.until(lambda: there.ratings())
            await there.answered()
            assert [(r.turn, r.value) for r in there.ratings()] == [(0, 1.0)]
            assert there.session.turns[0].user.text == "and"

    run(scene)


def test_one_can_type_and_send_before_the_model_is_loaded(tmp_path: Path) -> None:
    loading = Loading()

    async def scene() -> None:
        async with shown(tmp_path, "hello", loading=loading) as there:
            assert "loading" in there.status and "loading" in there.text("#who")
            await there.type("hi")
            await there.press("enter")
            await there.until(lambda: there.chat.desk.room.draft() == "hi")
            assert there.turns[0].user == "hi" and there.log.last_seq() == 0
            loading.loaded.set()
            await there.answered()
            await there.until(lambda: there.chat.desk.room.draft() == "")
            assert there.turns[0].reply.text == "hello" and "v1" in there.text("#who")

    run(scene)


def test_what_waits_for_the_model_can_be_taken_back(tmp_path: Path) -> None:
    loading = Loading()

    async def scene() -> None:
        async with shown(tmp_path, "hello", loading=loading) as there:
            await there.type("hi")
            await there.press("enter")
            await there.until(lambda: there.turns)
            await there.press("escape")
            assert there.typed == "hi"
            loading.loaded.set()
            await there.until(lambda: there.chat.ready)
            assert there.session.turns == () and not there.chat.speaking.busy

    run(scene)


def test_a_model_that_is_missing_is_a_message(tmp_path: Path) -> None:
    loading = Loading(failure=CheckpointError("no version 'ghost'\x1b[2J"))

    async def scene() -> None:
        async with shown(tmp_path, loading=loading) as there:
            await there.type("hi")
            await there.press("enter")
            loading.loaded.set()
            await there.until(lambda: "ghost" in there.status)
            assert r"no version 'ghost'\x1b[2J" in there.status and "no model" in there.text("#who")
            assert there.typed == "hi"

    run(scene)


def test_a_model_that_fails_is_a_message_and_can_be_asked_again(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, ModelError("the logits are [not] finite"), "hello") as there:
            await there.type("hi")
            await there.press("enter")
            await there.until(lambda: there.toasts)
            assert there.toasts == ["the logits are [not] finite"] and there.typed == "hi"
            await there.press("enter")
            await there.answered()
            assert there.turns[0].reply.text == "hello"

    run(scene)


def test_a_fault_of_ours_is_a_message_too(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, ZeroDivisionError("[/]"), "hello") as there:
            await there.type("hi")
            await there.press("enter")
            await there.until(lambda: there.toasts)
            assert "ZeroDivisionError: [/]" in there.toasts[0]

    run(scene)


def test_a_full_disk_loses_nothing_that_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise EpisodeLogError("no space left on device")

    async def scene() -> None:
        async with shown(tmp_path, "hello") as there:
            with monkeypatch.context() as broken:
                broken.setattr(there.log, "begin", full)
                await there.type("hi")
                await there.press("enter")
                await there.until(lambda: there.toasts)
            assert there.toasts == ["no space left on device"] and there.typed == "hi"
            await there.press("enter")
            await there.answered()
            with monkeypatch.context() as broken:
                broken.setattr(there.log, "rate", full)
                await there.press("ctrl+g")
                await there.until(lambda: len(there.toasts) == 2)
            assert there.session.opinions.of(0).value is None

    run(scene)


def test_good_and_bad_rate_the_last_reply_without_leaving_the_prompt(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one", "two") as there:
            await there.press("ctrl+g")
            assert "no reply to rate" in there.status
            await there.say("a")
            await there.say("b")
            await there.type("half a sentence")
            await there.press("ctrl+g")
            await there.until(lambda: there.ratings())
            assert [(r.turn, r.value) for r in there.ratings()] == [(1, 1.0)]
            await there.until(lambda: str(there.turns[1].remark.visual) == "▲ good")
            await there.press("ctrl+n")
            await there.until(lambda: there.ratings()[0].value == -1.0)
            assert there.typed == "half a sentence" and "say why" in there.status

    run(scene)


def test_bad_once_more_asks_why(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one") as there:
            await there.say("a")
            await there.press("ctrl+n")
            await there.until(lambda: there.ratings())
            await there.press("ctrl+n")
            await there.until(lambda: isinstance(there.app.screen, AskLine))
            await there.type("rude")
            await there.press("enter")
            await there.until(lambda: there.ratings()[0].comment == "rude")
            await there.until(lambda: there.chat.composer.has_focus)
            assert there.ratings()[0].value == -1.0

    run(scene)


async def asked(there: Shown) -> PairScreen:
    await there.until(lambda: isinstance(there.app.screen, PairScreen))
    screen = there.app.screen
    assert isinstance(screen, PairScreen)
    return screen


@pytest.mark.parametrize("place", ["first", "second"])
def test_another_answer_is_compared_blind_and_gone_on_with_if_it_is_better(tmp_path: Path, place: str) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one", LOOK, "other", "two") as there:
            await there.say("a")
            await there.press("ctrl+r")
            pair = (await asked(there))._pair  # noqa: SLF001
            assert "v1" not in there.app.export_screenshot()
            await there.press(
                {("first", True): "right", ("first", False): "left"}.get((place, pair.said_is_first))
                or ("left" if pair.said_is_first else "right")
            )
            await there.until(lambda: "was v1" in there.status)
            better = "other" if place == "first" else "one"
            assert there.turns[0].reply.text == better and there.session.turns[0].reply == better
            await there.say("b")
            assert [view.reply.text for view in there.turns] == [better, "two"]

    run(scene)


@pytest.mark.parametrize(("key", "chosen"), [("equals_sign", "tie"), ("x", "both_bad"), ("escape", "")])
def test_neither_answer_need_be_better(tmp_path: Path, key: str, chosen: str) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one", "other") as there:
            await there.say("a")
            await there.press("ctrl+r")
            await asked(there)
            await there.press(key)
            await there.until(lambda: not isinstance(there.app.screen, PairScreen))
            if chosen:
                await there.until(lambda: there.ratings())
            assert [r.extra["pair"]["chosen"] for r in there.ratings()] == ([chosen] if chosen else [])

    run(scene)


def test_looking_for_another_answer_can_be_stopped_and_may_find_none(tmp_path: Path) -> None:
    gate = Gate()

    async def scene() -> None:
        async with shown(tmp_path, "one", "other thing", *["one"] * 9, gate=gate) as there:
            await there.press("ctrl+r")
            assert "no reply to compare" in there.status
            gate.let(1)
            await there.say("a")
            await there.press("ctrl+r")
            await there.until(lambda: there.chat.speaking.busy)
            await there.press("escape")
            await there.until(lambda: not there.chat.speaking.busy)
            there.voices.lines.pop(0)
            gate.open()
            await there.press("ctrl+r")
            await there.until(lambda: there.toasts)
            assert "no other answer" in there.toasts[0] and there.session.turns[0].reply == "one"

    run(scene)


def test_up_in_an_empty_prompt_says_the_last_message_otherwise(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one", "two", "three") as there:
            await there.say("a")
            await there.say("b")
            first = there.session.id
            await there.press("up")
            assert there.typed == "b" and "in place of" in there.status
            await there.press("escape")
            assert there.typed == "" and there.status == "" and not isinstance(there.app.focused, Review)
            await there.press("up", "c", "enter")
            await there.until(lambda: there.session.id != first and not there.chat.speaking.busy)
            assert [(v.user, v.reply.text) for v in there.turns] == [("a", "one"), ("bc", "three")]

    run(scene)


def test_another_customer_ends_this_conversation(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one") as there:
            await there.say("a")
            first = there.session
            await there.press("ctrl+o")
            await there.until(lambda: there.session is not first)
            assert first.ended is not None and first.ended.stop is StopReason.USER_LEFT and there.turns == []
            assert there.text("#welcome") and str(there.chat.query_one("#card-above", CardView).visual)

    run(scene)


def test_learning_is_off_until_somebody_allows_it_and_then_stays_on(tmp_path: Path) -> None:
    kept = Preferences(tmp_path / "chat.json")

    async def scene() -> None:
        async with shown(tmp_path, "one", preferences=kept) as there:
            assert "learning off" in there.text("#who")
            await there.press("ctrl+l")
            await there.until(lambda: "● learning" in there.text("#who"))
            await there.say("a")
            assert there.log.consented(there.session.id) is True and there.session.learnable
            first = there.session
            await there.press("ctrl+o")
            await there.until(lambda: there.session is not first)
            assert there.session.trains and Preferences(tmp_path / "chat.json").learn
            await there.press("ctrl+l")
            await there.until(lambda: there.session.trains is False)

    run(scene)


def test_the_card_is_hidden_and_shown(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, size=(80, 24)) as there:
            above = there.chat.query_one("#card-above")
            assert above.region.height > 0
            await there.press("ctrl+t")
            await there.until(lambda: above.region.height == 0)
            await there.press("ctrl+t")
            await there.until(lambda: above.region.height > 0)

    run(scene)


@pytest.mark.parametrize(
    ("size", "beside"), [((50, 12), False), ((80, 24), False), ((120, 40), True), ((200, 60), True)]
)
def test_it_fits_terminals_of_many_sizes(tmp_path: Path, size: tuple[int, int], beside: bool) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "a reply that says " + "very " * 30 + "much", size=size) as there:
            await there.say("hi")
            assert (there.chat.query_one("#card-beside").region.width > 0) is beside
            for widget in (there.chat.composer, there.turns[0].reply):
                region = widget.region
                assert region.height > 0 and region.right <= size[0] and region.bottom <= size[1]

    run(scene)


def test_a_terminal_too_small_says_so_and_comes_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, size=(80, 24)) as there:
            small, composer = there.chat.query_one("#too-small"), there.chat.composer
            await there.pilot.resize_terminal(20, 5)
            await there.until(lambda: small.region.height > 0 == composer.region.height)
            await there.pilot.resize_terminal(80, 24)
            await there.until(lambda: small.region.height == 0 < composer.region.height)

    run(scene)


def test_a_new_version_is_announced_when_it_speaks(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one", "two", "before, as it would be now") as there:
            await there.say("a")
            there.voices.version = "v2"
            await there.say("b")
            assert "version v2 speaks from here on, not v1" in there.text(".notice") and "v2" in there.text("#who")
            await there.press("escape", "k", "b")
            await asked(there)
            assert [version for version, _, _ in there.voices.made] == ["v1", "v2", "v2"]

    run(scene)


def test_the_end_is_told_with_how_it_is_judged(tmp_path: Path) -> None:
    short = setting().scenario

    async def scene() -> None:
        limits = short.limits.model_copy(update={"turns": 1})

        def begin(room):  # type: ignore[no-untyped-def]
            session = room.new("retail", 1)
            session.setting = replace(session.setting, scenario=short.model_copy(update={"limits": limits}))
            return session

        judged = lambda desk: replace(desk, judged=lambda episode: [f"judged: {episode.stop} [/]"])  # noqa: E731
        async with shown(tmp_path, "one", begin=begin, desk=judged) as there:
            await there.say("a")
            await there.until(lambda: there.chat.query(".notice"))
            assert "as many turns as it may" in there.text(".notice") and "judged: max_turns [/]" in there.text(
                ".notice"
            )
            await there.type("more")
            await there.press("enter")
            await there.until(lambda: there.toasts)
            assert "has ended" in there.toasts[0] and there.typed == "more"

    run(scene)


def test_a_broken_off_conversation_is_shown_and_goes_on(tmp_path: Path) -> None:
    def begin(room):  # type: ignore[no-untyped-def]
        first = room.new("retail", 1)
        room.voices = voices = ScriptedVoices("one")
        first.voices = voices
        first.say("a")
        list(first.answer())
        first.say("b")
        return room.take_up(room.find("last"))

    async def scene() -> None:
        async with shown(tmp_path, begin=begin) as there:
            assert isinstance(there.session, ChatSession)
            there.session.voices = there.voices
            there.voices.lines.append("two")
            assert [view.user for view in there.turns] == ["a", "b"] and there.typed == "b"
            await there.press("enter")
            await there.answered(2)
            assert [view.reply.text for view in there.turns] == ["one", "two"]

    run(scene)


def test_kept_conversations_are_opened_from_the_screen(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one", "two", "three") as there:
            await there.say("a")
            first = there.session.id
            await there.press("ctrl+o")
            await there.until(lambda: there.session.id != first)
            await there.press("ctrl+s")
            await there.until(lambda: isinstance(there.app.screen, SavedScreen))
            await there.press("enter")
            await there.until(lambda: there.session.id == first)
            assert [view.user for view in there.turns] == ["a"] and "You left this" in there.text(".notice")
            await there.say("b")
            assert there.session.id != first
            assert [view.reply.text for view in there.turns] == ["one", "two"]

    run(scene)


def test_help_tells_every_key_and_command(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, size=(120, 40)) as there:
            await there.press("f1")
            await there.until(lambda: isinstance(there.app.screen, HelpScreen))
            told = " ".join(str(static.visual) for static in there.app.screen.query(Static))
            for what in ("the last reply is good", "say your message otherwise", "/export md|json|pairs", "New line"):
                assert what in told
            await there.press("j", "k", "f1", "escape")
            await there.until(lambda: there.app.screen is there.chat)

    run(scene)


def test_keys_can_be_bound_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "chat.json"
    file.write_text('{"keys": {"good": "f8", "send": "ctrl+d", "theme": 3}, "theme": "nord"}')

    async def scene() -> None:
        async with shown(tmp_path, "one", preferences=Preferences(file)) as there:
            assert there.app.theme == "nord"
            await there.type("hi")
            await there.press("enter")
            assert there.typed == "hi"
            await there.press("ctrl+d")
            await there.answered()
            await there.press("f8")
            await there.until(lambda: there.ratings())
            await there.press("f1")
            told = [str(static.visual) for static in there.app.screen.query(Static)]
            assert any("f8" in text and "the last reply is good" in text for text in told)

    run(scene)


def test_a_theme_is_kept(tmp_path: Path) -> None:
    kept = Preferences(tmp_path / "chat.json")

    async def scene() -> None:
        async with shown(tmp_path, preferences=kept) as there:
            await there.type("/theme ansi-dark")
            await there.press("enter")
            await there.until(lambda: there.app.theme == "ansi-dark")
        assert Preferences(tmp_path / "chat.json").theme == "ansi-dark"

    run(scene)


@pytest.mark.parametrize("sought", ["good", "last reply good"])
def test_the_palette_offers_what_can_be_typed_by_its_name_or_by_what_it_does(tmp_path: Path, sought: str) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one") as there:
            await there.say("a")
            await there.press("ctrl+p")
            await there.type(sought)
            await there.pilot.pause()
            await there.until(lambda: there.app.screen is not there.chat)
            await there.app.workers.wait_for_complete()
            await there.press("enter")
            await there.until(lambda: there.ratings())

    run(scene)


def test_quitting_ends_the_conversation_and_keeps_what_was_not_sent(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one") as there:
            await there.say("a")
            session = there.session
            await there.type("half")
            await there.press("ctrl+q")
            await there.until(lambda: there.app.return_value is not None)
            assert session.ended is not None and session.id in (there.app.return_value or "")
            assert there.chat.desk.room.draft() == "half" and there.app.return_code == 0
        async with shown(tmp_path, "one") as again:
            assert again.typed == "half"

    run(scene)


def test_quitting_in_the_middle_of_a_reply_keeps_the_message(tmp_path: Path) -> None:
    gate = Gate()

    async def scene() -> None:
        async with shown(tmp_path, "one", "two three", gate=gate) as there:
            gate.let(1)
            await there.say("a")
            await there.type("b")
            await there.press("enter")
            gate.let(1)
            await there.until(lambda: there.turns[-1].reply.text == "two")
            session = there.session
            await there.press("ctrl+q")
            await there.until(lambda: there.app.return_value is not None)
            assert session.ended is not None and [t.user.text for t in session.ended.turns] == ["a", "b"]

    run(scene)


def test_a_signal_keeps_the_conversation_open(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one") as there:
            await there.say("a")
            there.app.end_soon(143)
            await there.until(lambda: there.app.return_value is not None)
            assert there.app.return_code == 143 and there.session.ended is None
            assert [c.episode.episode_id for c in there.log.open_conversations()] == [there.session.id]

    run(scene)


def test_putting_a_conversation_away_is_asked_twice(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one") as there:
            await there.say("a")
            first = there.session.id
            for key in ("n", "y"):
                await there.type("/delete")
                await there.press("enter")
                await there.until(lambda: isinstance(there.app.screen, AskYes))
                assert there.session.id == first
                await there.press(key)
                await there.until(lambda: not isinstance(there.app.screen, AskYes))
            await there.until(lambda: there.session.id != first)
            assert there.chat.desk.room.saved() == []

    run(scene)


def test_two_thousand_turns_are_as_few_widgets_as_twenty(tmp_path: Path) -> None:
    # How long they take to open is for `bench chat` to say: it depends on the machine, this does not.
    def of(turns: int) -> int:
        def begin(room):  # type: ignore[no-untyped-def]
            session = room.new("retail", 1)
            session.say("hello")
            list(session.answer())
            ended = session.leave()
            (turn, _) = ended.turns
            long = replace(ended, episode_id="long", turns=(turn,) * turns)
            return type(session).closed(session.log, session.voices, session.setting, long)

        async def scene() -> None:
            async with shown(tmp_path / str(turns), "one", begin=begin) as there:
                await there.chat.show(there.session)
                await there.pilot.pause()
                assert len(there.turns) == 20
                if turns > 20:
                    assert f"{turns - 20:,} earlier turns" in there.text("Older")
                widgets.append(len(there.chat.query("*")))

        run(scene)
        return widgets.pop()

    widgets: list[int] = []
    assert of(2000) == of(20)


def test_without_colour_everything_is_grey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def scene() -> None:
        async with shown(tmp_path, LOOK, "one") as there:
            await there.say("a")
            await there.press("ctrl+n")
            await there.until(lambda: there.turns[0].remark.display)
            await there.pilot.pause()
            strips = there.chat._compositor.render_strips()  # noqa: SLF001
            colours = {c for strip in strips for s in strip if s.style for c in (s.style.color, s.style.bgcolor) if c}
            triplets = [colour.triplet for colour in colours if colour.triplet is not None]
            assert triplets and all(t.red == t.green == t.blue for t in triplets)
            assert "▼ bad" in "".join(s.text for strip in strips for s in strip)

    run(scene)
