"""Data of a report on a stage's output: exact counts from the run record, all else from the documents.

Of a large output whole files are read, chosen by hash, until `max_rows` rows are reached: files follow the crawl's, so they are
a fair sample of it, and what the driver holds stays bounded (about 1 kB a row while it reads). Text is read of samples alone.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from extraction.result import SCALE
from pipeline import storage
from pipeline.config import StageConfig, parse
from pipeline.lines import MarkedLine, marked_lines
from pipeline.outputs import PublishedFile, RunRecord, read_documents, read_record, read_run_records, require_manifest
from pipeline.preparation.language import Language
from pipeline.schema import Document, from_table
from pipeline.steps import Rule, bound
from pipeline.strict import UserError, no_such

MAX_ROWS = 100_000
LARGEST = 20
"""Domains and clusters that are listed."""
CLUSTER_MEMBERS = 3
LEADING_CHARACTERS = 1_200
SHOWN_CHARACTERS = 2_600
LINE_CHARACTERS = 500
COLUMNS = (
    "doc_id",
    "url",
    "domain",
    "language",
    "language_score",
    "category",
    "scores",
    "rule_values",
    "drop_step",
    "drop_reason",
    "duplicate_of",
)
WEB_TYPE = "web_type"
NONE = "(none)"
"""Stands for a language, domain or category that is not known."""


@dataclass(frozen=True)
class Gap:
    """Lines of a sample that are not shown."""

    lines: int


@dataclass(frozen=True)
class Sample:
    """One document, with as much of its text as the page shows."""

    stage: str
    doc_id: str
    url: str | None
    title: str | None
    language: str | None
    domain: str | None
    category: str | None
    kept: bool
    step: str | None
    reason: str | None
    value: str | None
    duplicate_of: str | None
    scores: list[tuple[str, float]]
    """The likeliest label of each classifier, with its probability, 0 to 1."""
    n_tokens: int | None
    copies: int | None
    shown: list[MarkedLine | Gap]
    lines: int
    characters: int


@dataclass
class Histogram:
    """Distribution of the values that a step measured, by language."""

    label: str
    unit: str
    edges: npt.NDArray[np.float64]
    """Shape (bins + 1,)."""
    counts: dict[str, npt.NDArray[np.int64]]
    """By language, shape (bins,)."""
    bounds: list[tuple[float, str]]
    """Thresholds, and whom each is for: `≥ 0.5`, `≥ 50 en`."""
    documents: int
    beyond: int
    """Documents out of bounds."""


@dataclass(frozen=True)
class Cluster:
    """Documents that a step found to be the same as one, which it kept."""

    step: str
    kept: str
    documents: int
    kept_sample: Sample | None
    members: list[Sample]


@dataclass
class StageData:
    """Everything that a report shows of one stage."""

    record: RunRecord
    config: StageConfig
    output: str
    rows: int
    """Rows that were read, of `rows_total`."""
    rows_total: int
    languages: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Documents by (language, `kept` or `dropped`)."""
    domains: Counter[tuple[str, str]] = field(default_factory=Counter)
    categories: Counter[tuple[str, str]] = field(default_factory=Counter)
    web_types: Counter[tuple[str, str]] = field(default_factory=Counter)
    histograms: list[Histogram] = field(default_factory=list)
    cluster_sizes: dict[str, Counter[int]] = field(default_factory=dict)
    """By step, the number of clusters of so many documents."""
    clusters: list[Cluster] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    @property
    def stage(self) -> str:
        return self.record.stage

    @property
    def shards(self) -> dict[str, Any]:
        """Records of the shards' writer in the latest pass; empty before the tokenization stage."""
        notes: dict[str, Any] = self.record.last_pass.notes.get("shards", {})
        return notes

    @property
    def shares(self) -> list[dict[str, Any]]:
        """Shares of the tokens of each axis's values before and after balancing, of the last generation."""
        plans = self.shards.get("plans", {})
        return list(plans[max(plans, key=int)]["shares"]) if plans else []

    @property
    def tokens(self) -> dict[str, Any]:
        """Rows, tokens and bytes of the shards, by split."""
        totals: dict[str, Any] = self.shards.get("totals", {})
        return totals


