"""Speed of the model's loader on one core, cost of packing, size of the loader's state.

python benchmarks/model_data.py [--made out/model_data] [--tokens 100_000_000] [--demo out/demo/tokenization]

Writes shards of so many tokens into `--made`, unless they are there (100 million: 200 MB, a minute), with the pipeline's own
writer: ids log-uniform, documents of log-normal length (median 545 tokens, mean 1,120). CPU time of one core throughout, but for
the memory. Peers, on the same shards in the same run: Hugging Face `datasets`, streamed from Parquet, and the usual loop that
concatenates and splits. `--demo`: the shards of `make demo`.
"""

from __future__ import annotations

import bisect
import importlib.metadata
import itertools
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import machine
import numpy as np
import pyarrow as pa
import torch

from model.base.arrays import Int64s
from model.data import packing
from model.data.config import DataOptions
from model.data.loader import loader, merge
from model.data.shards import open_shards
from model.data.source import Source
from model.data.stream import Lane
from pipeline.tokenization import shard_files, shard_rows
from pipeline.tokenization import shards as written
from pipeline.tokenization.tokenizer import load_tokenizer

LENGTHS = (2048, 8192, 32_768)
UTK: dict[str, Any] = {"probability": 1.0}
PEER_TOKENS = 4_000_000
REPEATS = 3


def document_lengths(n: int, seed: int) -> Int64s:
    """Tokens of n documents: log-normal, 20 to 131,072."""
    drawn = np.random.default_rng(seed).lognormal(6.3, 1.2, n)
    return np.clip(drawn, 20, 131_072).astype(np.int64)


