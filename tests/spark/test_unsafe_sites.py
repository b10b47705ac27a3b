"""Unsafe sites: counted over all pages of a site, the same for any partitioning, and nothing published is revoked."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline.console.app import main
from pipeline.inspection import unsafe_sites
from pipeline.model_based.safety import UnsafeSites
from pipeline.model_based.scoring import of_classifier
from pipeline.schema import from_table
from tests.spark.helpers import prepared, reasons, rows, run, stage_config

SAFE = "The parish council met on Tuesday to hear how the repair of the bridge goes, and what it will cost, number {}."
CASINO = (
    "Casino bonus number {}! Play online slots, poker and roulette at the best online casino. "
    "Free spins, jackpots, sports betting."
)
SITES = {"clean": (12, 0), "bad": (12, 9), "small": (3, 3), "mixed": (12, 2), "listed": (6, 0), "reviewed": (8, 8)}
STEPS = [{"step": "safety"}, {"step": "unsafe_sites", "max_page": 1.0}]


def pages(part: int, parts: int) -> list[dict[str, Any]]:
    """Every site's pages dealt out over files, the flagged ones first."""
    made = [
        {"url": f"http://p{i}.{site}.com/{i}", "text": (CASINO if i < flagged else SAFE).format(f"{site} {i}")}
        for site, (n, flagged) in SITES.items()
        for i in range(n)
    ]
    return made[part::parts]


@pytest.fixture(scope="module")
def source(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    return prepared(spark, tmp_path_factory.mktemp("sites"), {f"f{i}": pages(i, 4) for i in range(4)})


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("lists")
    (folder / "allow").write_text("reviewed.com\n")
    (folder / "block").write_text("listed.com\n")
    return {"allow": [str(folder / "allow")], "block": [str(folder / "block")]}


def dropped(output: Path) -> dict[str, str]:
    return {d.doc_id: d.drop_reason for d in from_table(rows(output)) if d.drop_reason}


def test_sites_are_judged_by_all_their_pages(
    spark: Any, source: str, lists: dict[str, list[str]], tmp_path: Path, capsys: Any
) -> None:
    steps = [STEPS[0], STEPS[1] | lists]
    output = tmp_path / "out"
    record = run(stage_config("model_based", [source], output, steps=steps), spark)
    docs = from_table(rows(output))
    flagged = Counter(d.domain for d in docs if 1 - of_classifier(d, "safety")["safe"] >= 0.5)
    assert flagged == {f"{site}.com": n for site, (_, n) in SITES.items() if n}
    gone = Counter((d.domain, d.drop_reason) for d in docs if d.drop_reason)
    assert gone == {("bad.com", "unsafe_site"): 12, ("listed.com", "listed_site"): 6}
    assert reasons(record, "unsafe_sites") == {"unsafe_site": 12, "listed_site": 6}
    (value,) = {d.drop_value for d in docs if d.domain == "bad.com"}
    bound = UnsafeSites().lower_bound(12, 9)
    assert value == f"{bound:.3f}: 9 of 12 pages"

    assert main(["unsafe-sites", str(output)]) == 0
    printed = capsys.readouterr()
    table = [line.split() for line in printed.out.splitlines()]
    assert table[0] == ["site", "pages", "flagged", "bound", "verdict"]
    assert ["bad.com", "12", "9", f"{bound:.3f}", "unsafe_site"] in table
    assert ["mixed.com", "12", "2", f"{UnsafeSites().lower_bound(12, 2):.3f}"] in table
    assert not any(row[0] == "clean.com" for row in table)
    assert "6 sites, 4 with flagged pages, 2 dropped (18 pages)" in printed.err
    assert main(["unsafe-sites", str(output), "--all", "--out", str(tmp_path / "sites.tsv")]) == 0
    assert "clean.com\t12\t0\t" in (tmp_path / "sites.tsv").read_text()


def test_any_partitioning_gives_the_same(spark: Any, source: str, tmp_path: Path) -> None:
    one = stage_config("model_based", [source], tmp_path / "one", steps=STEPS, spark={"partitions": 1})
    many = stage_config(
        "model_based", [source], tmp_path / "many", steps=STEPS, spark={"partitions": 7}, run={"unit_records": 3}
    )
    run(one, spark)
    run(many, spark)
    assert dropped(tmp_path / "one") == dropped(tmp_path / "many") != {}
    assert rows(tmp_path / "one", without=("file_no", "row_no")).equals(
        rows(tmp_path / "many", without=("file_no", "row_no"))
    )


def test_later_files_revoke_nothing(spark: Any, tmp_path: Path) -> None:
    """A site that turns bad with the second file: its first pages stay, its later ones are judged by all that is known then."""
    first = [{"url": f"http://turns.com/{i}", "text": SAFE.format(i)} for i in range(6)]
    second = [{"url": f"http://turns.com/x{i}", "text": CASINO.format(i)} for i in range(20)]
    source = prepared(spark, tmp_path, {"a": first})
    output = tmp_path / "out"
    run(stage_config("model_based", [source], output, steps=STEPS), spark)
    assert dropped(output) == {}
    before = {d.doc_id for d in from_table(rows(output, "kept"))}
    config = stage_config("preparation", [str(tmp_path / f"{n}.jsonl") for n in "ab"], source, steps=[],
                          output={"file_characters": 1})  # fmt: skip
    (tmp_path / "b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in second))
    run(config, spark)
    run(stage_config("model_based", [source], output, steps=STEPS), spark)
    kept = {d.doc_id for d in from_table(rows(output, "kept"))}
    assert kept == before
    assert set(dropped(output).values()) == {"unsafe_site"}
    (site,) = unsafe_sites.sites(str(output))
    assert (site.domain, site.pages, site.flagged, site.verdict) == ("turns.com", 26, 20, "unsafe_site")


def test_single_pages_go_over_their_own_bound(spark: Any, source: str, tmp_path: Path) -> None:
    steps = [STEPS[0], {"step": "unsafe_sites", "min_pages": 1000, "max_page": 0.5}]
    record = run(stage_config("model_based", [source], tmp_path / "out", steps=steps), spark)
    assert reasons(record, "unsafe_sites") == {"gambling": sum(flagged for _, flagged in SITES.values())}


def test_an_output_without_the_step_says_so(spark: Any, source: str, tmp_path: Path, capsys: Any) -> None:
    run(stage_config("model_based", [source], tmp_path / "out", steps=[{"step": "safety"}]), spark)
    assert main(["unsafe-sites", str(tmp_path / "out")]) == 2
    assert "without the step unsafe_sites" in capsys.readouterr().err