@dataclass(order=True)
class _Place:
    """The place of a row; ordered by hash, largest first, so that a heap drops the largest."""

    rank: int
    file: int
    row: int


class _Chosen:
    """The `n` rows of the smallest hashes under a seed: the same for any order of rows."""

    def __init__(self, n: int, seed: int) -> None:
        self.n, self.seed = n, seed
        self.heap: list[_Place] = []

    def add(self, doc_id: str, file: int, row: int) -> None:
        place = _Place(-xxhash.xxh3_64_intdigest(doc_id.encode(), self.seed), file, row)
        if len(self.heap) < self.n:
            heapq.heappush(self.heap, place)
        elif self.heap and place > self.heap[0]:
            heapq.heapreplace(self.heap, place)

    def places(self) -> list[tuple[int, int]]:
        return [(p.file, p.row) for p in sorted(self.heap, reverse=True)]


def chosen_files(files: Sequence[PublishedFile], max_rows: int) -> list[PublishedFile]:
    """Files of an output, kept and dropped of the same units, as many as hold `max_rows` rows; by hash of their names."""
    units: dict[str, list[PublishedFile]] = {}
    for f in files:
        units.setdefault(f.path.rsplit("/", 1)[-1], []).append(f)
    chosen: list[PublishedFile] = []
    rows = 0
    for name in sorted(units, key=lambda n: (xxhash.xxh3_64_intdigest(n.encode()), n)):
        if rows >= max_rows:
            break
        chosen += units[name]
        rows += sum(f.rows for f in units[name])
    return sorted(chosen, key=lambda f: f.path)


def read_stage(output: str, seed: int = 0, samples: int = 10, max_rows: int = MAX_ROWS) -> StageData:
    """Read what a report shows of one stage's output.

    :param seed: draws the samples.
    :param samples: kept documents, and dropped ones of each reason, that are shown.
    :raises UserError: if there is no finished output.
    """
    manifest = require_manifest(output)
    record = read_record(output)
    config = parse(record.config, origin="stored config")
    files = chosen_files(manifest.files, max_rows)
    total = sum(f.rows for f in manifest.files)
    data = StageData(record, config, output, sum(f.rows for f in files), total)
    values: dict[str, dict[str, list[npt.NDArray[np.float64]]]] = {}
    draws: dict[tuple[str, str] | None, _Chosen] = {}
    kept_of: dict[str, Counter[str]] = {}
    members: dict[tuple[str, str], _Chosen] = {}
    places_of_kept: dict[str, tuple[int, int]] = {}
    for number, rows, offset in _tables(output, files):
        _count(data, rows)
        _values(values, rows)
        for i, row in enumerate(rows.select(["doc_id", "drop_step", "drop_reason", "duplicate_of"]).to_pylist()):
            key = None if row["drop_step"] is None else (row["drop_step"], row["drop_reason"])
            draws.setdefault(key, _Chosen(samples, seed)).add(row["doc_id"], number, offset + i)
            if row["duplicate_of"] is not None:
                step, original = row["drop_step"], row["duplicate_of"]
                kept_of.setdefault(step, Counter())[original] += 1
                members.setdefault((step, original), _Chosen(CLUSTER_MEMBERS, seed)).add(
                    row["doc_id"], number, offset + i
                )
    data.histograms = _histograms(config, values)
    largest = sorted(
        ((n + 1, step, kept) for step, counts in kept_of.items() for kept, n in counts.items()),
        key=lambda c: (-c[0], c[1], c[2]),
    )[:LARGEST]
    wanted = {kept for _, _, kept in largest}
    if wanted:
        for number, rows, offset in _tables(output, files, ["doc_id"]):
            for i, doc_id in enumerate(rows["doc_id"].to_pylist()):
                if doc_id in wanted:
                    places_of_kept[doc_id] = (number, offset + i)
    places = {p for draw in draws.values() for p in draw.places()}
    places |= {p for _, step, kept in largest for p in members[(step, kept)].places()}
    places |= set(places_of_kept.values())
    docs = _documents(output, files, places)
    for step, counts in kept_of.items():
        data.cluster_sizes[step] = Counter(n + 1 for n in counts.values())
    data.clusters = [
        Cluster(
            step,
            kept,
            n,
            sample_of(docs[places_of_kept[kept]], data.stage) if kept in places_of_kept else None,
            [sample_of(docs[p], data.stage) for p in members[(step, kept)].places()],
        )
        for n, step, kept in largest
    ]
    order = {label: i for i, label in enumerate(record.steps)}
    for key in sorted(draws, key=lambda k: (-1, "") if k is None else (order.get(k[0], len(order)), k[1] or "")):
        data.samples += [sample_of(docs[p], data.stage) for p in draws[key].places()]
    return data


