"""The report, the card and the notebooks, of all stages on all sample pages."""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
import yaml

from pipeline.inspection.report import card, cells
from pipeline.inspection.report.data import Gap, StageData, chosen_files, read_stage, sampled_rows
from pipeline.inspection.report.page import render, write_report
from pipeline.lines import MarkedLine
from pipeline.outputs import read_record, read_run_records, require_manifest
from pipeline.schema import DOCUMENT, from_table
from pipeline.stage import STAGES
from pipeline.strict import UserError
from tests.spark.helpers import ROOT, rows

HOSTILE = '<script>alert("1")</script><img src=x onerror=alert(2)> 你好 & "quotes"'


@pytest.fixture(scope="module")
def stages(chain: Path) -> list[StageData]:
    return [read_stage(str(chain / stage), samples=3) for stage in STAGES]


class Page(HTMLParser):
    """Tags with their attributes, and the visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_report_tells_every_count_and_is_one_file_without_network(chain: Path, stages: list[StageData]) -> None:
    text = render(stages, 0, 3)
    page = Page(text)
    links = {
        (a["data-stage"], a["data-step"], a["data-reason"]) for tag, a in page.tags if tag == "a" and "data-reason" in a
    }
    wanted = set()
    for record in read_run_records(str(chain)).values():
        for label, count in record.steps.items():
            for reason, n in count.dropped.items():
                wanted.add((record.stage, label, reason))
                assert f">{n:,} {reason}</a>" in text
    assert links == wanted
    for tag, attributes in page.tags:
        assert not {"src", "srcset", "xlink:href"} & set(attributes), f"{tag} loads something"
        assert (attributes.get("href") or "#").startswith("#")
        assert tag not in ("link", "iframe", "object", "img", "image")
    styles = re.findall(r"<style>(.*?)</style>", text, re.S) + [a["style"] or "" for _, a in page.tags if "style" in a]
    assert styles
    assert not any("@import" in style or "url(" in style for style in styles)
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert {"funnel", "steps", "languages", "domains", "kinds", "scores", "clusters", "samples", "how"} <= {
        a.get("id") for tag, a in page.tags if tag == "section"
    }
    assert all("NaN" not in (a.get("d") or "") for tag, a in page.tags if tag == "path")


def test_samples_are_of_every_reason_and_drawn_by_seed(chain: Path, stages: list[StageData]) -> None:
    for data in stages:
        dropped = Counter((s.step, s.reason) for s in data.samples if not s.kept)
        published = Counter(
            zip(
                *(rows(chain / data.stage, "dropped")[c].to_pylist() for c in ("drop_step", "drop_reason")), strict=True
            )
        )
        assert dropped == {key: min(n, 3) for key, n in published.items()}
        assert sum(s.kept for s in data.samples) == 3
    again = read_stage(str(chain / "rule_based"), samples=3)
    assert again.samples == stages[1].samples
    assert read_stage(str(chain / "rule_based"), samples=0).samples == []
    other = read_stage(str(chain / "rule_based"), samples=3, seed=1)
    assert [s.doc_id for s in other.samples] != [s.doc_id for s in again.samples]
    cut = [line for s in stages[1].samples for line in s.shown if not isinstance(line, Gap) and line.cut_by]
    assert any(line.cut_by != "extract_text" for line in cut)


def test_numbers_of_a_stage_are_those_of_its_rows(chain: Path, stages: list[StageData]) -> None:
    data = stages[2]
    table = rows(chain / "model_based")
    assert sum(data.languages.values()) == sum(data.domains.values()) == table.num_rows == data.rows == data.rows_total
    kept = [c for c, s in zip(table["category"].to_pylist(), table["drop_step"].to_pylist(), strict=True) if s is None]
    assert {k: n for (k, verdict), n in data.categories.items() if verdict == "kept"} == Counter(kept)
    quality = next(h for h in data.histograms if h.label == "quality")
    assert sum(int(c.sum()) for c in quality.counts.values()) == quality.documents
    assert not quality.bounds  # it only scores; the decision is the next step's
    decision = next(h for h in data.histograms if h.label == "type_and_quality")
    assert [label for _, label in decision.bounds] == ["≥ 1"]
    sizes = data.cluster_sizes["semantic_dedup"]
    lost = sum(step == "semantic_dedup" for step in table["drop_step"].to_pylist())
    assert sum((size - 1) * n for size, n in sizes.items()) == lost > 0
    for cluster in data.clusters:
        assert cluster.kept_sample is not None
        assert all(member.duplicate_of == cluster.kept for member in cluster.members)


def test_text_of_a_page_stays_text(stages: list[StageData]) -> None:
    data = stages[2]
    lines: list[MarkedLine | Gap] = [MarkedLine(HOSTILE, None, 0.5), MarkedLine(HOSTILE, "clutter", 0.1)]
    first = dataclasses.replace(
        data.samples[0], title=HOSTILE, url=HOSTILE, category=HOSTILE, value=HOSTILE, language=HOSTILE, shown=lines
    )
    counts = {"languages": Counter({(HOSTILE, "kept"): 2}), "domains": Counter({(HOSTILE, "dropped"): 1})}
    hostile = dataclasses.replace(data, samples=[first, *data.samples[1:]], **counts)
    page = Page(render([hostile], 0, 3))
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert not any(tag == "img" or "onerror" in a for tag, a in page.tags)
    assert "".join(page.text).count(HOSTILE) >= 6
    shown = cells.pages([first])._repr_html_()
    assert "<script" not in shown
    assert "&lt;script&gt;alert(" in shown


def test_of_a_large_output_some_files_are_read(chain: Path, stages: list[StageData]) -> None:
    part = read_stage(str(chain / "preparation"), samples=3, max_rows=1)
    assert 0 < part.rows <= part.rows_total == 680
    files = chosen_files(
        [dataclasses.replace(f, path=f"{f.path[:-8]}-{i}.parquet") for i in range(9) for f in _files(chain)], 700
    )
    assert {f.verdict for f in files} == {"kept", "dropped"}
    assert 700 <= sum(f.rows for f in files) < 9 * 680


def _files(chain: Path) -> list[object]:
    return list(require_manifest(str(chain / "preparation")).files)


def test_sampled_rows_fit_what_was_asked(chain: Path) -> None:
    samples = sampled_rows(str(chain / "model_based"), {"language": "zh"}, kept=False, n=2)
    assert samples
    assert all(s.language == "zh" and not s.kept for s in samples)
    assert max(Counter((s.step, s.reason) for s in samples).values()) == 2


def test_a_stage_gets_its_report_and_a_card_that_datasets_reads(
    chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    folder = tmp_path / "tokenization"
    shutil.copytree(chain / "tokenization", folder)
    assert write_report(str(folder)) == str(folder / "report.html")
    text = (folder / card.CARD).read_text(encoding="utf-8")
    fields = yaml.safe_load(text.split("---")[1])
    assert set(fields["language"]) == {"en", "zh"}
    assert [c["config_name"] for c in fields["configs"]] == ["shards", "documents"]
    totals = read_record(str(folder)).last_pass.notes["shards"]["totals"]
    assert f"{totals['train']['tokens']:,}" in text
    loaded = datasets.load_dataset(str(folder), "documents", cache_dir=str(tmp_path / "cache"))
    assert {k: v.num_rows for k, v in loaded.items()} == {
        verdict: rows(folder, verdict).num_rows for verdict in ("kept", "dropped")
    }
    shards = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert shards["train"].num_rows == totals["train"]["rows"]


def test_report_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no _run\.json here"):
        write_report(str(tmp_path))


NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_is_stripped_and_says_what_it_answers(path: Path) -> None:
    notebook = nbformat.read(path, 4)
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    assert re.match(r"# .+\?\n\n.{60,}", first.source, re.S)
    for cell in notebook.cells:
        assert cell.cell_type != "code" or (cell.outputs == [] and cell.execution_count is None)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_notebook_runs(path: Path, chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a kernel of its own, on another run than the demo's; every cell that ends in a value shows it."""
    from nbclient import NotebookClient

    monkeypatch.setenv("CORPUSMILL_RUN", str(chain))
    notebook = nbformat.read(path, 4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT / "notebooks")}}).execute()
    outputs = [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]
    assert len([o for o in outputs if o.output_type in ("execute_result", "stream")]) >= 3
    shown = "".join(o.get("data", {}).get("text/html", "") for o in outputs)
    assert "pyspark" not in "".join(cell.source for cell in notebook.cells)
    assert "<table" in shown or "<svg" in shown


