"""The shipped tokenizer equals its ranks, special tokens in pages are text, and other tokenizers load by path."""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import os
import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.strict import UserError
from pipeline.tokenization import build, tokenizer
from pipeline.tokenization.tokenizer import ENDS_LINE, STARTS_INSIDE, Tokenizer, TokenizerOptions, load_tokenizer

QWEN_SPECIALS = {"<|endoftext|>": 151643, "<|im_start|>": 151644, "<|im_end|>": 151645}

TEXTS = {
    "english": "It's the 3rd edition (2nd printing), isn't it? We'll see.\n\nPrice: $1,234.56 — 50%!  Two  spaces.\n",
    "chinese": "中文网页的正文抽取，是一个老问题。\n第二段：价格12,345元。\r\n　　全角空格开头，“引号”与《书名号》。",
    "mixed": "使用Python 3.11编写的Spark作业，读取WARC文件 (约90,000个) 并输出Parquet。",
    "code": 'def f(x: int) -> str:\n\treturn f"{x:>8,d}"  # 对齐\n\n\nif __name__ == "__main__":\n    f(10**6)\n',
    "emoji": "👩‍👩‍👧‍👦 家庭 🇨🇳🇺🇸 ❤️‍🔥 👍🏽 ok\u200d",
    "other scripts": "Ελληνικά, русский текст, 日本語のテキスト、한국어 텍스트, العربية, हिन्दी, ไทย",
    "marks": "e\u0301 is \u00e9 after NFC; Å ﬁ ① Ⅳ ²",
    "white space": "  \n \t\n\n   x\u00a0y\u3000z \r\n\r\n  ",
    "rare": "𠮷野家 𝒜 \U000e0041 \ufeff\u2028 \x7f �",
    "long word": "a" * 300 + "的" * 300 + "0" * 50 + "-" * 200,
    "contractions": "I'M WE'LL 'S 'ſ he's'd",
    "empty": "",
}


@pytest.fixture(scope="module")
def qwen() -> Tokenizer:
    return load_tokenizer()


@pytest.fixture(scope="module")
def ranks() -> dict[bytes, int]:
    """The tiktoken ranks, read back from the shipped vocabulary."""
    byte_of = {c: b for b, c in enumerate(tokenizer.byte_alphabet())}
    vocab = json.loads(tokenizer.tokenizer_bytes("qwen"))["model"]["vocab"]
    return {bytes(byte_of[c] for c in text): rank for text, rank in vocab.items()}


def reference_encode(text: str, ranks: dict[bytes, int]) -> list[int]:
    """tiktoken's algorithm written out: per match of the pattern, join the adjacent pair of lowest joined rank."""
    ids = []
    for piece in regex.findall(tokenizer.QWEN_PATTERN, unicodedata.normalize("NFC", text)):
        data = piece.encode()
        if data in ranks:
            ids.append(ranks[data])
            continue
        parts = [data[i : i + 1] for i in range(len(data))]
        while len(parts) > 1:
            joined = [ranks.get(parts[i] + parts[i + 1], len(ranks)) for i in range(len(parts) - 1)]
            if min(joined) == len(ranks):
                break
            at = joined.index(min(joined))
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        ids += [ranks[p] for p in parts]
    return ids


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_equals_the_ranks_and_decodes(text: str, qwen: Tokenizer, ranks: dict[bytes, int]) -> None:
    text = unicodedata.normalize("NFC", text)
    ids = qwen.encode(text)
    assert ids.dtype == np.int32
    assert ids.tolist() == [*reference_encode(text, ranks), qwen.eod_id]
    assert qwen.decode(ids) == text


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(max_size=60))
def test_any_text_equals_the_ranks_and_decodes(qwen: Tokenizer, ranks: dict[bytes, int], text: str) -> None:
    text = unicodedata.normalize("NFC", text)
    ids = qwen.encode(text)
    assert qwen.decode(ids) == text
    # Letters that one of the two pattern engines does not know yet would be split in another place.
    if all(unicodedata.category(c) != "Cn" for c in text):
        assert ids.tolist() == [*reference_encode(text, ranks), qwen.eod_id]


