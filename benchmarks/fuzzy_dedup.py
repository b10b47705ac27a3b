"""Fuzzy deduplication through Spark: time, peak memory, shuffled bytes, and how many planted duplicates are found.

    python benchmarks/fuzzy_dedup.py [--data DIR] [--documents 10000 100000 1000000] [--keep DIR]

Documents are made of lines of real pages (gold main texts, English and Chinese apart), drawn by seed until a document has the
length of a real one; a quarter are edited copies of an earlier document: lines left out, moved or added, words replaced. Of a
sample of the copies the exact Jaccard similarity to their original is computed, so that what was found can be told by bucket.
The stage is the shipped one with this step alone, `local[2]`; memory is the sum over the JVM and its Python workers of what
each holds for itself (PSS), sampled ten times a second.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import event_log
import machine
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from gold import page_texts

from pipeline import storage
from pipeline.config import SparkConfig, parse
from pipeline.outputs import InputFile, Manifest, PublishedFile, read_documents
from pipeline.progress import Progress
from pipeline.rule_based.fuzzy_dedup import FuzzyDedup
from pipeline.rule_based.minhash import candidate_probability, jaccard
from pipeline.schema import DOCUMENT, Document, to_table
from pipeline.spark.forest import RANKS
from pipeline.spark.fuzzy_dedup import _packed
from pipeline.spark.run import CrossContext, local_cpu_seconds
from pipeline.spark.session import get_session
from pipeline.spark.stages import run_stage
from pipeline.units import Units

FILE_DOCUMENTS = 20_000
COPIES = 0.25
DRIVER_MEMORY = "4g"
CONF = {"spark.driver.memory": DRIVER_MEMORY, "spark.ui.enabled": "false"}


def real_texts(data: Path) -> dict[str, list[str]]:
    """Main texts of real pages by language."""
    texts: dict[str, list[str]] = {"en": [], "zh": []}
    for _, text in page_texts(data):
        language = "zh" if sum("\u4e00" <= c <= "\u9fff" for c in text) > 0.2 * len(text) else "en"
        if len(text) > 500:
            texts[language].append(text)
    return texts


class Maker:
    """Documents by number: the same number gives the same document."""

    def __init__(self, texts: dict[str, list[str]]) -> None:
        self.lines = {k: [line for t in v for line in t.split("\n") if len(line) > 20] for k, v in texts.items()}
        self.lengths = {k: sorted(min(len(t), 20_000) for t in v) for k, v in texts.items()}

    def original(self, i: int) -> list[str]:
        chance = random.Random(i)
        language = "en" if i % 2 else "zh"
        wanted, lines = chance.choice(self.lengths[language]), []
        while wanted > 0:
            line = chance.choice(self.lines[language])
            lines.append(line)
            wanted -= len(line)
        return lines

    def origin(self, i: int) -> int | None:
        """The document that `i` is a copy of."""
        chance = random.Random(-i - 1)
        if i < 100 or chance.random() >= COPIES:
            return None
        j = chance.randrange(i)
        first = self.origin(j)
        return j if first is None else first

    def text(self, i: int) -> str:
        origin = self.origin(i)
        if origin is None:
            return "\n".join(self.original(i))
        lines, chance = self.original(origin), random.Random(i)
        strength = chance.choice([0.0, 0.02, 0.05, 0.1, 0.2])
        edited = []
        for line in lines:
            kind = chance.random()
            if kind < strength * 0.3:
                continue
            if kind < strength * 0.6:
                edited.append(chance.choice(self.lines["en" if origin % 2 else "zh"]))
            edited.append(_reword(line, strength * 0.2, chance))
        if chance.random() < strength and len(edited) > 1:
            cut = chance.randrange(1, len(edited))
            edited = edited[cut:] + edited[:cut]
        return "\n".join(edited or lines)


def _reword(line: str, share: float, chance: random.Random) -> str:
    """The line with a share of its words (or pairs of Chinese characters) replaced."""
    words = line.split(" ") if " " in line else [line[i : i + 2] for i in range(0, len(line), 2)]
    joint = " " if " " in line else ""
    return joint.join(chance.choice(words) if chance.random() < share else w for w in words)


def make_input(maker: Maker, n: int, folder: Path) -> None:
    """A stage output of `n` documents."""
    files = []
    for number, start in enumerate(range(0, n, FILE_DOCUMENTS)):
        name = f"documents/verdict=kept/part-{number:05d}.parquet"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(path, DOCUMENT, compression="zstd") as writer:
            for batch in range(start, min(start + FILE_DOCUMENTS, n), 2000):
                docs = []
                for i in range(batch, min(batch + 2000, start + FILE_DOCUMENTS, n)):
                    text = maker.text(i)
                    doc_id = hashlib.md5(str(i).encode(), usedforsecurity=False).hexdigest()
                    language = "en" if i % 2 else "zh"
                    docs.append(
                        Document(
                            doc_id=doc_id,
                            source_file="made",
                            record_no=i,
                            text=text,
                            language=language,
                            domain=f"d{i % 997}.example",
                        )
                    )
                writer.write_table(to_table(docs).select(DOCUMENT.names))
        rows = min(FILE_DOCUMENTS, n - start)
        files.append(PublishedFile(name, "kept", rows, path.stat().st_size, str(number), 0))
    manifest = Manifest("preparation", {}, [InputFile("made", {}, 0, 0)], files)
    storage.write_json(str(folder / "_manifest.json"), manifest.to_json())


class Memory(threading.Thread):
    """Watches the memory of this process's descendants."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak: Counter[str] = Counter()
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.wait(0.1):
            now: Counter[str] = Counter()
            for pid in _descendants(os.getpid()):
                try:
                    name = "jvm" if "java" in os.readlink(f"/proc/{pid}/exe") else "workers"
                    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                except OSError:
                    continue
                now[name] += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
            now["all"] = sum(now.values())
            self.peak |= now


