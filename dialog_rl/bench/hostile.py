"""Hostile YAML and JSON: what a stranger could send in place of a pack, a scenario or a line of a log."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Document = Mapping[str, Any]
_EVIL = (
    "../../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:9/x", "$customer.__class__",
    "{0.__class__}", "{customer.id.__init__}", "%s%s%n", "\u202e\u2066", "\x00", "\x1b[2J", "'; DROP TABLE events; --",
    "__import__('os')", "!!python/object/apply:os.system [id]", "A" * 5000, "{" * 50, "[a|b]" * 60, "*" * 300,
    "a*" * 200, "9" * 400, "١٢٣", "",
)  # fmt: skip
_ODD: tuple[Any, ...] = (
    None, True, -1, 0, 10**17, 1e308, -1e-308, [], {}, [[]], {"": {}}, [None] * 200, {"pick": []}, {"digits": 10**9},
    {"word": [10**9, 10**9]}, {"int": [1]}, {"int": [5, 1]}, {"money": "x"}, {"text": 5}, {"either": {}},
    {"pick": "nowhere"}, {"plus": ["$x", "1e999999"]}, {"minus": 3}, {"list": "x"},
)  # fmt: skip


def mutated(text: str, document: Document, rng: random.Random) -> tuple[str, bytes]:
    """One hostile input, and what kind it is of. `text` and `document` are the same, as a sound author wrote it."""
    kind = rng.choice(sorted(_KINDS))
    return kind, _KINDS[kind](text, document, rng)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, Mapping):
        found += [place for key, item in value.items() for place in _places(item, (*path, key))]
    elif isinstance(value, Sequence) and not isinstance(value, str):
        found += [place for n, item in enumerate(value) for place in _places(item, (*path, n))]
    return found


def _changed(document: Document, rng: random.Random, change: Callable[[Any, Any], None]) -> bytes:
    """The document with something done at one place: `change` gets what holds it, and its key there."""
    whole = json.loads(json.dumps(document))
    place = rng.choice(_places(whole))
    holder = whole
    for part in place[:-1]:
        holder = holder[part]
    change(holder, place[-1])
    return json.dumps(whole).encode()


def _evil_text(text: str, document: Document, rng: random.Random) -> bytes:
    return _changed(document, rng, lambda holder, key: holder.__setitem__(key, rng.choice(_EVIL)))


def _odd_value(text: str, document: Document, rng: random.Random) -> bytes:
    return _changed(document, rng, lambda holder, key: holder.__setitem__(key, rng.choice(_ODD)))


def _missing(text: str, document: Document, rng: random.Random) -> bytes:
    return _changed(document, rng, lambda holder, key: holder.__delitem__(key))


def _misnamed(text: str, document: Document, rng: random.Random) -> bytes:
    def rename(holder: Any, key: Any) -> None:
        if isinstance(holder, dict):
            holder[rng.choice([f"{key}s", key.upper(), "__proto__", rng.choice(_EVIL)])] = holder.pop(key)
        else:
            holder.append({"nowhere": key})

    return _changed(document, rng, rename)


def _bomb_of_text(text: str, document: Document, rng: random.Random) -> bytes:
    """Each level says the next many times over."""
    maker: Any = "xxxxxxxxxx"
    for _ in range(rng.randrange(2, 12)):
        maker = {"text": "{a}" * rng.choice([2, 10, 200]), "a": maker}
    return _changed(document, rng, lambda holder, key: holder.__setitem__(key, maker))


def _bomb_of_rows(text: str, document: Document, rng: random.Random) -> bytes:
    whole = json.loads(json.dumps(document))
    tables = whole.setdefault("tables", {})
    count, last = rng.choice([100, 101, 10**6, 10**17]), "customers"
    for n in range(rng.randrange(1, 9)):
        tables[f"t{n}"] = {
            "count": count,
            "per": last,
            "fields": {"id": rng.choice(["$parent.id", {"digits": 9}, "same"])},
        }
        last = f"t{n}"
    return json.dumps(whole).encode()


def _laughs(text: str, document: Document, rng: random.Random) -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, rng.randrange(2, 30))]
    return "\n".join(lines).encode() + b"\n" + text.encode()[: rng.choice([0, 500])]


def _deep(text: str, document: Document, rng: random.Random) -> bytes:
    levels = rng.choice([21, 100, 5_000, 60_000])
    opening, closing = rng.choice([("[", "]"), ('{"a":', "}"), ("- ", ""), ("{a: ", "}"), ("? ", "")])
    return (opening * levels + rng.choice(["1", ""]) + closing * rng.choice([levels, 0])).encode()


def _many(text: str, document: Document, rng: random.Random) -> bytes:
    piece = rng.choice(["- a\n", "a{n}: 1\n", "[],", "x: y\n", "- {{b: [c]}}\n", "- ''\n", "? a{n}\n"])
    lines = "".join(
        piece.replace("{n}", str(n)).replace("{{", "{").replace("}}", "}") for n in range(rng.choice([12_001, 40_000]))
    )
    return (f"[{lines}]" if piece == "[]," else lines).encode()[: 255 * 1024]


def _large(text: str, document: Document, rng: random.Random) -> bytes:
    size = rng.choice([255 * 1024, 257 * 1024, 600_000])
    return rng.choice(
        [b"a: " + b"x" * size, b"#" * size, b"\n" * size, b" " * size, b"x" * size + b": 1\n", b"\xff" * size]
    )


def _tagged(text: str, document: Document, rng: random.Random) -> bytes:
    tag = rng.choice(
        ["!!python/object/apply:os.system", "!!python/name:os.system", "!!binary", "!!set", "!x", "!<tag:a,b:c>"]
    )
    lines = text.splitlines()
    lines.insert(rng.randrange(len(lines) + 1), f"evil: {tag} [id]")
    return "\n".join(lines).encode()


def _numbers(text: str, document: Document, rng: random.Random) -> bytes:
    number = rng.choice(
        ["9" * 5000, "1e99999", "-" * 400, "0x" + "f" * 500, ".inf", "1" + "_0" * 900, "1" + ":59" * 300]
    )
    return _changed(document, rng, lambda holder, key: holder.__setitem__(key, "@@")).replace(b'"@@"', number.encode())


def _cut(text: str, document: Document, rng: random.Random) -> bytes:
    raw = text.encode()
    return raw[: rng.randrange(len(raw))]


def _flipped(text: str, document: Document, rng: random.Random) -> bytes:
    raw = bytearray(text.encode())
    for _ in range(rng.choice([1, 3, 50])):
        raw[rng.randrange(len(raw))] = rng.randrange(256)
    return bytes(raw)


def _noise(text: str, document: Document, rng: random.Random) -> bytes:
    return rng.randbytes(rng.choice([1, 40, 4000, 200_000]))


def _controls(text: str, document: Document, rng: random.Random) -> bytes:
    at = rng.randrange(len(text))
    odd = rng.choice(
        ["\x00", "\x1b[31m", "\u202e", "\ufeff", "\u2028", "\x85", "\x7f", "\ud7ff", "\U000e0041", "\t", "\r"]
    )
    return (text[:at] + odd * rng.choice([1, 2000]) + text[at:]).encode("utf-8", "surrogatepass")


def _doubled(text: str, document: Document, rng: random.Random) -> bytes:
    lines = text.splitlines()
    at = rng.randrange(len(lines))
    return "\n".join([*lines[: at + 1], *lines[at : at + rng.choice([1, 20])], *lines[at:]]).encode()


def _many_documents(text: str, document: Document, rng: random.Random) -> bytes:
    mark = rng.choice(["\n---\n", "\n...\n---\n", "\n%YAML 9.9\n---\n", "\n%TAG ! tag:x,y:\n---\n"])
    return (mark.join([text[:2000]] * rng.choice([2, 40]))).encode()


_KINDS: dict[str, Callable[[str, Document, random.Random], bytes]] = {
    "evil text": _evil_text, "odd value": _odd_value, "missing": _missing, "misnamed": _misnamed,
    "bomb of text": _bomb_of_text, "bomb of rows": _bomb_of_rows, "aliases": _laughs, "deep": _deep, "many": _many,
    "large": _large, "tags": _tagged, "numbers": _numbers, "cut": _cut, "flipped": _flipped, "noise": _noise,
    "controls": _controls, "doubled": _doubled, "many documents": _many_documents,
}  # fmt: skip
