"""Speed of the tokenizer and of the shard format on distinct real pages, in CPU time of one core.

python benchmarks/tokenization.py [--data ../shared/data] [--pathological]

Texts: the gold main text of wcxb-dev (English) and of zh-gold with the container text of zh-blogs (Chinese), NFC, each text
once. tiktoken, if installed, encodes the same texts with the same ranks and pattern: the peer, and a check of every page.
"""

from __future__ import annotations

import base64
import importlib.metadata
import importlib.util
import io
import json
import random
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from gold import SETS, rows

from pipeline.tokenization import shard_files, shard_rows
from pipeline.tokenization.tokenizer import PIECE_CHARACTERS, QWEN_PATTERN, Tokenizer, byte_alphabet, load_tokenizer

SOURCES = {code: [(file, field) for _, file, field, language in SETS if language == code] for code in ("en", "zh")}


def read_texts(data: Path, language: str) -> list[str]:
    """The distinct texts of a language, in file order."""
    values = (row[field] or "" for file, field in SOURCES[language] for row in rows(data / "html" / file))
    return list(dict.fromkeys(unicodedata.normalize("NFC", text) for text in values if text))


def peer(tokenizer: Tokenizer) -> Any:
    """tiktoken with the shipped vocabulary's ranks, or None if it is not installed."""
    if importlib.util.find_spec("tiktoken") is None:
        return None
    import tiktoken

    byte_of = {c: b for b, c in enumerate(byte_alphabet())}
    vocab = json.loads(tokenizer.data)["model"]["vocab"]
    ranks = {bytes(byte_of[c] for c in token): rank for token, rank in vocab.items()}
    return tiktoken.Encoding("qwen", pat_str=QWEN_PATTERN, mergeable_ranks=ranks, special_tokens={})


def encoding(tokenizer: Tokenizer, other: Any, texts: list[str]) -> dict[str, Any]:
    """MB/s and tokens/s of one core; pages whose ids are the peer's."""
    size = sum(len(t.encode()) for t in texts)
    ids = tokenizer.encode_batch(texts)
    seconds, _ = machine.fastest(tokenizer.encode_batch, texts)
    tokens = sum(map(len, ids)) - len(ids)  # without EOD
    out = {
        "pages": len(texts),
        "megabytes": round(size / 1e6, 3),
        "tokens": tokens,
        "bytes_per_token": round(size / tokens, 3),
        "mb_per_cpu_second": round(size / seconds / 1e6, 2),
        "tokens_per_cpu_second": round(tokens / seconds),
        "round_trips": sum(tokenizer.decode(i) == t for i, t in zip(ids, texts, strict=True)),
    }
    if other is not None:
        seconds, _ = machine.fastest(lambda: [other.encode_ordinary(t) for t in texts])
        out["tiktoken_mb_per_cpu_second"] = round(size / seconds / 1e6, 2)
        out["pages_equal_to_tiktoken"] = sum(
            other.encode_ordinary(t) == i[:-1].tolist() for i, t in zip(ids, texts, strict=True)
        )
    return out