def sampled_rows(
    output: str, where: dict[str, str], kept: bool | None = None, n: int = 3, seed: int = 0, max_rows: int = MAX_ROWS
) -> list[Sample]:
    """Documents of an output, drawn by seed: of each drop reason, and of kept ones, up to `n`.

    :param where: columns of the schema and the values that they must have.
    """
    manifest = require_manifest(output)
    files = chosen_files(manifest.files, max_rows)
    draws: dict[tuple[str, str], _Chosen] = {}
    for number, rows, offset in _tables(
        output, files, [*dict.fromkeys([*where, "doc_id", "drop_step", "drop_reason"])]
    ):
        for i, row in enumerate(rows.to_pylist()):
            if all(row[k] == v for k, v in where.items()) and kept in (None, row["drop_step"] is None):
                key = (row["drop_step"] or "", row["drop_reason"] or "")
                draws.setdefault(key, _Chosen(n, seed)).add(row["doc_id"], number, offset + i)
    docs = _documents(output, files, {p for draw in draws.values() for p in draw.places()})
    return [sample_of(docs[p], manifest.stage) for key in sorted(draws) for p in draws[key].places()]


def no_such_pages(path: str, where: dict[str, str], kept: bool | None = None) -> UserError:
    """Make the error for columns and values that no page has: a value that is unknown is named, with the nearest known one."""
    records = read_run_records(path)
    for column, value in where.items():
        if column.startswith("drop_"):
            counts = Counter[str]()
            for label, count in ((label, c) for record in records.values() for label, c in record.steps.items()):
                counts.update({label: sum(count.dropped.values())} if column == "drop_step" else count.dropped)
            known, listed = [name for name, n in counts.most_common() if n], "there were dropped pages of"
        else:
            tables = (table for output in records for table in read_documents(output, columns=[column]))
            counts = Counter(name for table in tables for name in table[column].to_pylist() if name is not None)
            known, listed = [name for name, _ in counts.most_common()], "there are pages of"
        if value not in known:
            return no_such(column.removeprefix("drop_"), value, known, listed)
    filters = ", ".join(f"{column.removeprefix('drop_')} {value!r}" for column, value in where.items())
    verdict = {True: "kept ", False: "dropped ", None: ""}[kept]
    return UserError(f"no {verdict}page in {path!r}{' has all of: ' if filters else ''}{filters}")


def _tables(
    output: str, files: Sequence[PublishedFile], columns: Sequence[str] = COLUMNS
) -> Iterator[tuple[int, pa.Table, int]]:
    """Read the files piece by piece: number of the file, the rows, number of the first row in its file."""
    for number, f in enumerate(files):
        if not f.rows:
            continue
        with storage.open_read(storage.join(output, f.path)) as source:
            offset = 0
            for batch in pq.ParquetFile(source).iter_batches(batch_size=16_384, columns=list(columns)):
                yield number, pa.Table.from_batches([batch]), offset
                offset += batch.num_rows


