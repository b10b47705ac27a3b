"""From crawl files to shards: all stages on all sample pages."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.console.app import main
from pipeline.inspection import rules
from pipeline.inspection.funnel import funnel_lines
from pipeline.inspection.whatif import outcome
from pipeline.model_based.scoring import of_classifier
from pipeline.outputs import read_all, read_manifest, read_run_records
from pipeline.readers.inputs import InputOptions, read_records
from pipeline.schema import from_table
from pipeline.spark.removal import remove_from_output
from pipeline.stage import STAGES
from pipeline.tokenization.shards import read_manifest as read_shard_manifest
from pipeline.tokenization.shards import read_shards, shard_tokenizer, verify
from scripts import golden
from tests.conftest import SAMPLE
from tests.spark.helpers import EARLIER, ROOT, reasons, rows, run, run_chain, stage_config


def texts(chain: Path) -> dict[str, str]:
    table = read_all(str(chain / "model_based"), "kept", ["doc_id", "text"])
    return dict(zip(table["doc_id"].to_pylist(), table["text"].to_pylist(), strict=True))


def decoded(folder: Path, tables: Any) -> dict[tuple[str, int], str]:
    """Text of each document and copy, its parts joined."""
    tokenizer = shard_tokenizer(str(folder), read_shard_manifest(str(folder)))
    parts: dict[tuple[str, int], dict[int, str]] = {}
    for table in tables:
        for row in table.select(["doc_id", "copy", "part", "input_ids"]).to_pylist():
            assert row["input_ids"][-1] == tokenizer.eod_id
            text = tokenizer.decode(row["input_ids"][:-1])
            parts.setdefault((row["doc_id"], row["copy"]), {})[row["part"]] = text
    return {key: "".join(p[i] for i in sorted(p)) for key, p in parts.items()}


def test_each_stage_takes_over_what_the_last_one_kept(chain: Path) -> None:
    for stage, before in EARLIER.items():
        record = json.loads((chain / stage / "_run.json").read_text())
        (one,) = record["passes"]
        kept = read_all(str(chain / before), "kept").num_rows
        assert one["rows_in"] == kept == one["kept"] + one["dropped"] > 100
        assert (chain / stage / "_SUCCESS").exists()


def test_shards_decode_to_the_text_of_every_kept_document(chain: Path) -> None:
    folder = chain / "tokenization"
    manifest = verify(str(folder))
    written = {
        k: v for split in ("train", "validation") for k, v in decoded(folder, read_shards(str(folder), split)).items()
    }  # type: ignore[arg-type]
    want = texts(chain)
    copies = dict(zip(*(rows(folder, "kept")[c].to_pylist() for c in ("doc_id", "copies")), strict=True))
    dropped = set(rows(folder, "dropped")["doc_id"].to_pylist())
    assert set(copies) | dropped == set(want)
    assert not set(copies) & dropped
    assert {doc: sum(1 for d, _ in written if d == doc) for doc in copies} == copies
    for (doc_id, _), text in written.items():
        assert text == want[doc_id]
    assert any(pc.any(pc.match_substring_regex(pa.array([t]), "[\u4e00-\u9fff]")).as_py() for t in written.values())
    assert sum(s.tokens for s in manifest.shards) == sum(
        n * c for n, c in zip(*(rows(folder, "kept")[c].to_pylist() for c in ("n_tokens", "copies")), strict=True)
    )


def test_shards_read_with_datasets(chain: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    folder = chain / "tokenization"
    files = [str(folder / s.path) for s in read_shard_manifest(str(folder)).of("train")]
    loaded = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    mine = pa.concat_tables(read_shards(str(folder), "train"))
    assert loaded["doc_id"][:] == mine["doc_id"].to_pylist()
    assert loaded["input_ids"][:] == mine["input_ids"].to_pylist()


def test_mixture_is_planned_stored_and_reached(chain: Path) -> None:
    record = json.loads((chain / "tokenization" / "_run.json").read_text())
    notes = record["passes"][0]["notes"]["shards"]
    plan = notes["plans"]["0"]
    shares = {s["value"]: s for s in plan["shares"] if s["axis"] == "language"}
    assert {k: v["target"] for k, v in shares.items()} == {"en": 0.5, "zh": 0.5}
    reached = notes["totals"]["train"]["language_tokens"]
    expected = {k: v["tokens_after"] for k, v in shares.items()}
    for language, tokens in expected.items():  # whole documents: within a few of them
        assert abs(reached[language] - tokens) < 0.15 * tokens
    assert "copies" in notes["tables"]["0"]


def test_validation_domains_are_not_in_training(chain: Path) -> None:
    folder = str(chain / "tokenization")
    sides = [
        {d for t in read_shards(folder, s, ["domain"]) for d in t["domain"].to_pylist()}
        for s in ("train", "validation")
    ]  # type: ignore[arg-type]
    assert sides[1]
    assert not sides[0] & sides[1]


def test_same_shards_for_any_partitioning(chain: Path, spark: Any, tmp_path: Path) -> None:
    first = read_shard_manifest(str(chain / "tokenization"))
    for partitions in (1, 7):
        output = tmp_path / str(partitions)
        source = [str(chain / "model_based")]
        run(stage_config("tokenization", source, output, spark={"partitions": partitions}), spark)
        assert [(s.path, s.sha256) for s in read_shard_manifest(str(output)).shards] == [
            (s.path, s.sha256) for s in first.shards
        ]


@pytest.mark.long
def test_new_files_reach_the_shards_as_a_generation(spark: Any, sample_inputs: list[str], tmp_path: Path) -> None:
    pages = Path(sample_inputs[0])
    a = [str(pages / "wcxb-article-1.warc.gz"), str(pages / "zh-cwce.warc.gz")]
    b = [str(pages / "wcxb-documentation.warc.gz"), str(pages / "zh-magic-html-article.warc.gz")]
    run_chain(tmp_path, a, spark)
    before = read_shard_manifest(str(tmp_path / "tokenization")).shards
    digests = {p: p.read_bytes() for p in (tmp_path / "tokenization").rglob("shard-*.parquet")}
    run_chain(tmp_path, a + b, spark)
    after = verify(str(tmp_path / "tokenization")).shards
    assert after[: len(before)] == before
    assert {s.generation for s in after[len(before) :]} == {1}
    assert all(p.read_bytes() == content for p, content in digests.items())
    for stage in STAGES:
        manifest = read_manifest(str(tmp_path / stage))
        assert manifest is not None
        assert manifest.generations == 2
        assert {f.generation for f in manifest.files} == {0, 1}
    # Made again in one pass, with the generations that the files were given: the same rows, plans and shards.
    for stage, source in (("preparation", a + b), ("tokenization", [str(tmp_path / "model_based")])):
        once = tmp_path / "once" / stage
        shutil.copytree(tmp_path / stage, once)
        record = run(stage_config(stage, source, once, run={"overwrite": True}), spark)
        assert record["passes"][0]["generations"] == [0, 1]
        assert rows(once).equals(rows(tmp_path / stage))
    assert {(s.path, s.sha256) for s in verify(str(tmp_path / "once" / "tokenization")).shards} == {
        (s.path, s.sha256) for s in after
    }


def test_explain_tells_what_the_output_says(chain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepared = rows(chain / "preparation").to_pylist()
    tokens = {r["doc_id"]: r for r in rows(chain / "tokenization").to_pylist()}
    seen = set()
    for row in prepared:
        key = (row["drop_step"], row["drop_reason"])
        if key in seen or row["drop_step"] == "read" or (row["drop_step"] is None and row["doc_id"] not in tokens):
            continue
        seen.add(key)
        assert main(["explain", str(chain), row["doc_id"]]) == 0
        out = capsys.readouterr().out
        if row["drop_step"] in ("record_dedup",):
            continue  # two rows have this doc_id; the kept one is shown
        if row["drop_step"] is None:
            end = "dropped by shards" if tokens[row["doc_id"]]["drop_step"] else "kept"
            assert f"verdict: {end}" in out
            assert "tokenization" in out
        else:
            assert f"DROPPED {row['drop_reason']}" in out
            assert f"verdict: dropped by {row['drop_step']}" in out
            if row["duplicate_of"]:
                assert f"same as {row['duplicate_of']}" in out
    assert (None, None) in seen
    assert len(seen) > 8


def test_explain_takes_a_file_and_a_url(chain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = rows(chain / "preparation", "kept").to_pylist()[0]["url"]
    assert main(["explain", str(chain), url, "--text"]) == 0
    assert url in capsys.readouterr().out
    page = tmp_path / "page.html"
    first = next(read_records(str(SAMPLE / "pages/zh-cwce.warc.gz"), InputOptions(), skipped=Counter()))
    assert first.doc.html is not None
    page.write_bytes(first.doc.html)
    config = str(Path(__file__).resolve().parents[2] / "configs" / "preparation.yaml")
    assert main(["explain", str(page), "--config", config]) == 0
    out = capsys.readouterr().out
    assert "language zh" in out
    assert "verdict: kept" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.html", "--config", "configs/preparation.yaml"], "cannot read 'missing.html': No such file"),
        (["README.md"], "--config is needed to explain a file"),
        (["README.md", "--config", "configs/nothing.yaml"], "cannot read config 'configs/nothing.yaml': No such file"),
        (["out-of-nowhere", "https://example.org/"], "no _run.json here nor in preparation"),
    ],
)
def test_explain_says_what_to_do(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    assert main(["explain", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.long
def test_removal_list_is_honoured_by_every_stage(
    chain: Path, spark: Any, sample_inputs: list[str], tmp_path: Path
) -> None:
    kept = rows(chain / "tokenization", "kept").to_pylist()
    victims = {"doc_id": kept[0], "url": kept[1], "domain": kept[2]}
    lines = [kept[0]["doc_id"], f"url:{kept[1]['url']}", f"domain:{kept[2]['domain']}"]
    removals = tmp_path / "removals.txt"
    removals.write_text("# taken down\n" + "\n".join(lines) + "\n")
    for stage in STAGES:
        source = sample_inputs if stage == "preparation" else [str(chain / EARLIER[stage])]
        record = run(stage_config(stage, source, tmp_path / stage, removal_lists=[str(removals)]), spark)
        assert reasons(record, "removal") == {"removed": sum(reasons(record, "removal").values())}
        removed = {r["doc_id"]: r for r in rows(tmp_path / stage, "dropped").to_pylist() if r["drop_step"] == "removal"}
        assert {v["doc_id"] for v in victims.values()} <= set(removed), stage
        assert all(
            r["domain"] == kept[2]["domain"] or r["doc_id"] in {kept[0]["doc_id"], kept[1]["doc_id"]}
            for r in removed.values()
        )
        assert record["passes"][0]["removal_lists"]


def test_removal_list_is_applied_to_finished_outputs_and_shards(chain: Path, spark: Any, tmp_path: Path) -> None:
    outputs = {s: tmp_path / s for s in STAGES}
    for stage, folder in outputs.items():
        shutil.copytree(chain / stage, folder)
    before = rows(outputs["tokenization"], "kept").to_pylist()
    victim, other = before[0], before[-1]["domain"]
    gone = {r["doc_id"] for r in before if r["domain"] == other} | {victim["doc_id"]}
    removals = tmp_path / "removals.txt"
    removals.write_text(f"{victim['doc_id']}\n{other}\n")
    for stage, folder in outputs.items():
        total = rows(folder).num_rows
        removed = remove_from_output(spark, str(folder), [str(removals)])
        assert removed["kept"] >= len(gone), stage
        assert rows(folder).num_rows == total
        left = {r["doc_id"]: r for r in rows(folder).to_pylist()}
        for doc_id in gone:
            assert left[doc_id]["drop_step"] == "removal"
            assert left[doc_id]["text"] is None
        on_disk = {str(p.relative_to(folder)) for p in (folder / "documents").rglob("*.parquet")}
        manifest = read_manifest(str(folder))
        assert manifest is not None
        assert on_disk == {f.path for f in manifest.files}
        for p in on_disk:
            assert not gone & set(
                pq.read_table(folder / p, columns=["doc_id", "text"]).drop_null()["doc_id"].to_pylist()
            )
        assert remove_from_output(spark, str(folder), [str(removals)]) == {"kept": 0, "dropped": 0, "shards": 0}
    folder = outputs["tokenization"]
    shards = verify(str(folder))
    assert not gone & {
        d for s in ("train", "validation") for t in read_shards(str(folder), s) for d in t["doc_id"].to_pylist()
    }  # type: ignore[arg-type]
    listed = {str(folder / s.path) for s in shards.shards}
    assert {str(p) for d in ("train", "validation") for p in (folder / d).iterdir()} == listed
    first = read_shard_manifest(str(chain / "tokenization"))
    assert sum(s.rows for s in shards.shards) < sum(s.rows for s in first.shards)


def test_funnel_shows_every_step_and_reason(chain: Path) -> None:
    records = list(read_run_records(str(chain)).values())
    table = "\n".join(funnel_lines(records))
    for record in records:
        assert record.stage in table
        for label, count in record.steps.items():
            assert label in table
            for reason, n in count.dropped.items():
                assert f"{n:,}  {reason}" in table
    assert all(len(line) < 160 for line in table.splitlines())


def test_counts_on_the_sample_are_the_golden_ones_and_the_pages(chain: Path) -> None:
    """A change of behaviour shows as a difference here; `make golden` writes the files anew."""
    assert golden.stale(golden.demo_pages(chain)) == []


def test_every_step_that_acted_on_the_sample_still_does(chain: Path) -> None:
    """Drops rows, cuts lines or masks text. Of a new step nothing is demanded: its examples speak for it."""
    known = json.loads((ROOT / golden.COUNTS).read_text(encoding="utf-8"))["rule_based"]["steps"]
    acted = {k for k, c in golden.counts(chain)["rule_based"]["steps"].items() if c["dropped"]}
    for row in rows(chain / "rule_based").to_pylist():
        acted |= {line["step"] for line in row["removed_lines"] or ()} | {f["step"] for f in row["findings"] or ()}
    cut = {
        "line_dedup",
        "cut_prompts",
        "c4_javascript",
        "c4_policy_lines",
        "cut_unwanted_lines",
        "pii",
        "decontaminate",
    }
    assert {k for k, c in known.items() if c["dropped"]} | cut <= acted


def test_another_bound_on_a_classifier_needs_no_run(chain: Path) -> None:
    """`whatif` on the model-based stage says what the stored scores say, for rows that an earlier step dropped too."""
    output = str(chain / "model_based")
    kept = [(d.language, of_classifier(d, "quality")["good"]) for d in from_table(rows(output, "kept"))]
    predicted = outcome(output, ["steps.quality.min={default: 0.6, zh: 0.9}"])
    assert predicted.kept_before == Counter(language for language, _ in kept)
    assert predicted.kept_after == Counter(k for k, p in kept if p >= (0.9 if k == "zh" else 0.6))
    assert sum(predicted.kept_after.values()) < sum(predicted.kept_before.values())
    anything = outcome(output, ["steps.type_and_quality.min=0", "steps.quality.min=0.2"])
    candidates = [d for d in from_table(rows(output)) if d.drop_step != "semantic_dedup"]
    again = [d for d in candidates if of_classifier(d, "quality")["good"] >= 0.2]
    assert anything.kept_after == Counter(d.language for d in again)
    assert sum(anything.kept_after.values()) > len(kept)


def test_the_report_on_rules_is_of_its_own_stage(chain: Path) -> None:
    reports = rules.report(str(chain / "model_based"))
    assert [r.label for r in reports] == [
        "safety",
        "unsafe_sites",
        "clutter",
        "web_type",
        "quality",
        "type_and_quality",
        "category",
        "semantic_dedup",
    ]
    dropped = {r.label: sum(r.dropped.values()) for r in reports if r.dropped}
    assert dropped == Counter(rows(chain / "model_based", "dropped")["drop_step"].to_pylist())