def _descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in map(int, children):
            yield child
            yield from _descendants(child)


def quality(maker: Maker, output: Path, n: int) -> dict[str, Any]:
    """Exact similarity of sampled copies to the original against what was dropped; and what was dropped wrongly."""
    chosen = [i for i in range(n) if maker.origin(i) is not None]
    chosen = random.Random(0).sample(chosen, min(2000, len(chosen)))
    ids = {hashlib.md5(str(i).encode(), usedforsecurity=False).hexdigest(): i for i in range(n)}
    survivor: dict[int, int] = {}
    for table in read_documents(str(output), "dropped", ["record_no", "duplicate_of"]):
        columns = (table["record_no"].to_pylist(), table["duplicate_of"].to_pylist())
        survivor |= {i: ids[d] for i, d in zip(*columns, strict=True)}

    def similarity(pairs: list[tuple[int, int]]) -> Any:
        hasher = FuzzyDedup().hasher()
        texts = [maker.text(i) for pair in pairs for i in pair]
        flat, offsets, _ = hasher.shingles(texts)
        even = np.arange(0, len(texts), 2)
        return jaccard(flat, offsets, even, even + 1)

    pairs = [(i, maker.origin(i) or 0) for i in chosen]
    exact = similarity(pairs)
    # The later of a pair goes, and which is later is a matter of length.
    recalled = np.array([i in survivor or o in survivor for i, o in pairs])
    edges = [0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0001]
    buckets = {}
    for low, high in itertools.pairwise(edges):
        inside = (exact >= low) & (exact < high)
        if inside.any():
            expected = float(np.mean([candidate_probability(s, 128, 16) for s in exact[inside]]))
            buckets[f"{low:.2f}-{min(high, 1):.2f}"] = {
                "pairs": int(inside.sum()),
                "found": round(float(recalled[inside].mean()), 4),
                "closed_form_of_candidates": round(expected, 4),
            }
    dropped = random.Random(1).sample(sorted(survivor.items()), min(2000, len(survivor)))
    of_dropped = similarity(dropped)
    return {
        "planted_pairs_by_exact_jaccard": buckets,
        "dropped_against_survivor": {
            "sampled": len(dropped),
            "at_least_0.8": round(float((of_dropped >= 0.8).mean()), 4),
            "at_least_0.75": round(float((of_dropped >= 0.75).mean()), 4),
            "least": round(float(of_dropped.min()), 4),
        },
    }