def _count(data: StageData, rows: pa.Table) -> None:
    verdicts = ["kept" if step is None else "dropped" for step in rows["drop_step"].to_pylist()]
    for column, counter in (
        ("language", data.languages),
        ("domain", data.domains),
        ("category", data.categories),
    ):
        names = (name or NONE for name in rows[column].to_pylist())
        counter.update(zip(names, verdicts, strict=True))
    likeliest = [likeliest_label(scores, WEB_TYPE) for scores in rows["scores"].to_pylist()]
    data.web_types.update((t, v) for t, v in zip(likeliest, verdicts, strict=True) if t is not None)


def likeliest_label(scores: list[dict[str, Any]] | None, classifier: str) -> str | None:
    """Find the label of a classifier with the highest stored probability; None if it has not judged the document."""
    labels = [(s["score"], s["label"]) for s in scores or () if s["classifier"] == classifier]
    return max(labels)[1] if labels else None


def _values(into: dict[str, dict[str, list[npt.NDArray[np.float64]]]], rows: pa.Table) -> None:
    """Add the values that steps measured, by label and language."""
    languages = np.array([name or NONE for name in rows["language"].to_pylist()], dtype=object)
    scores = rows["language_score"].to_numpy(zero_copy_only=False).astype(np.float64)
    measured: dict[str, tuple[npt.NDArray[Any], npt.NDArray[np.float64]]] = {"language": (languages, scores)}
    column = rows["rule_values"].combine_chunks()
    parents = pa.compute.list_parent_indices(column).to_numpy(zero_copy_only=False)
    flat = pa.compute.list_flatten(column)
    if len(flat):
        names = flat.field("rule").to_numpy(zero_copy_only=False)
        numbers = flat.field("value").to_numpy(zero_copy_only=False).astype(np.float64)
        for name in np.unique(names.astype(str)):
            at = names == name
            measured[str(name)] = (languages[parents[at]], numbers[at])
    for label, (of_values, numbers) in measured.items():
        for language in set(of_values.tolist()):
            finite = numbers[(of_values == language) & np.isfinite(numbers)]
            if len(finite):
                into.setdefault(label, {}).setdefault(language, []).append(finite)


def _histograms(config: StageConfig, values: dict[str, dict[str, list[npt.NDArray[np.float64]]]]) -> list[Histogram]:
    """Make a histogram of each step of this stage that measured one number."""
    histograms = []
    for label, step in zip(config.labels(), config.steps, strict=True):
        if isinstance(step, Rule):
            unit, low, high = step.unit, step.min, step.max
        elif isinstance(step, Language):
            unit, low, high = "score of the language found", {"default": step.min_score}, None
        else:
            continue
        of_label = {k: np.concatenate(v) for k, v in values.get(label, {}).items()}
        if of_label:
            histograms.append(histogram(label, unit, of_label, low, high))
    return histograms


def histogram(
    label: str,
    unit: str,
    values: dict[str, npt.NDArray[np.float64]],
    low: dict[str, float] | None,
    high: dict[str, float] | None,
    bins: int = 30,
) -> Histogram:
    """Count values in equal bins from the smallest to the 99th percentile of all values, stretched to show the bounds; what is
    beyond is counted in the first or last bin.

    :param values: by language, each of shape (documents,).
    :param low, high: bounds by language or `default`.
    """
    bounds = [
        (float(value), f"{sign} {value:g}" + ("" if language == "default" else f" {language}"))
        for sign, limits in (("≥", low), ("≤", high))
        for language, value in (limits or {}).items()
    ]
    beyond = 0
    for language, numbers in values.items():
        least, most = bound(low, language), bound(high, language)
        out = (numbers < (-np.inf if least is None else least)) | (numbers > (np.inf if most is None else most))
        beyond += int(out.sum())
    together = np.concatenate(list(values.values()))
    first = min([float(together.min()), *(b for b, _ in bounds)])
    last = max([float(np.quantile(together, 0.99)), *(b * 1.1 for b, _ in bounds)])
    if not last > first:
        last = first + (abs(first) or 1.0)
    edges = np.linspace(first, last, bins + 1)
    counts = {k: np.histogram(np.clip(v, first, last), edges)[0] for k, v in sorted(values.items())}
    return Histogram(label, unit, edges, counts, bounds, len(together), beyond)


