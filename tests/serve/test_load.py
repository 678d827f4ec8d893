"""How many clients one service speaks with at once: DIALOG_RL_FULL=1 pytest -s tests/serve/test_load.py"""

from __future__ import annotations

import http.client
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("fastapi")

from tests.serve.test_serving import serving

pytestmark = pytest.mark.skipif(not os.environ.get("DIALOG_RL_FULL"), reason="DIALOG_RL_FULL=1 measures")

CLIENTS = 64
WISHES = ("Where is my parcel?", "I was charged twice", "I want to send a lamp back", "hello, my refund is late")


@dataclass(frozen=True)
class Heard:
    first: float
    """Seconds until the first piece of text."""
    tokens: int
    ended: str


def listen(url: str, said: str) -> Heard:
    """One streamed reply."""
    messages = [{"role": "user", "content": said}]
    body = {"model": "champion", "messages": messages, "stream": True, "stream_options": {"include_usage": True}}
    began, first, tokens, ended = time.perf_counter(), 0.0, 0, ""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    connection.request(
        "POST", "/v1/chat/completions", json.dumps({**body, "temperature": 1.0}), {"Content-Type": "application/json"}
    )  # fmt: skip
    reply = connection.getresponse()
    assert reply.status == 200, reply.read()
    for line in reply:
        if line.startswith(b'data: {"id"') and b'"content": "' in line and not first and b'"content": ""' not in line:
            first = time.perf_counter() - began
        if b'"usage"' in line:
            tokens = json.loads(line[6:])["usage"]["completion_tokens"]
        ended = line.decode().strip() or ended
    connection.close()
    return Heard(first, tokens, ended)


def throughput(heard: list[Heard], seconds: float) -> float:
    assert {h.ended for h in heard} == {"data: [DONE]"}
    return sum(h.tokens for h in heard) / seconds


def p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


@pytest.mark.timeout(600)
def test_64_streaming_clients_are_served_at_three_times_the_rate_of_one_after_the_other(tmp_path: Path) -> None:
    with serving(tmp_path, "--rate", "0", "--slots", "64") as (url, _):
        said = [WISHES[n % len(WISHES)] for n in range(CLIENTS)]
        listen(url, said[0])
        began = time.perf_counter()
        alone = [listen(url, text) for text in said]
        rate_alone = throughput(alone, time.perf_counter() - began)
        rates, firsts = [], []
        for _ in range(3):
            began = time.perf_counter()
            with ThreadPoolExecutor(CLIENTS) as clients:
                together = list(clients.map(lambda text: listen(url, text), said))
            rates.append(throughput(together, time.perf_counter() - began))
            firsts.append(p95([h.first for h in together]))
    print(
        f"\n{CLIENTS} clients: {max(rates):.0f} tokens a second together, {rate_alone:.0f} one after the other: "
        f"{max(rates) / rate_alone:.1f} times; p95 of the first words {min(firsts):.2f} s, alone "
        f"{p95([h.first for h in alone]):.3f} s ({[round(r) for r in rates]}, load {os.getloadavg()[0]:.1f})"
    )
    assert max(rates) >= 3 * rate_alone
