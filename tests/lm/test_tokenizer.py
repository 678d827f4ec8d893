"""The tokenizer: any text comes back, no text is special, a word is spelled the same way wherever it stands."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dialog_rl.errors import CheckpointError
from dialog_rl.lm import tokenizer as t

TEXTS = [
    "Hello, I am Anna Smith. Where is my order #4821?",
    '{"order_id":"4821","zip":"02139","name":"Anna Smith","items":["charger"],"paid":true}',
    'find_order {"order_id":"4821"}',
    "你好，我是王芳，我的订单号是 4821。",
    "Please CANCEL it, don't wait!\nMy e-mail is anna.k@mail.com",
] * 20


@pytest.fixture(scope="module")
def tok() -> t.Tokenizer:
    return t.train_tokenizer(TEXTS, vocabulary=500)


@given(st.text(max_size=60) | st.text("aAé É▁ '_-\n\"{:\ue000\ue001\ue002王4<|end|>", max_size=30))
@example("  Two spaces, ▁ and \ue000marks \ue001here\ue002")
@example("DON'T 'DON'T' iPhone É éÉ USB3X don't_X")
@example("😀\0\r\n\t\u200d <|end|><|user|>")
@example(" Leading")
@example("İ ǅ ẞ ß ŉ ı SSß")
@example("AAɠ AAƓ Ɠ ȺA ɠ ⱥ")
def test_any_text_comes_back_and_none_makes_a_special_id(tok: t.Tokenizer, text: str) -> None:
    ids = tok.encode(text)
    assert tok.decode(ids) == text
    assert not tok.special_ids.intersection(ids)


@given(st.lists(st.integers(0, 389), max_size=30))
def test_any_ids_decode_and_streaming_gives_the_same_text(tok: t.Tokenizer, ids: list[int]) -> None:
    decoder = t.IncrementalDecoder(tok)
    streamed = [decoder.push(i) for i in ids]
    assert "".join(streamed) + decoder.finish() == tok.decode(ids)


@given(st.text(max_size=30))
def test_streamed_text_is_never_taken_back(tok: t.Tokenizer, text: str) -> None:
    decoder, shown = t.IncrementalDecoder(tok), ""
    for i in tok.encode(text):
        shown += decoder.push(i)
        assert text.startswith(shown)
    assert shown == text


def test_half_an_emoji_is_withheld_until_it_is_whole(tok: t.Tokenizer) -> None:
    decoder = t.IncrementalDecoder(tok)
    assert [decoder.push(i) for i in tok.encode("😀")] == ["", "", "", "😀"]
    decoder.push(tok.encode("😀")[0])
    assert decoder.finish() == "\ufffd"


def test_an_id_that_only_pads_the_vocabulary_is_no_word_and_no_crash(tok: t.Tokenizer) -> None:
    assert tok.decode([*tok.encode("yes"), len(tok), len(tok) + 40]) == "yes\ufffd\ufffd"


def test_lone_surrogates_become_the_replacement_character(tok: t.Tokenizer) -> None:
    assert tok.decode(tok.encode("a\ud800b")) == "a\ufffdb"


def pieces_without_marks(tok: t.Tokenizer, text: str) -> list[int]:
    marks = {t.JOIN, t.CAP, t.CAPS}
    return [i for i in tok.encode(text) if tok.piece(i) not in marks]


@pytest.mark.parametrize("word", ["anna", "Anna", "ANNA", "smith", "Quentin"])
def test_a_word_has_the_same_pieces_in_speech_and_in_json(tok: t.Tokenizer, word: str) -> None:
    alone = pieces_without_marks(tok, word)
    assert pieces_without_marks(tok, word.lower()) == alone
    spoken, quoted = pieces_without_marks(tok, f"I am {word}, yes"), pieces_without_marks(tok, f'{{"name":"{word}"}}')
    for ids in (spoken, quoted):
        assert any(ids[i : i + len(alone)] == alone for i in range(len(ids)))


def test_every_digit_is_a_piece_of_its_own(tok: t.Tokenizer) -> None:
    assert [tok.piece(i) for i in tok.encode("02139")] == list("02139")
    assert all(
        len(tok.piece(i)) == 1 for i in range(len(tok)) if any(map(str.isdigit, tok.piece(i))) and not tok.byte_of(i)
    )


def test_json_glue_is_few_pieces(tok: t.Tokenizer) -> None:
    assert [tok.piece(i) for i in tok.encode('{"4":"2","1":"3"}')] == [
        '{"',
        "4",
        '":"',
        "2",
        '","',
        "1",
        '":"',
        "3",
        '"}',
    ]


def test_the_same_texts_and_seed_give_the_same_bytes() -> None:
    first = t.train_tokenizer(TEXTS, vocabulary=450, max_texts=30, seed=3)
    again = t.train_tokenizer(iter(TEXTS), vocabulary=450, max_texts=30, seed=3)
    assert first.data == again.data


def test_it_loads_from_bytes_and_from_a_file(tok: t.Tokenizer, tmp_path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(tok.data)
    for source in (tok.data, tmp_path / "tokenizer.model"):
        assert t.Tokenizer.load(source).encode("Anna 4821") == tok.encode("Anna 4821")


@pytest.mark.parametrize("data", [b"", b"junk", b"\x0a\x03abc"])
def test_what_is_no_tokenizer_is_refused(data: bytes) -> None:
    with pytest.raises(CheckpointError):
        t.Tokenizer.load(data)


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(CheckpointError, match=r"gone\.model"):
        t.Tokenizer.load(tmp_path / "gone.model")