def test_a_page_is_shown_beside_its_text(chain: Path) -> None:
    """Its HTML in a frame without scripts or network, every line of its text, cut ones struck through."""
    row = next(d for d in from_table(rows(chain / "preparation", "kept").select(DOCUMENT.names)) if d.removed_lines)
    shown = cells.html_beside_text(str(chain), row.doc_id)._repr_html_()
    page = Page(shown)
    frame = next(a for tag, a in page.tags if tag == "iframe")
    assert frame["sandbox"] == ""
    assert "default-src 'none'" in (frame["srcdoc"] or "")
    seen = "".join(page.text)
    assert all(line in seen for line in (row.text or "").split("\n"))
    assert shown.count("<del") == len(row.removed_lines or ())
    with pytest.raises(UserError, match="is in no output"):
        cells.html_beside_text(str(chain), "0" * 32)


def test_two_pages_side_by_side_mark_what_differs(chain: Path) -> None:
    one, two, *_ = from_table(rows(chain / "preparation", "kept").select(DOCUMENT.names))
    a, b = one.evolve(text="same\nleft <b>\nend"), two.evolve(text="same\nright\nend")
    shown = cells.side_by_side(a, b)._repr_html_()
    assert shown.count("hsl(30") == 1
    assert shown.count("opacity") == 2
    assert "left &lt;b&gt;" in shown
