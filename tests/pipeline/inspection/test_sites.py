"""The report on the largest sites of an output."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import regex

from pipeline.console.app import main
from pipeline.inspection.sites import (
    LONGEST,
    SAMPLES,
    count,
    largest,
    look,
    merge_counts,
    merge_looks,
    report,
    report_lines,
)
from pipeline.rule_based.site_rules import parse_rules
from pipeline.schema import Document, to_table
from tests.outputs import make_output


def document(number: int, domain: str | None, text: str | None, reason: str | None = None) -> Document:
    return Document(
        doc_id=f"{number:032x}",
        source_file="a",
        url=f"https://{domain}/{number}",
        domain=domain,
        text=text,
        language="en",
        drop_step=None if reason is None else "word_count",
        drop_reason=reason,
    )


def documents() -> list[Document]:
    out = [document(n, "news.cn", f"第{n}条新闻，说的是河流。\n责任编辑：王（某）\n分享") for n in range(10)]
    out += [document(100 + n, "shop.com", f"Shoe {n}\nAdd to cart?\nShare | Save") for n in range(8)]
    out += [document(200 + n, "shop.com", "Add to cart?", "too_few_words") for n in range(3)]
    out += [
        document(300, "shop.com", None, "no_text"),
        document(301, None, "A page without a host"),
        document(302, "a.org", "x"),
    ]
    out += [document(303, "b.org", "y"), document(304, "long.org", "z" * (LONGEST + 1) + "\n" + "twice\ntwice")]
    return out


def test_counts() -> None:
    counts = count(to_table(documents()))
    news = sum(len(d.text or "") for d in documents() if d.domain == "news.cn")
    assert counts["news.cn"] == [10, 10, news, news]
    kept = sum(len(f"Shoe {n}\nAdd to cart?\nShare | Save") for n in range(8))
    assert counts["shop.com"] == [12, 8, kept + 3 * len("Add to cart?"), kept]
    assert set(counts) == {"news.cn", "shop.com", "a.org", "b.org", "long.org"}


def test_largest_sites_are_those_with_the_most_characters_then_by_name() -> None:
    counts = {"b.org": [1, 1, 5, 5], "a.org": [9, 9, 5, 5], "c.org": [1, 0, 7, 0], "d.org": [1, 1, 1, 1]}
    assert largest(counts, 3) == ["c.org", "a.org", "b.org"]
    assert largest(counts, 0) == []


@pytest.mark.parametrize("seed", range(5))
def test_parts_together_are_the_whole(seed: int) -> None:
    docs = documents()
    rng = random.Random(seed)
    rng.shuffle(docs)
    # Lines that a part holds in one document only are not counted in it, so only samples and reasons add up exactly.
    parts = [docs[:11], docs[11:]]
    tables = [to_table(p) for p in parts]
    counts = merge_counts(map(count, tables))
    whole = to_table(docs)
    assert counts == count(whole) == merge_counts([count(t) for t in tables[::-1]])
    domains = largest(counts, 10)
    looks = merge_looks(look(t, domains) for t in tables)
    once = look(whole, domains)
    for domain in domains:
        assert looks[domain]["samples"] == once[domain]["samples"], domain
        assert looks[domain]["reasons"] == once[domain]["reasons"], domain
    assert merge_looks([once]) == once
    assert merge_looks([]) == {}


def test_lines_of_parts_are_added() -> None:
    docs = [d for d in documents() if d.domain == "news.cn"]
    parts = [to_table(docs[:5]), to_table(docs[5:])]
    assert merge_looks(look(t, ["news.cn"]) for t in parts) == look(to_table(docs), ["news.cn"])


def test_only_the_chosen_sites_are_looked_at() -> None:
    assert set(look(to_table(documents()), ["shop.com", "none.org"])) == {"shop.com"}


def test_commonest_lines_reasons_and_samples() -> None:
    table = to_table(documents())
    sites = {s["domain"]: s for s in report(count(table), look(table, largest(count(table), 10)), 10, 2, 0.3)}
    shop = sites["shop.com"]
    assert shop["commonest_lines"] == [
        {"line": "Add to cart?", "documents": 11},
        {"line": "Share | Save", "documents": 8},
    ]
    assert shop["reasons"] == {"word_count: too_few_words": 3, "word_count: no_text": 1}
    assert (shop["documents"], shop["kept"]) == (12, 8)
    assert len(shop["samples"]) == SAMPLES
    assert all(x["url"].startswith("https://shop.com/") and x["text"] for x in shop["samples"])
    assert [c["line"] for c in sites["news.cn"]["commonest_lines"]] == sorted(["分享", "责任编辑：王（某）"])
    assert sites["long.org"]["commonest_lines"] == []  # a line twice in one document is in one document
    assert sites["a.org"]["proposed"] == []


def test_samples_do_not_depend_on_the_order_of_rows() -> None:
    docs = documents()
    samples = [look(to_table(d), ["shop.com"])["shop.com"]["samples"] for d in (docs, docs[::-1], docs[5:] + docs[:5])]
    assert samples[0] == samples[1] == samples[2]


@pytest.mark.parametrize(
    ("holding", "documents", "share", "proposed"),
    [(3, 10, 0.3, True), (2, 4, 0.3, False), (3, 11, 0.3, False), (5, 10, 0.5, True), (4, 10, 0.5, False)],
)
def test_lines_of_many_documents_are_proposed(holding: int, documents: int, share: float, proposed: bool) -> None:
    table = to_table([document(n, "e.com", "分享到：" if n < holding else f"第{n}页") for n in range(documents)])
    (site,) = report(count(table), look(table, ["e.com"]), 1, 10, share)
    assert site["proposed"] == (["分享到："] if proposed else [])


def test_proposals_can_be_loaded_and_match_their_lines() -> None:
    odd = [
        "Share (3) | Save [x]",
        'He said: "yes"',
        "a\\b{2}",
        "# 分享：微信、微博",
        "$1.99 + tax?",
        "- item",
        "100 %: ok",
        "'q'",
    ]
    table = to_table([document(n, "e.com", "\n".join([*odd, f"Page {n}"])) for n in range(5)])
    sites = report(count(table), look(table, ["e.com"]), 5, 20, 0.3)
    lines = report_lines(sites, 20)
    at = next(i for i, line in enumerate(lines) if line.lower().startswith("# proposed"))
    rules = parse_rules("\n".join(lines[at:]), "proposed")
    patterns = rules["e.com"].cut_lines
    assert len(patterns) == len(odd)
    for line in odd:
        assert sum(bool(regex.fullmatch(p, line)) for p in patterns) == 1, line


def test_report_without_proposals_has_none() -> None:
    table = to_table([document(1, "e.com", "一页")])
    lines = report_lines(report(count(table), look(table, ["e.com"]), 5, 5, 0.3), 5)
    assert not any("proposed" in line.lower() for line in lines)
    assert lines[1].split() == ["e.com", "1", "100%", "2"]


def test_command_prints_and_writes_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, path = (
        make_output(tmp_path / "out", [documents()[:12], documents()[12:]], audit=False),
        tmp_path / "sites.json",
    )
    assert main(["sites", output, "--top", "2", "--lines", "1", "--out", str(path)]) == 0
    printed = capsys.readouterr().out
    sites = json.loads(path.read_text(encoding="utf-8"))
    assert [s["domain"] for s in sites] == largest(count(to_table(documents())), 2)
    assert all(s["domain"] in printed for s in sites)
    assert "a.org" not in printed
    (shop,) = (s for s in sites if s["domain"] == "shop.com")
    assert (shop["documents"], shop["kept"]) == (12, 8)
    assert shop["commonest_lines"] == [{"line": "Add to cart?", "documents": 11}]
    assert main(["sites", output, "--top", "2", "--lines", "1"]) == 0
    assert capsys.readouterr().out == printed
    assert main(["sites", output, "--top", "2", "--lines", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == sites


def test_folder_without_an_output_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sites", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert "is not a finished stage output" in captured.err
    assert captured.err.count("\n") == 1