@pytest.mark.parametrize(
    ("text", "ids"),
    [  # from tiktoken 0.14.0 with the same ranks and pattern
        ("Hello world", [9707, 1879]),
        ("你好，世界", [108386, 3837, 99489]),
        ("<|endoftext|>", [27, 91, 8691, 723, 427, 91, 29]),
    ],
)
def test_golden_ids(text: str, ids: list[int], qwen: Tokenizer) -> None:
    assert qwen.encode(text).tolist() == [*ids, 151643]


def test_normalises_to_nfc(qwen: Tokenizer) -> None:
    assert qwen.decode(qwen.encode("e\u0301")) == "\u00e9"


def test_shipped_file_is_what_the_build_command_makes(qwen: Tokenizer, ranks: dict[bytes, int]) -> None:
    assert len(ranks) == 151_643
    assert build.tokenizer_json(ranks).encode() == qwen.data
    notice = importlib.resources.files("pipeline.tokenization").joinpath("tokenizers/qwen/NOTICE.md").read_text("utf-8")
    assert qwen.sha256 in notice
    assert hashlib.sha256(qwen.data).hexdigest() == qwen.sha256


def test_identity(qwen: Tokenizer) -> None:
    assert qwen.special_tokens == QWEN_SPECIALS
    assert qwen.as_dict() == {
        "name": "qwen",
        "sha256": qwen.sha256,
        "vocab_size": 151_646,
        "eod_token": "<|endoftext|>",
        "eod_id": 151_643,
        "added_tokens": None,
    }


@pytest.mark.parametrize("special", QWEN_SPECIALS)
@pytest.mark.parametrize("text", ["{}", "a{}b", " {} ", "{}{}", "正文{}正文", "\n{}\n", "<{}>", "{}" * 50])
def test_special_tokens_in_a_page_are_text(special: str, text: str, qwen: Tokenizer) -> None:
    page = text.replace("{}", special)
    alone, in_batch = qwen.encode_batch([page, page])
    assert not set(alone[:-1].tolist()) & set(QWEN_SPECIALS.values())
    assert alone.tolist() == in_batch.tolist()
    assert alone[-1] == qwen.eod_id
    assert qwen.decode(alone) == page


def test_batch_does_not_matter(qwen: Tokenizer) -> None:
    texts = list(TEXTS.values())
    batch = qwen.encode_batch(texts)
    assert [b.tolist() for b in batch] == [qwen.encode_batch([t])[0].tolist() for t in texts]
    assert [b.tolist() for b in qwen.encode_batch(texts[::-1])] == [b.tolist() for b in batch[::-1]]


@pytest.mark.parametrize("piece", [1, 2, 7, 40])
def test_pieces_of_long_texts_give_the_same_tokens(
    piece: int, qwen: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {name: qwen.encode(text).tolist() for name, text in TEXTS.items()}
    monkeypatch.setattr(tokenizer, "PIECE_CHARACTERS", piece)
    assert len(list(qwen._pieces(TEXTS["english"]))) > 1
    assert {name: qwen.encode(text).tolist() for name, text in TEXTS.items()} == whole


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(alphabet=st.sampled_from("abS's 12\n\r\t,.，。的中\u0301\u00e9-<|😀\u3000"), max_size=40))
def test_pieces_of_any_text_give_the_same_tokens(qwen: Tokenizer, text: str) -> None:
    whole = qwen.encode(text).tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizer, "PIECE_CHARACTERS", 1)
        assert qwen.encode(text).tolist() == whole


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in Linux's /proc")
def test_no_threads_are_started(qwen: Tokenizer) -> None:
    before = len(os.listdir("/proc/self/task"))
    qwen.encode_batch(["word " * 1000] * 20)
    assert len(os.listdir("/proc/self/task")) == before


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ("word", [0]),
        ("\n", [ENDS_LINE]),
        ("x.\n", [0, ENDS_LINE]),
        ("\nx", [ENDS_LINE, 0]),
        ("😀", [0]),
        ("𒀀", [0, STARTS_INSIDE]),  # four bytes in two tokens
    ],
)
def test_cut_scores(text: str, scores: list[int], qwen: Tokenizer) -> None:
    assert qwen.cut_scores.shape == (qwen.vocab_size,)
    assert qwen.cut_scores[qwen.encode(text)[:-1]].tolist() == scores