def pathological(tokenizer: Tokenizer, sizes: tuple[int, ...] = (20_000, 200_000, 2_000_000)) -> dict[str, Any]:
    """MB/s for texts that are hard on a tokenizer, at several lengths in characters: constant where time is linear."""
    rng = random.Random(1)
    kinds: dict[str, Callable[[int], str]] = {
        "one letter": lambda n: "a" * n,
        "letters without spaces": lambda n: "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=n)),
        "base64": lambda n: base64.b64encode(rng.randbytes(n * 3 // 4)).decode(),
        "Chinese without punctuation": lambda n: "".join(chr(rng.randrange(0x4E00, 0x9FA5)) for _ in range(n)),
        "one Chinese character": lambda n: "的" * n,
        "spaces": lambda n: " " * n,
        "tabs, then a letter": lambda n: "\t" * n + "x",
        "999 spaces, a letter": lambda n: (" " * 999 + "x") * (n // 1000),
        "line breaks": lambda n: "\n" * n,
        "space, line break": lambda n: " \n" * (n // 2),
        "dashes": lambda n: "-" * n,
        "digits": lambda n: "1" * n,
        "emoji": lambda n: "😀" * n,
        "combining marks": lambda n: "a" + "\u0301" * n,
    }
    out: dict[str, dict[str, float]] = {}
    for kind, make in kinds.items():
        out[kind] = {}
        for n in sizes:
            text = make(n)
            start = time.process_time()
            tokenizer.encode(text)
            out[kind][str(n)] = round(len(text.encode()) / (time.process_time() - start) / 1e6, 2)
    return out


def formats(tokenizer: Tokenizer, texts: dict[str, list[str]]) -> dict[str, Any]:
    """Bytes a token and reading speed of the shard format and of other settings, on all pages as one shard."""
    options = shard_rows.ShardOptions()
    documents = pa.concat_tables(
        pa.table(
            {
                "doc_id": [f"{random.Random(f'{language}{i}').getrandbits(128):032x}" for i in range(len(part))],
                "input_ids": pa.array(tokenizer.encode_batch(part), type=pa.list_(pa.int32())),
                "language": [language] * len(part),
                "url": [f"https://site{i // 10}.example/page/{i}" for i in range(len(part))],
                "domain": [f"site{i // 10}.example" for i in range(len(part))],
                "source": ["benchmark"] * len(part),
                "generation": pa.array([0] * len(part), type=pa.int32()),
            }
        )
        for language, part in texts.items()
    )
    rows = shard_rows.shard_rows(documents, np.ones(len(documents), dtype=np.int32), options, tokenizer.cut_scores)
    rows = rows.take(shard_rows.shuffle_order(shard_rows.shuffle_key(0, rows), rows))
    tokens = sum(rows["n_tokens"].to_pylist())
    header = shard_files.ShardHeader(
        split="train",
        generation=0,
        shard=0,
        n_shards=1,
        seed=0,
        eod_id=tokenizer.eod_id,
        tokenizer_sha256=tokenizer.sha256,
        config_sha256="",
    )

    def write_shard() -> bytes:
        sink = io.BytesIO()
        with shard_files.ShardWriter(sink, header, options.row_group_tokens) as writer:
            writer.write(rows)
        return sink.getvalue()

    def write_with(**settings: Any) -> Callable[[], bytes]:
        def write() -> bytes:
            sink = io.BytesIO()
            group = max(1, round(len(rows) * options.row_group_tokens / tokens))
            pq.write_table(rows, sink, row_group_size=group, **settings)
            return sink.getvalue()

        return write

    ids = ["input_ids.list.element"]
    zstd: dict[str, Any] = {"compression": "zstd", "compression_level": 3}
    writers = {
        "shard (zstd 3, plain ids, page v1)": write_shard,
        "zstd 1": write_with(compression="zstd", compression_level=1, use_dictionary=["language"]),
        "zstd 9": write_with(compression="zstd", compression_level=9, use_dictionary=["language"]),
        "snappy": write_with(compression="snappy", use_dictionary=["language"]),
        "zstd 3, dictionary for ids": write_with(**zstd, use_dictionary=ids),
        "zstd 3, byte stream split": write_with(**zstd, use_dictionary=False, use_byte_stream_split=ids),
        "zstd 3, delta": write_with(
            **zstd, use_dictionary=False, column_encoding={"input_ids.list.element": "DELTA_BINARY_PACKED"}
        ),
    }
    out: dict[str, Any] = {"rows": len(rows), "tokens": tokens}
    for name, write in writers.items():
        data = write()

        def read(data: bytes = data) -> None:
            file = pq.ParquetFile(pa.BufferReader(data))
            for i in range(file.num_row_groups):
                file.read_row_group(i, columns=["input_ids"], use_threads=False)

        out[name] = {
            "bytes_per_token": round(len(data) / tokens, 3),
            "row_groups": pq.ParquetFile(pa.BufferReader(data)).num_row_groups,
            "read_mtok_per_cpu_second": round(tokens / machine.fastest(read)[0] / 1e6, 1),
            "write_mtok_per_cpu_second": round(tokens / machine.fastest(write)[0] / 1e6, 1),
        }
    return out


def peak_megabytes() -> dict[str, int]:
    """Peak memory of a process that encodes 2 million digits, a token each: not at all, in pieces, and at once."""
    code = (
        "import sys; from pipeline.tokenization import tokenizer as t; q = t.load_tokenizer();"
        "t.PIECE_CHARACTERS = int(sys.argv[2]); q.encode('1' * int(sys.argv[1]));"
        "print(next(x.split()[1] for x in open('/proc/self/status') if x.startswith('VmHWM')))"  # kB, Linux
    )
    cases = {
        "nothing": (0, PIECE_CHARACTERS),
        "in pieces": (2_000_000, PIECE_CHARACTERS),
        "at once": (2_000_000, 10**9),
    }
    return {
        name: int(subprocess.run([sys.executable, "-c", code, *map(str, a)], capture_output=True, check=True).stdout)
        // 1000
        for name, a in cases.items()
    }


def main() -> None:
    parser = machine.parser(__doc__, data="folder that holds html/")
    parser.add_argument(
        "--pathological", action="store_true", help="also texts that are hard on a tokenizer (2 minutes)"
    )
    args = parser.parse_args()
    pa.set_cpu_count(1)
    start = time.process_time()
    tokenizer = load_tokenizer()
    packages = [p for p in ("tokenizers", "tiktoken", "pyarrow", "numpy") if importlib.util.find_spec(p)]
    result: dict[str, Any] = {
        "versions": {p: importlib.metadata.version(p) for p in packages},
        "data": {language: [" ".join(source) for source in sources] for language, sources in SOURCES.items()},
        "load_cpu_seconds": round(time.process_time() - start, 2),
    }
    other = peer(tokenizer)
    texts = {language: read_texts(args.data, language) for language in SOURCES}
    result["encode"] = {language: encoding(tokenizer, other, part) for language, part in texts.items()}
    result["shards"] = formats(tokenizer, texts)
    if args.pathological:
        result["pathological_mb_per_cpu_second"] = pathological(tokenizer)
        result["peak_megabytes"] = peak_megabytes()
    machine.save("tokenization", result)


if __name__ == "__main__":
    main()