def make_shards(folder: Path, tokens: int) -> None:
    """Write shards of about so many tokens, 50 million a shard, in row groups of 1 million."""
    tokenizer = load_tokenizer()
    rng = np.random.default_rng(0)
    options = shard_rows.ShardOptions()
    infos = []
    n_shards = max(1, tokens // 50_000_000)
    for shard in range(n_shards):
        header = shard_files.ShardHeader(
            "train", 0, shard, n_shards, options.seed, tokenizer.eod_id, tokenizer.sha256, "c" * 64
        )

        def batches(shard: int = shard) -> Iterator[pa.Table]:
            for batch in range(-(-tokens // n_shards // 1_000_000)):
                sizes = document_lengths(900, shard * 1000 + batch)
                ids = np.exp(rng.random(sizes.sum(), dtype=np.float32) * np.log(151_000)).astype(np.int32)
                ids[np.cumsum(sizes) - 1] = tokenizer.eod_id
                n = len(sizes)
                offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
                columns = {
                    "doc_id": [f"{shard:08x}{batch:012x}{i:012x}" for i in range(n)],
                    **{"copy": np.zeros(n, np.int32), "part": np.zeros(n, np.int32), "n_parts": np.ones(n, np.int32)},
                    "input_ids": pa.ListArray.from_arrays(
                        offsets, pa.array(ids), type=shard_rows.SHARD.field("input_ids").type
                    ),
                    **{"n_tokens": sizes.astype(np.int32), "document_tokens": sizes},
                    **{
                        "source": ["made"] * n,
                        "url": [None] * n,
                        "domain": [f"site{i % 97}.example" for i in range(n)],
                    },
                    **{"language": ["en", "zh"] * (n // 2), "category": ["other"] * n},
                    "generation": np.zeros(n, np.int32),
                }
                yield pa.table([columns[name] for name in shard_rows.SHARD.names], schema=shard_rows.SHARD)

        infos.append(shard_files.write_shard(str(folder), header, batches(), options.row_group_tokens))
    manifest = written.Manifest(tokenizer.as_dict(), "c" * 64, options.seed, tuple(infos))
    written.write_manifest(str(folder), manifest, tokenizer)


def rate(call: Callable[[], int]) -> float:
    """Million tokens a CPU second, the fastest of `REPEATS` calls that return their tokens."""
    best = 0.0
    for _ in range(REPEATS):
        start = time.process_time()
        tokens = call()
        best = max(best, tokens / (time.process_time() - start) / 1e6)
    return round(best, 1)


def unpacked(folder: str) -> int:
    """All row groups as numpy arrays of ids."""
    shards = open_shards(folder)
    tokens = 0
    for shard in shards.split("train"):
        for group in range(shard.row_groups):
            ids, _ = shards.tokens(shard, group)
            tokens += len(ids)
    return tokens


def packed(folder: str, length: int, tokens: int, **values: Any) -> int:
    """Sequences of 8 lanes in turn: ids, labels, positions as numpy arrays."""
    options = DataOptions.model_validate({"shards": folder, "lanes": 8} | values)
    source = Source(options, "train", length)
    lanes = [Lane(source, i) for i in range(8)]
    for q in range(tokens // length):
        lanes[q % 8].take()
    return tokens // length * length


def batches(folder: str, tokens: int) -> int:
    """The loader: batches of 8 sequences of 8,192 as torch tensors, no workers."""
    n = tokens // (8 * 8192)
    for _ in itertools.islice(loader(DataOptions(shards=folder, lanes=8), "train", 8192, 8), n):
        pass
    return n * 8 * 8192


def peer(folder: str, kind: str) -> int:
    """datasets, streamed, concatenated and split into batches of 8 sequences of 8,192 torch tensors; positions do not restart."""
    paths = sorted(str(p) for p in Path(folder).glob("train/*.parquet"))
    stream = datasets.load_dataset(
        "parquet", data_files={"train": paths}, split="train", streaming=True, columns=["input_ids"]
    )
    buffer: list[int] = []
    parts: list[Any] = []
    held = done = 0
    size = 8 * 8192
    if kind == "lists":
        for row in stream:
            buffer.extend(row["input_ids"])
            while len(buffer) >= size:
                ids = torch.tensor(buffer[:size]).view(8, 8192)
                buffer = buffer[size:]
                done += ids.numel()
            if done >= PEER_TOKENS:
                return done
    for row in stream.with_format("numpy"):
        parts.append(torch.from_numpy(np.array(row["input_ids"], dtype=np.int64)))
        held += len(parts[-1])
        if held >= size:
            joined = torch.cat(parts)
            n = len(joined) // size * size
            joined[:n].view(-1, 8, 8192)
            parts, held = [joined[n:]], len(joined) - n
            done += n
        if done >= PEER_TOKENS:
            return done
    return done


def whole_corpus(lengths: Int64s, length: int) -> dict[str, float]:
    """Best-fit decreasing over all documents at once, as the paper has it: nothing is cut that fits a sequence."""
    remainders = lengths % length
    whole = int((lengths // length).sum())
    gaps: list[int] = []
    opened = 0
    for size in -np.sort(-remainders[remainders > 0]):
        at = bisect.bisect_left(gaps, int(size))
        if at == len(gaps):
            opened += 1
            gap = length
        else:
            gap = gaps.pop(at)
        if gap > size:
            bisect.insort(gaps, int(gap - size))
    places = (whole + opened) * length
    cut = lengths > length
    after = float((lengths[cut] - length).sum() / lengths.sum())
    padding = (places - lengths.sum()) / places
    return {"cut": float(cut.mean()), "after_a_cut": after, "padding": float(padding)}


def costs(lengths: Int64s) -> dict[str, Any]:
    """Documents cut, tokens after a cut and padding, by length and way."""
    out: dict[str, Any] = {}
    for length in LENGTHS:
        window = max(8, min(524_288, int(lengths.sum())) // length)
        ways = {"concatenate": ("concatenate", 0), "best_fit": ("best_fit", length // 256)}
        row: dict[str, Any] = {"longer_than_a_sequence": round(float((lengths > length).mean()), 5)}
        for name, (method, pad_below) in ways.items():
            q = packing.quality(lengths, length, window, method=method, pad_below=pad_below)  # type: ignore[arg-type]
            row[name] = {
                "cut": round(q.share_cut, 5),
                "after_a_cut": round(q.share_after_a_cut, 5),
                "padding": round(q.share_padding, 5),
                "tokens_lost": 0,  # `quality` fails if a token is in no piece, or in two
            }
        row["whole corpus"] = {k: round(v, 5) for k, v in whole_corpus(lengths, length).items()}
        out[str(length)] = row
    return out


def untied(folder: str) -> dict[str, Any]:
    """Costs of Untie the Knots at 32K: places that are marks, and padding."""
    source = Source(DataOptions.model_validate({"shards": folder, "lanes": 8, "utk": UTK}), "train", 32_768)
    assert source.marks is not None
    lane = Lane(source, 0)
    places = marks = padding = targets = 0
    for _ in range(160):
        p = lane.take()
        assert p is not None
        used = int(np.flatnonzero(p.position_ids == 0)[-1]) or source.length
        ids = p.input_ids[:used]
        places += source.length
        padding += source.length - used
        begins = np.flatnonzero(ids == source.marks.label)
        marks += int((ids >= source.marks.first).sum()) + 6 * len(begins)
        marks += 6 * int(((ids == source.marks.trace) | (ids == source.marks.trace_next)).sum())
        targets += int((p.labels != -100).sum())
    return {
        "marks": round(marks / places, 5),
        "padding": round(padding / places, 5),
        "targets": round(targets / places, 5),
    }


def resume(folder: str) -> dict[str, Any]:
    """Bytes of the state of 64 lanes, and CPU seconds to the first batch: from the start, and after a state."""
    options = DataOptions(shards=folder, lanes=64)

    def first(start: Any) -> tuple[float, Any]:
        begin = time.process_time()
        made = loader(options, "train", 8192, 64, start=start)
        next(iter(made))
        return time.process_time() - begin, made

    fresh, made = first(None)
    iterator = iter(made)
    for _ in range(12):
        next(iterator)
    state = merge([made.state_dict()])
    again, _ = first(state)
    return {
        "bytes": len(json.dumps(state)),
        "lanes": 64,
        "tokens_of_the_first_batch": 64 * 8192,
        "cpu_seconds_from_the_start": round(fresh, 2),
        "cpu_seconds_from_a_state": round(again, 2),
    }


def peak_megabytes(folder: str) -> dict[str, int]:
    """Peak memory of a process with the loader of so many lanes, without the imports."""
    code = (
        "import sys; from model.data.config import DataOptions; from model.data.loader import loader\n"
        "peak = lambda: int(next(x.split()[1] for x in open('/proc/self/status') if x.startswith('VmHWM'))) // 1000\n"
        "before = peak(); lanes = int(sys.argv[2])\n"
        "list(zip(range(lanes // 8 * 4), loader(DataOptions(shards=sys.argv[1], lanes=lanes), 'train', 8192, 8)))\n"
        "print(peak() - before)"
    )
    out = {}
    for lanes in (8, 64):
        run = subprocess.run([sys.executable, "-c", code, folder, str(lanes)], capture_output=True, check=True)
        out[str(lanes)] = int(run.stdout)
    return out


def demo_lengths(folder: str) -> Int64s:
    shards = open_shards(folder)
    parts = [
        shards.table(s, g, ["n_tokens"])["n_tokens"].to_numpy()
        for s in shards.split("train")
        for g in range(s.row_groups)
    ]
    return np.concatenate(parts).astype(np.int64)


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("--made", type=Path, default=Path("out/model_data"), help="folder of the shards to measure on")
    parser.add_argument("--tokens", type=int, default=100_000_000, help="tokens to write there")
    parser.add_argument("--demo", default="out/demo/tokenization", help="shards of the demo")
    args = parser.parse_args()
    pa.set_cpu_count(1)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    datasets.disable_progress_bars()
    if not (args.made / "manifest.json").exists():
        make_shards(args.made, args.tokens)
    folder = str(args.made)
    listed = open_shards(folder).split("train")
    some = min(args.tokens, 24_000_000)
    packed(folder, 2048, 500_000)  # compiles
    half = [{"weights": {"language": {"en": 0.7, "zh": 1.6}}}]
    speed = {
        "row groups to numpy": rate(lambda: unpacked(folder)),
        **{
            f"{method}, {length // 1024}K": rate(lambda m=method, n=length: packed(folder, n, some, packing=m))  # type: ignore[misc]
            for method in packing.METHODS
            for length in LENGTHS
        },
        "best_fit, 8K, fractional rates by language": rate(lambda: packed(folder, 8192, some, mixture=half)),
        "best_fit, 32K, Untie the Knots": rate(lambda: packed(folder, 32_768, some, utk=UTK)),
        "loader, 8K, torch tensors": rate(lambda: batches(folder, some)),
        "datasets streamed, numpy, concatenated": rate(lambda: peer(folder, "numpy")),
        "datasets streamed, lists, concatenated": rate(lambda: peer(folder, "lists")),
    }
    demo = demo_lengths(args.demo)
    made = document_lengths(60_000, 0)
    packages = ("torch", "torchdata", "datasets", "pyarrow", "numpy", "numba")
    machine.save(
        "model_data",
        {
            "versions": {p: importlib.metadata.version(p) for p in packages},
            "made": {
                "tokens": sum(s.tokens for s in listed),
                "bytes_per_token": round(sum(s.bytes for s in listed) / sum(s.tokens for s in listed), 2),
            },
            "mtok_per_cpu_second": speed,
            "packing": {
                name: {
                    **{
                        "documents": len(x),
                        "tokens": int(x.sum()),
                        "median": int(np.median(x)),
                        "longest": int(x.max()),
                    },
                    "by_length": costs(x),
                }
                for name, x in (("demo", demo), ("log-normal", made))
            },
            "utk": untied(folder),
            "state": resume(folder),
            "peak_megabytes_by_lanes": peak_megabytes(folder),
        },
    )


if __name__ == "__main__":
    main()