def test_cut_scores_of_byte_fallback() -> None:
    vocab = {"<0x0A>": 0, "<0xE4>": 1, "<0xB8>": 2, "¸": 3}
    model = {**json.loads(small([]))["model"], "byte_fallback": True, "vocab": vocab, "merges": []}
    decoder = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]}
    added = json.loads(small([("<eos>", True)]))["added_tokens"]
    added[0]["id"] = 4
    data = small([], model=model, decoder=decoder, pre_tokenizer=None, added_tokens=added)
    loaded = Tokenizer(data, "mine", "<eos>")
    assert loaded.encode("\n").tolist() == [0, 4]
    assert loaded.cut_scores.tolist() == [ENDS_LINE, 0, STARTS_INSIDE, 0, 0]


# --- other tokenizers, made on the spot ---


def small(added: list[tuple[str, bool]], **changes: Any) -> bytes:
    """A byte-level tokenizer with the 256 bytes and "ab" as vocabulary, and the added tokens (content, special)."""
    ranks = {bytes([b]): b for b in range(256)} | {b"ab": 256}
    data = json.loads(build.tokenizer_json(ranks, [content for content, _ in added]))
    for token, (_, special) in zip(data["added_tokens"], added, strict=True):
        token["special"] = special
    data.update(changes)
    return json.dumps(data).encode()


@pytest.mark.parametrize("as_folder", [False, True])
def test_loads_by_path(as_folder: bool, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(small([("<eos>", True), ("<pad>", True)]))
    loaded = load_tokenizer(str(tmp_path if as_folder else path), eod_token="<eos>")
    assert loaded.encode("ab<pad>").tolist() == [256, *b"<pad>", 257]
    assert loaded.decode([256, 258, 257]) == "ab<pad>"
    assert (loaded.vocab_size, loaded.eod_id) == (259, 257)
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(("added_tokens", "ids"), [("text", [*b"<think>", 257]), ("vocabulary", [258, 257])])
def test_added_tokens_that_are_not_special(added_tokens: Any, ids: list[int]) -> None:
    data = small([("<eos>", True), ("<think>", False)])
    loaded = Tokenizer(data, "mine", "<eos>", added_tokens)
    assert loaded.encode("<think>").tolist() == ids
    assert loaded.encode("<eos>").tolist() == [*b"<eos>", 257]
    with pytest.raises(UserError, match=re.escape("1 added tokens that are not special (<think>): set added_tokens")):
        Tokenizer(data, "mine", "<eos>")


def test_all_special_tokens_are_text_where_others_are_vocabulary() -> None:
    specials = ["<eos>", "<pad>", "<|im_start|>", "<a b>"]
    data = small([*((s, True) for s in specials), ("<think>", False), ("  ", False)])
    loaded = Tokenizer(data, "mine", "<eos>", "vocabulary")
    for text in [*specials, "".join(specials), "x<eos>y", " <eos> "]:
        for ids in loaded.encode_batch([text, text]):
            assert ids.tolist() == [*text.encode(), 257]
    assert loaded.encode("<eos><think><pad>  ").tolist() == [*b"<eos>", 261, *b"<pad>", 262, 257]
    assert loaded.decode(loaded.encode("<eos><think><pad>  ")) == "<eos><think><pad>  "


def test_ids_that_leave_a_gap_are_refused() -> None:
    data = small([("<eos>", True)]).replace(b'"id": 257', b'"id": 300')
    with pytest.raises(UserError, match="'<eos>' has the id 300 in the file, but is loaded as 257"):
        Tokenizer(data, "mine", "<eos>")


def test_what_changes_text_by_chance_is_off() -> None:
    data = json.loads(small([("<eos>", True)]))
    data["truncation"] = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    data["model"]["dropout"] = 0.5
    loaded = Tokenizer(json.dumps(data).encode(), "mine", "<eos>")
    assert loaded.encode("ab" * 100).tolist() == [256] * 100 + [257]


def test_cuts_long_texts_only_where_it_is_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "PIECE_CHARACTERS", 1)
    other = Tokenizer(small([("<eos>", True)], normalizer={"type": "Prepend", "prepend": "_"}), "mine", "<eos>")
    assert other.encode("a a").tolist() == [*b"_a a", 257]