def _documents(
    output: str, files: Sequence[PublishedFile], places: set[tuple[int, int]]
) -> dict[tuple[int, int], Document]:
    """Read whole rows at these places; only the row groups that have one are read."""
    by_file: dict[int, list[int]] = {}
    for file, row in sorted(places):
        by_file.setdefault(file, []).append(row)
    docs: dict[tuple[int, int], Document] = {}
    for number, wanted in by_file.items():
        with storage.open_read(storage.join(output, files[number].path)) as source:
            file = pq.ParquetFile(source)
            start = 0
            for group in range(file.num_row_groups):
                stop = start + file.metadata.row_group(group).num_rows
                here = [r for r in wanted if start <= r < stop]
                if here:
                    rows = file.read_row_group(group).take([r - start for r in here])
                    docs.update(((number, r), d) for r, d in zip(here, from_table(rows), strict=True))
                start = stop
    return docs


def sample_of(doc: Document, stage: str) -> Sample:
    """Make the sample of a document: as much of it as is shown."""
    lines = marked_lines(doc) if doc.text is not None else []
    scores: dict[str, tuple[float, str]] = {}
    for s in doc.scores or ():
        score = s["score"] / SCALE
        if score > scores.get(s["classifier"], (-math.inf, ""))[0]:
            scores[s["classifier"]] = (score, s["label"])
    return Sample(
        stage=stage,
        doc_id=doc.doc_id,
        url=doc.url,
        title=doc.title,
        language=doc.language,
        domain=doc.domain,
        category=doc.category,
        kept=not doc.is_dropped,
        step=doc.drop_step,
        reason=doc.drop_reason,
        value=doc.drop_value,
        duplicate_of=doc.duplicate_of,
        scores=[
            (name if label == "good" else f"{name} {label}", score) for name, (score, label) in sorted(scores.items())
        ],
        n_tokens=doc.n_tokens,
        copies=doc.copies,
        shown=shortened(lines),
        lines=len(lines),
        characters=sum(len(line.text) for line in lines),
    )


def shortened(lines: Sequence[MarkedLine]) -> list[MarkedLine | Gap]:
    """The beginning of a text, and every line that was cut with its neighbours, as far as `SHOWN_CHARACTERS` go."""
    wanted: list[int] = []
    size = 0
    for i, line in enumerate(lines):
        if size >= LEADING_CHARACTERS:
            break
        wanted.append(i)
        size += min(len(line.text), LINE_CHARACTERS)
    seen = set(wanted)
    for i, line in enumerate(lines):
        if line.cut_by is None:
            continue
        for j in (i - 1, i, i + 1):
            if 0 <= j < len(lines) and j not in seen and size < SHOWN_CHARACTERS:
                seen.add(j)
                size += min(len(lines[j].text), LINE_CHARACTERS)
    shown: list[MarkedLine | Gap] = []
    last = -1
    for i in [*sorted(seen), len(lines)]:
        if i > last + 1:
            shown.append(Gap(i - last - 1))
        if i < len(lines):
            line = lines[i]
            short = line.text if len(line.text) <= LINE_CHARACTERS else line.text[:LINE_CHARACTERS] + " …"
            shown.append(MarkedLine(short, line.cut_by, line.score))
        last = i
    return shown
