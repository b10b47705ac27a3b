"""The stage on other inputs than WARC: the same pages give the same text."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from pipeline.readers.inputs import InputOptions, read_records
from tests.conftest import SAMPLE
from tests.spark.helpers import reasons, rows, run, stage_config

CRAWL = SAMPLE / "pages" / "wcxb-listing.warc.gz"


def pages() -> list[dict[str, Any]]:
    records = read_records(str(CRAWL), InputOptions(), skipped=Counter())
    return [{"url": r.doc.url, "html": r.doc.html.decode(), "n": i} for i, r in enumerate(records) if r.doc.html]


def texts(output: Path) -> dict[str, str]:
    table = rows(output, "kept")
    return dict(zip(table["url"].to_pylist(), table["text"].to_pylist(), strict=True))


def test_jsonl_parquet_and_warc_give_the_same_text(spark: Any, tmp_path: Path) -> None:
    run(stage_config("preparation", [str(CRAWL)], tmp_path / "warc"), spark)
    lines = "".join(json.dumps(p, ensure_ascii=False) + "\n" for p in pages()).encode()
    broken = b'{"url": "http://example.com/broken", "html": \n{"url": "http://example.com/empty"}\n[1]\n'
    (tmp_path / "pages.jsonl.zst").write_bytes(zstandard.compress(lines + broken))
    pq.write_table(pa.Table.from_pylist(pages()), tmp_path / "pages.parquet", row_group_size=5)
    for name in ("pages.jsonl.zst", "pages.parquet"):
        output = tmp_path / name.rsplit(".", 1)[-1]
        record = run(stage_config("preparation", [str(tmp_path / name)], output, run={"unit_records": 4}), spark)
        assert texts(output) == texts(tmp_path / "warc")
        bad = record["passes"][0]["steps"]["read"]["dropped"]
        assert bad == ({"bad_row": 3} if name.endswith("zst") else {})


def test_rows_that_bring_their_text_need_no_extraction(spark: Any, tmp_path: Path) -> None:
    run(stage_config("preparation", [str(CRAWL)], tmp_path / "warc"), spark)
    given = texts(tmp_path / "warc")
    with gzip.open(tmp_path / "texts.jsonl.gz", "wt", encoding="utf-8") as f:
        for url, text in given.items():
            f.write(json.dumps({"url": url, "text": text + "\r\n\x00"}, ensure_ascii=False) + "\n")
    run(stage_config("preparation", [str(tmp_path / "texts.jsonl.gz")], tmp_path / "out"), spark)
    assert texts(tmp_path / "out") == given


def test_list_file_of_paths(spark: Any, tmp_path: Path) -> None:
    (tmp_path / "warc.paths").write_text("pages/wcxb-listing.warc.gz\nodd/whirlwind.warc.wet.gz\n")
    options: dict[str, Any] = {"input": {"list_prefix": f"{SAMPLE}/"}}
    record = run(stage_config("preparation", [str(tmp_path / "warc.paths")], tmp_path / "out", **options), spark)
    assert len(record["passes"][0]["inputs"]) == 2
    assert "conversion" in rows(tmp_path / "out")["record_type"].to_pylist()


def test_of_several_captures_the_newest_stays(spark: Any, tmp_path: Path) -> None:
    """By canonical URL, within a generation; what an earlier generation published is not revoked."""
    page = pages()[0]["html"]
    steps = [{"step": "record_filter"}, {"step": "capture_dedup"}, {"step": "extract_text", "isolate": False}]

    def write(name: str, captures: list[tuple[str, str | None]]) -> str:
        rows_of_file = [{"url": u, "crawl_time": t, "html": f"{page}<!-- {u} {t} -->"} for u, t in captures]
        (tmp_path / name).write_text("".join(json.dumps(r) + "\n" for r in rows_of_file))
        return str(tmp_path / name)

    first = write(
        "a.jsonl",
        [
            ("http://example.com/a", "2024-01-01T00:00:00Z"),
            ("https://EXAMPLE.com:443/a#part", "2025-01-01T00:00:00Z"),
            ("http://example.com/a", None),
            ("http://example.com/b", "2020-01-01T00:00:00Z"),
        ],
    )
    run(stage_config("preparation", [first], tmp_path / "out", steps=steps), spark)
    kept = [r["url"] for r in rows(tmp_path / "out", "kept").to_pylist()]
    assert kept == ["https://EXAMPLE.com:443/a#part", "http://example.com/b"]
    newer = write("b.jsonl", [("http://example.com/a", "2026-01-01T00:00:00Z"), ("http://example.com/c", None)])
    record = run(stage_config("preparation", [first, newer], tmp_path / "out", steps=steps), spark)
    assert [r["url"] for r in rows(tmp_path / "out", "kept").to_pylist()] == [*kept, "http://example.com/c"]
    assert reasons(record, "capture_dedup") == {"older_capture": 3}


def test_dropped_text_is_stored_as_asked(spark: Any, tmp_path: Path) -> None:
    steps = [{"step": "extract_text", "isolate": False}, {"step": "language", "languages": ["zh"]}]
    stored = {}
    for policy in ("full", "sample", "none"):
        options: dict[str, Any] = {"output": {"dropped_text": policy, "dropped_text_share": 0.5}, "steps": steps}
        run(stage_config("preparation", [str(CRAWL)], tmp_path / policy, **options), spark)
        dropped = rows(tmp_path / policy, "dropped").filter(pa.compute.field("drop_step") == "language").to_pylist()
        stored[policy] = {r["doc_id"]: r["text"] for r in dropped}
        assert all((r["line_tags"] is None) == (r["text"] is None) for r in dropped)
        assert all(r["url"] and r["drop_value"] for r in dropped)
    assert len(stored["full"]) == len(stored["none"]) == len(stored["sample"]) > 10
    assert all(stored["full"].values())
    assert not any(stored["none"].values())
    some = {k: v for k, v in stored["sample"].items() if v is not None}
    assert 0 < len(some) < len(stored["full"])
    assert all(stored["full"][k] == v for k, v in some.items())