@pytest.mark.parametrize(
    ("data", "eod", "message"),
    [
        (small([("<eos>", True)]), None, "no eod_token is set; its special tokens: <eos>"),
        (small([("<eos>", True)]), "</s>", "eod_token '</s>' is not a special token of it; its special tokens: <eos>"),
        (small([]), None, "its special tokens: none"),
        (b"{}", "<eos>", "is not a tokenizer.json"),
        (b"\x00", "<eos>", "is not a tokenizer.json"),
        (small([("<eos>", True)], pre_tokenizer={"type": "Whitespace"}), "<eos>", None),
    ],
)
def test_tokenizers_that_are_refused(data: bytes, eod: str | None, message: str | None) -> None:
    if message is None:  # the keep case
        assert Tokenizer(data, "mine", eod).eod_id == 257
        return
    with pytest.raises(UserError, match=re.escape(message)):
        Tokenizer(data, "mine", eod)


def test_a_special_token_that_a_page_can_spell_is_refused() -> None:
    data = json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [
                {
                    "id": i,
                    "content": content,
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                    "special": True,
                }
                for i, content in enumerate(["[UNK]", "eos"])
            ],
            "normalizer": None,
            "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": None,
            "decoder": None,
            "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "eos": 1, "word": 2}, "unk_token": "[UNK]"},
        }
    ).encode()
    with pytest.raises(UserError, match="encodes the text 'eos' with its added token 1"):
        Tokenizer(data, "mine", "eos")
    spelled = data.replace(b'"eos"', b'"<eos>"')
    assert Tokenizer(spelled, "mine", "<eos>").encode("word other <eos>").tolist() == [2, 0, 0, 0, 0, 1]


@pytest.mark.parametrize("name", ["no/such/folder", "missing.json", "./nothing"])
def test_a_path_that_is_not_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=re.escape(f"tokenizer {name!r}: there is no file")):
        load_tokenizer(name, eod_token="<eos>")


def test_options() -> None:
    assert TokenizerOptions().load().as_dict() == load_tokenizer().as_dict()
    with pytest.raises(ValidationError, match="known keys: name, revision, eod_token, added_tokens"):
        TokenizerOptions.model_validate({"eod": "x"})


def test_ranks_file(tmp_path: Path) -> None:
    path = tmp_path / "x.tiktoken"
    path.write_text("YQ== 0\nYg== 1\nYWI= 2\n")
    ranks = build.read_ranks(path)
    assert ranks == {b"a": 0, b"b": 1, b"ab": 2}
    assert build.merges_from_ranks(ranks) == [(b"a", b"b")]
    with pytest.raises(ValueError, match="cannot be built from two tokens of lower rank"):
        build.merges_from_ranks({b"a": 0, b"b": 1, b"c": 2, b"abc": 3})
    path.write_text("YQ== 0\nYg== 2\n")
    with pytest.raises(ValueError, match="expected the ranks 0 to 1, each once"):
        build.read_ranks(path)
