"""The table of sites that the step `unsafe_sites` judged: pages, flagged pages, bound, verdict.

    python -m pipeline.inspection.unsafe_sites out/demo/model_based
    python -m pipeline.inspection.unsafe_sites out/demo/model_based --all --out sites.tsv

Review it, and name files of sites in the step's `allow` and `block`.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow.parquet as pq

from pipeline import storage
from pipeline.config import parse
from pipeline.model_based.safety import UnsafeSites
from pipeline.outputs import RUN, require_manifest
from pipeline.strict import UserError


@dataclass(frozen=True)
class Site:
    """A registered domain with all its pages of all generations."""

    domain: str
    pages: int
    flagged: int
    bound: float
    verdict: str | None


def sites(output: str) -> list[Site]:
    """All sites of an output, most flagged pages first. :raises UserError: if the output was made without the step."""
    path = storage.join(output, RUN)
    if not storage.exists(path):
        raise UserError(f"{output!r} is not a finished stage output: it has no {RUN}; run the stage first")
    config = parse(storage.read_json(path)["config"], origin="stored config")
    steps = [(label, s) for label, s in zip(config.labels(), config.steps, strict=True) if isinstance(s, UnsafeSites)]
    if not steps:
        raise UserError(f"{output!r} was made without the step unsafe_sites")
    label, step = steps[0]
    pages: Counter[str] = Counter()
    flagged: Counter[str] = Counter()
    for name in require_manifest(output).state.get(label, []):
        with storage.open_read(storage.join(output, name)) as f:
            for row in pq.read_table(f).to_pylist():
                pages[row["domain"]] += row["pages"]
                flagged[row["domain"]] += row["flagged"]
    found = [
        Site(d, n, flagged[d], step.lower_bound(n, flagged[d]), step.verdict(d, n, flagged[d]))
        for d, n in pages.items()
    ]
    return sorted(found, key=lambda s: (s.verdict is None, -s.flagged, -s.pages, s.domain))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.inspection.unsafe_sites",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("output", help="output folder of the model-based stage")
    parser.add_argument("--all", action="store_true", help="sites without a flagged page too")
    parser.add_argument("--out", help="write the table to this file, tab-separated")
    options = parser.parse_args(arguments)
    try:
        found = sites(options.output)
    except UserError as e:
        print(e, file=sys.stderr)
        return 2
    shown = [s for s in found if options.all or s.flagged or s.verdict]
    rows = [("site", "pages", "flagged", "bound", "verdict")]
    rows += [(s.domain, str(s.pages), str(s.flagged), f"{s.bound:.3f}", s.verdict or "") for s in shown]
    if options.out:
        with storage.open_atomic(options.out) as f:
            f.write("".join("\t".join(row) + "\n" for row in rows).encode())
    else:
        width = max(len(row[0]) for row in rows)
        for row in rows:
            print(f"{row[0]:<{width}} {row[1]:>10} {row[2]:>10} {row[3]:>7}  {row[4]}".rstrip())
    dropped = [s for s in found if s.verdict]
    print(
        f"{len(found):,} sites, {sum(s.flagged > 0 for s in found):,} with flagged pages, {len(dropped):,} dropped "
        f"({sum(s.pages for s in dropped):,} pages)",
        file=sys.stderr,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
