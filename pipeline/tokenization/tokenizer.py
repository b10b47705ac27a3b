"""Text to token ids and back, through Hugging Face `tokenizers` files.

    tokenizer = load_tokenizer()                      # the shipped Qwen vocabulary
    (ids,) = tokenizer.encode_batch(["你好，world"])   # int32, ending in EOD
    tokenizer.decode(ids)                             # "你好，world"

What this adds to the library:

- Special tokens that stand literally in a page are ordinary text. The library's own switch (`encode_special_tokens`)
  spares only tokens marked special; here the encoder is loaded without any added tokens unless the config wants them,
  so there is nothing to match, and every one is tried at load time.
- One thread: texts are encoded one by one (as fast as a batch, measured by benchmarks/tokenization.py), which never
  starts the library's thread pool, so a Spark worker takes one core and can fork.
- Bounded memory: the library keeps some 380 bytes a token while it encodes a text. Long texts are encoded in pieces,
  cut only where the result is provably the same.
- Anything in the file that would change or lose text by chance (truncation, padding, BPE dropout) is switched off.

No text tried is much slower than others: 0.8 to 4 MB/s and core for one letter, white space, line breaks, base64,
random Chinese, digits, emoji and combining marks, without any spaces, at 20 thousand and at 2 million characters
(`benchmarks/tokenization.py --pathological`; results in benchmarks/results/tokenization.json).
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import tokenizers
from pydantic import Field

from extraction.characters import HAN_BASIC
from pipeline import storage
from pipeline.strict import Strict, UserError

TokenIds = npt.NDArray[np.int32]

QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen's pre-tokenisation: BPE never joins across its matches."""

QWEN_PRE_TOKENIZER: dict[str, Any] = {
    "type": "Sequence",
    "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": QWEN_PATTERN}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
    ],
}

ENDS_LINE, STARTS_INSIDE = 1, 2
"""Bits of `Tokenizer.cut_scores`: the token ends with a line break; it starts inside a character (of UTF-8)."""

PIECE_CHARACTERS = 262_144
"""Longest text that is encoded at once where it may be cut: 262,144 tokens or so, 100 MB while encoding."""

_CUT = re.compile(rf"[A-Za-z{HAN_BASIC}](?=[ \n,.，。])|[0-9](?=[\n -~])")
"""Places to cut a text without changing Qwen's tokens: after the matched character.

In QWEN_PATTERN no alternative goes on past a letter with anything but letters, and a digit is a match of its own; so
a match always ends at these places, and as no alternative looks behind, the rest is matched as if it stood alone.
None of the characters that may follow composes with one before it, so NFC of the parts is the parts of NFC.
"""


class TokenizerOptions(Strict):
    """Which tokenizer, and what its added tokens mean."""

    name: str = Field(
        "qwen", description="qwen (shipped), a tokenizer.json, a folder that holds one, or a model's name on the hub"
    )
    revision: str = Field(
        "main", description="branch or commit on the hub; name a commit to get the same file each time"
    )
    eod_token: str | None = Field(
        None, description="special token that ends a document; null: <|endoftext|> for qwen, an error for others"
    )
    added_tokens: Literal["text", "vocabulary"] | None = Field(
        None,
        description="what added tokens that are not special, such as <think>, are when they stand in a page: ordinary "
        "text, or the token; must be said if the tokenizer has any",
    )

    def load(self) -> Tokenizer:
        return load_tokenizer(**self.model_dump())