def measure(maker: Maker, n: int, folder: Path) -> dict[str, Any]:
    """One run of the stage over `n` documents."""
    source, output = folder / "in", folder / "out"
    if not (source / "_manifest.json").exists():
        make_input(maker, n, source)
    shutil.rmtree(output, ignore_errors=True)
    shutil.rmtree(folder / "events", ignore_errors=True)
    session = get_session(
        "benchmark",
        SparkConfig(master="local[2]", conf={**CONF, **event_log.conf(folder / "events")}),
    )
    memory = Memory()
    memory.start()
    config = parse(
        {
            "stage": "rule_based",
            "input": {"paths": [str(source)]},
            "output": {"path": str(output), "dropped_text": "none"},
            "steps": [{"step": "fuzzy_dedup"}],
            "run": {"keep_work": False},
        }
    )
    wall, cpu = time.monotonic(), local_cpu_seconds(session)
    said = io.StringIO()
    record = run_stage(config, session, Progress("rule_based", said))
    wall, cpu = time.monotonic() - wall, local_cpu_seconds(session) - cpu
    memory.stop.set()
    memory.join()
    state = sum(p.stat().st_size for p in (output / "_state").rglob("*.parquet"))
    session.stop()
    moved = event_log.totals(folder / "events")
    assert record is not None
    (one,) = record.passes
    step = one.steps["fuzzy_dedup"]
    return {
        "documents": n,
        "mean_characters": round(step.characters_in / n),
        "dropped": step.rows_in - step.kept,
        "wall_seconds": {"stage": round(wall, 1), "messages": said.getvalue().splitlines()},
        "cpu_seconds": {"stage": round(cpu, 1), "fuzzy_dedup": round(step.cpu_seconds, 1)},
        "documents_per_cpu_second": {
            "stage": round(n / cpu),
            "fuzzy_dedup": round(n / step.cpu_seconds),
        },
        "peak_memory_gb": {k: round(v / 1e9, 2) for k, v in sorted(memory.peak.items())},
        "shuffle": {**moved, "bytes_per_document": round(moved["shuffle_bytes"] / n)},
        "state_bytes_per_document": round(state / n),
        "report": {k: v for k, v in one.notes["fuzzy_dedup"].items() if not isinstance(v, list)},
        "quality": quality(maker, output, n),
    }


def signature_pass(maker: Maker, language: str, n: int) -> dict[str, Any]:
    """Documents a CPU second of the pass that reads texts, hashes them and hands entries and sketches to Spark."""
    step = FuzzyDedup()
    with tempfile.TemporaryDirectory() as work:
        sizes: list[int] = []
        ranks: list[dict[str, int]] = []
        for file_no in range(8):
            numbers = [2 * (file_no * n // 8 + i) + (language == "en") for i in range(n // 8)]
            docs = [
                Document(
                    doc_id=f"{i:032x}",
                    source_file="made",
                    file_no=file_no,
                    row_no=row,
                    text="\n".join(maker.original(i)),
                )
                for row, i in enumerate(numbers)
            ]
            pq.write_table(to_table(docs), f"{work}/{file_no}.parquet", compression="zstd")
            sizes.append(len(docs))
            ranks += [{"file_no": file_no, "row_no": row, "rank": len(ranks) + row} for row in range(len(docs))]
        os.mkdir(f"{work}/ranks")
        pq.write_table(pa.Table.from_pylist(ranks, RANKS), f"{work}/ranks/bucket-000000.parquet")
        session = get_session("benchmark", SparkConfig(master="local[2]", conf=CONF))
        seconds = 0.0
        units = Units.made(sizes, [f"{i}.parquet" for i in range(8)])
        for chosen in (units.take(np.arange(2)), units):  # the first round starts the workers and compiles
            context = CrossContext(session, "fuzzy_dedup", work, chosen, {}, [], None)
            began = local_cpu_seconds(session)
            _packed(step, context, f"{work}/ranks", 16).count()
            seconds = local_cpu_seconds(session) - began
            context.close()
        session.stop()
    return {"documents": n, "documents_per_cpu_second": round(n / seconds)}


def main() -> None:
    parser = machine.parser(__doc__, data="folder of pages", default=machine.data_or_sample())
    parser.add_argument("--documents", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument(
        "--keep", help="a folder for the made documents, to use them again; a temporary one if not given"
    )
    arguments = parser.parse_args()
    os.environ["PYSPARK_PYTHON"] = sys.executable
    texts = real_texts(arguments.data)
    maker = Maker(texts)
    runs = []
    for n in arguments.documents:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(arguments.keep) / str(n) if arguments.keep else Path(scratch)
            runs.append(measure(maker, n, folder))
        print(json.dumps(runs[-1], indent=1, ensure_ascii=False), file=sys.stderr)
    result = {
        "data": f"lines of {len(texts['en'])} English and {len(texts['zh'])} Chinese real pages, {COPIES:.0%} edited copies",
        "spark": f"local[2], driver memory {DRIVER_MEMORY}",
        "signature_pass": {k: signature_pass(maker, k, 16_000) for k in ("en", "zh")},
        "runs": runs,
    }
    machine.save("fuzzy_dedup", result)


if __name__ == "__main__":
    main()
