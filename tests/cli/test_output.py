from __future__ import annotations

import json
import os
import signal

import pytest

from dialog_rl.cli import output
from dialog_rl.cli.options import interruptible
from dialog_rl.text import unsafe


def test_json_is_one_line_of_ascii_with_a_version(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit_json("thing", {"text": "你好\x1b[2J", "bad": float("nan"), "deep": {"worse": [float("inf"), (1,)]}})
    out = capsys.readouterr().out
    assert out.isascii() and out.count("\n") == 1 and not unsafe(out.rstrip("\n"))
    document = json.loads(out)
    assert document["schema_version"] == 1 and document["kind"] == "thing"
    assert document["bad"] is None and document["deep"] == {"worse": [None, [1]]} and document["text"] == "你好\x1b[2J"


def test_results_go_to_stdout_and_remarks_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit("result\x07")
    output.note("remark\x07")
    out, err = capsys.readouterr()
    assert (out, err) == ("result\\x07\n", "remark\\x07\n")


def test_progress_off_a_terminal_is_a_line_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with output.Progress("working", 50) as progress:
        for done in range(1, 51):
            progress.at(done, f"at \x1b[31m{done}")
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "50/50" in err and "\x1b" not in err and "\r" not in err


def test_progress_says_nothing_more_when_work_fails(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError), output.Progress("working", 5):
        raise ValueError
    assert capsys.readouterr().err == ""


def test_colour_is_left_out_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.style("x", fg="red") == "x"
    monkeypatch.delenv("NO_COLOR")
    assert output.style("x", fg="red") != "x"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.04, "0.0 s"), (59.4, "59 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (7384, "2 h 3 min")]
)
def test_durations_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert output.duration(seconds) == said


def test_the_first_interruption_asks_and_what_was_asked_is_told_at_the_end() -> None:
    reached = False
    with pytest.raises(KeyboardInterrupt):
        with interruptible("Stopping.") as cancelled:
            assert not cancelled()
            os.kill(os.getpid(), signal.SIGINT)
            assert cancelled()
            reached = True
    assert reached


def test_the_second_interruption_ends_at_once() -> None:
    with pytest.raises(KeyboardInterrupt):
        with interruptible("Stopping."):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail("went on")


def test_signals_are_handled_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with interruptible("Stopping."):
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