class Tokenizer:
    """A loaded tokenizer. Make it with `load_tokenizer`; load it once a worker."""

    def __init__(
        self,
        data: bytes,
        name: str,
        eod_token: str | None = None,
        added_tokens: Literal["text", "vocabulary"] | None = None,
    ) -> None:
        """:param data: content of a `tokenizer.json`.

        :raises UserError: if `data` is not a tokenizer, `eod_token` is not one of its special tokens, `added_tokens` is
            needed and missing, or a special token cannot be kept out of pages.
        """
        self.name = name
        self.data = data
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.added_tokens = added_tokens
        try:
            full = json.loads(data)
            added: list[dict[str, Any]] = full["added_tokens"] or []
            whole = tokenizers.Tokenizer.from_buffer(data)
            self._encoder = _encoder(full, keep_added=added_tokens == "vocabulary")
        except Exception as e:  # the library raises bare Exception
            raise UserError(f"tokenizer {name!r} is not a tokenizer.json that tokenizers can read: {e!r}") from e
        for token in added:  # the library numbers added tokens anew where their ids leave a gap
            if whole.token_to_id(token["content"]) != token["id"]:
                raise UserError(
                    f"tokenizer {name!r}: {token['content']!r} has the id {token['id']} in the file, but is loaded as "
                    f"{whole.token_to_id(token['content'])}: added tokens must follow the vocabulary without a gap"
                )
        self._decoding = full["decoder"]
        self.special_tokens = {str(t["content"]): int(t["id"]) for t in added if t["special"]}
        plain = [str(t["content"]) for t in added if not t["special"]]
        if plain and added_tokens is None:
            raise UserError(
                f"tokenizer {name!r} has {len(plain)} added tokens that are not special ({_some(plain)}): "
                "set added_tokens to 'text' (in a page they are ordinary text) or to 'vocabulary' (they are that token)"
            )
        if eod_token is None and name == "qwen":
            eod_token = "<|endoftext|>"
        if eod_token not in self.special_tokens:
            problem = (
                "no eod_token is set" if eod_token is None else f"eod_token {eod_token!r} is not a special token of it"
            )
            raise UserError(
                f"tokenizer {name!r}: {problem}; its special tokens: {_some(self.special_tokens) or 'none'}"
            )
        self.eod_token: str = eod_token
        self.eod_id: int = self.special_tokens[eod_token]
        self.vocab_size: int = whole.get_vocab_size(with_added_tokens=True)
        """Number of tokens with the added ones. A model's table may have more rows (152,064 for Qwen's 151,646)."""
        self._may_cut = (
            added_tokens != "vocabulary"
            and full["model"]["type"] == "BPE"
            and full["pre_tokenizer"] == QWEN_PRE_TOKENIZER
            and full["normalizer"] in (None, {"type": "NFC"})
        )
        unknown = full["model"].get("unk_token")  # the one special token that a page may rightly produce
        kept = plain if added_tokens == "vocabulary" else []
        self._refuse_reachable({t["id"]: t["content"] for t in added if t["content"] not in [*kept, unknown]})

    def _refuse_reachable(self, unwanted: dict[int, str]) -> None:
        """:raises UserError: if the text of an added token still gets its id, from the model's own vocabulary."""
        for content in unwanted.values():
            for text in (content, f"a{content}b", f" {content} ", f"\n{content}\n", content * 2):
                hit = unwanted.keys() & set(self._encoder.encode(text, add_special_tokens=False).ids)
                if hit:
                    raise UserError(
                        f"tokenizer {self.name!r} encodes the text {text!r} with its added token {min(hit)}, so a page "
                        "could forge it; use a tokenizer whose special tokens cannot be spelled"
                    )

    def encode_batch(self, texts: Sequence[str]) -> list[TokenIds]:
        """Token ids of each text, int32, shape (n_tokens,), each ending in `eod_id`; the same in any batch."""
        return [self.encode(text) for text in texts]

    def encode(self, text: str) -> TokenIds:
        """Token ids of one text, int32, shape (n_tokens,), ending in `eod_id`."""
        parts = [
            np.array(self._encoder.encode(piece, add_special_tokens=False).ids, dtype=np.int32)
            for piece in self._pieces(text)
        ]
        return np.concatenate([*parts, np.array([self.eod_id], dtype=np.int32)])

    def _pieces(self, text: str) -> Iterator[str]:
        start = 0
        while self._may_cut and len(text) - start > PIECE_CHARACTERS:
            cut = _CUT.search(text, start + PIECE_CHARACTERS - 1)
            if cut is None:
                break
            yield text[start : cut.end()]
            start = cut.end()
        yield text[start:]

    def decode(self, ids: npt.ArrayLike) -> str:
        """The text of token ids; a final EOD is left out, other special tokens are spelled out.

        `decode(encode(text)) == text` for NFC text and a byte-level tokenizer.
        """
        tokens = np.asarray(ids)
        if tokens.size and tokens[-1] == self.eod_id:
            tokens = tokens[:-1]
        return str(self._decoder.decode(tokens.tolist(), skip_special_tokens=False))

    @functools.cached_property
    def _decoder(self) -> tokenizers.Tokenizer:
        return tokenizers.Tokenizer.from_buffer(self.data)

    @functools.cached_property
    def cut_scores(self) -> npt.NDArray[np.uint8]:
        """Scores of a cut beside each token, uint8, shape (vocab_size,): ENDS_LINE and STARTS_INSIDE, or-ed."""
        texts = self._decoder.decode_batch([[i] for i in range(self.vocab_size)], skip_special_tokens=False)
        byte_of = {c: b for b, c in enumerate(byte_alphabet())} if '"ByteLevel"' in json.dumps(self._decoding) else {}
        scores = np.zeros(self.vocab_size, dtype=np.uint8)
        for i, text in enumerate(texts):
            token = self._decoder.id_to_token(i) or ""
            fallback = re.fullmatch("<0x([0-9A-F]{2})>", token)
            first = int(fallback[1], 16) if fallback else byte_of.get(token[:1], 0)
            scores[i] = ENDS_LINE * text.endswith("\n") | STARTS_INSIDE * (0x80 <= first < 0xC0)
        return scores

    def as_dict(self) -> dict[str, Any]:
        """Facts that identify the tokenizer, for fingerprints and the shard manifest."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "vocab_size": self.vocab_size,
            "eod_token": self.eod_token,
            "eod_id": self.eod_id,
            "added_tokens": self.added_tokens,
        }


def load_tokenizer(
    name: str = "qwen",
    revision: str = "main",
    eod_token: str | None = None,
    added_tokens: Literal["text", "vocabulary"] | None = None,
) -> Tokenizer:
    """Load a tokenizer; the parameters are those of `TokenizerOptions`.

    :raises UserError: if there is none of that name, or as `Tokenizer` does.
    """
    return Tokenizer(tokenizer_bytes(name, revision), name, eod_token, added_tokens)


def tokenizer_bytes(name: str, revision: str = "main") -> bytes:
    """Content of the `tokenizer.json` of that name. Their SHA-256 is the tokenizer's identity.

    :raises UserError: if it cannot be read.
    """
    if name == "qwen":
        return (
            importlib.resources.files("pipeline.tokenization").joinpath("tokenizers/qwen/tokenizer.json").read_bytes()
        )
    path = storage.join(name, "tokenizer.json") if _is_folder(name) else name
    if storage.exists(path):
        try:
            return storage.read_bytes(path)
        except OSError as e:
            raise UserError(f"cannot read tokenizer {path!r}: {e.strerror or e}") from e
    if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", name) or name.endswith(".json"):
        raise UserError(f"tokenizer {name!r}: there is no file {path!r}")
    try:
        return tokenizers.Tokenizer.from_pretrained(name, revision=revision).to_str().encode()
    except Exception as e:  # the library raises bare Exception
        reason = " ".join(str(e).split())
        raise UserError(
            f"tokenizer {name!r} is not 'qwen', not a file, not a folder with tokenizer.json, and not found on "
            f"the hub: {reason}"
        ) from e


def byte_alphabet() -> list[str]:
    """The character that byte-level BPE files write for each byte, shape (256,).

    Printable Latin-1 characters stand for themselves; the other 68 bytes get the characters from U+0100 on, in order.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (chr(0x100 + i) for i in range(256))
    return [chr(b) if b in printable else next(others) for b in range(256)]


def _encoder(full: dict[str, Any], keep_added: bool) -> tokenizers.Tokenizer:
    """The tokenizer without its added tokens, and without anything that loses or changes text by chance.

    :param keep_added: keep those that are not special. All must stay loaded then, since the library would number the others
        anew; the special ones do not match.
    """
    model = {**full["model"], "dropout": None} if full["model"].get("dropout") else full["model"]
    changed = {"model": model, "truncation": None, "padding": None, "post_processor": None}
    if not keep_added:
        changed["added_tokens"] = []
    encoder = tokenizers.Tokenizer.from_str(json.dumps({**full, **changed}))
    encoder.encode_special_tokens = True
    return encoder


def _is_folder(name: str) -> bool:
    if storage.is_local(name):
        return storage.local(name).is_dir()
    return not name.endswith(".json")


def _some(names: Sequence[str] | dict[str, int], limit: int = 10) -> str:
    shown = ", ".join(list(names)[:limit])
    return shown + (f", ... ({len(names)} in all)" if len(names) > limit else "")


__all__ = ["PIECE_CHARACTERS", "Tokenizer", "TokenizerOptions", "load_tokenizer", "tokenizer_bytes"]
