"""`dialog-rl serve` as its users have it: a process of its own, asked by OpenAI's own client, ended by a signal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("openai")

import openai

from dialog_rl.cli.main import main
from tests.serve.service import Client

KEY = "a-key-of-sixteen-or-more"


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The URL of a service in a working folder, and its process."""
    command = [sys.executable, "-m", "dialog_rl", "serve", "--port", "0", *options]
    environment = {**os.environ, "DIALOG_RL_AGENT_THREADS": "1", "XDG_CONFIG_HOME": str(folder / "nobody")}
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = ""
        while not (found := re.search(r"listens at (http://\S+)/v1", said)):
            line = process.stderr.readline()
            assert line, f"it ended: {said}"
            said += line
        yield found.group(1), process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(30)
        assert process.stderr is not None
        process.stderr.close()


@pytest.mark.slow
def test_a_conversation_by_openais_client_is_rated_over_http_and_waits_to_be_learnt_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"shop {KEY}\n")
    with serving(tmp_path, "--keys", str(keys), "--pack", "retail") as (url, process):
        with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as agent:
            assert [model.id for model in agent.models.list()][0] == "champion"
            messages: list[Any] = [{"role": "user", "content": "Where is my parcel?"}]
            train = {"train": "true"}
            first = agent.chat.completions.create(model="champion", messages=messages, metadata=train)
            messages += [first.choices[0].message, {"role": "user", "content": "Anna Keller, 12345"}]
            pieces = list(agent.chat.completions.create(model="champion", messages=messages, stream=True))
            assert {p.system_fingerprint for p in pieces} == {first.system_fingerprint}
            about = (pieces[-1].model_extra or {})["dialog_rl"]
            assert (
                about["turn"] == 1 and about["conversation"] == (first.model_extra or {})["dialog_rl"]["conversation"]
            )
            with pytest.raises(openai.BadRequestError, match="tools"):
                tool: Any = {"type": "function", "function": {"name": "f", "parameters": {}}}
                agent.chat.completions.create(model="champion", messages=messages[:1], tools=[tool])
        with openai.OpenAI(base_url=f"{url}/v1", api_key="wrong", max_retries=0) as stranger:
            with pytest.raises(openai.AuthenticationError):
                stranger.models.list()
        client = Client(url, KEY)
        rating = client.post("/v1/ratings", {"episode": about["conversation"], "turn": 1, "stars": 4}).json["rating"]
        client.post(f"/v1/episodes/{about['conversation']}/end", {})
        assert client.get(f"/v1/receipts/{rating}").json["reason"] == "queued for the next update"
        # a turn that is under way when the service is ended is finished
        late: list[str] = []
        ready = threading.Event()

        def ask() -> None:
            with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as agent:
                stream = agent.chat.completions.create(
                    model="champion", messages=[{"role": "user", "content": "I want to send it back"}], stream=True
                )  # fmt: skip
                for piece in stream:
                    late.append(piece.choices[0].delta.content or "")
                    ready.set()

        asking = threading.Thread(target=ask)
        asking.start()
        assert ready.wait(30)
        process.send_signal(signal.SIGTERM)
        asking.join(30)
        assert process.wait(30) == 0 and len("".join(late)) > 10
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nobody"))
    assert main(["learn", "status"]) == 0
    assert "queued: 1 rated conversation of 1 rater" in capfd.readouterr().out


def test_others_are_refused_without_keys_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["serve", "--host", "0.0.0.0"]) == 2
    assert "keys are needed: --keys FILE" in capfd.readouterr().err and not (tmp_path / "runs").exists()
