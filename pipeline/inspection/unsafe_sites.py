"""The table of sites that the step `unsafe_sites` judged: pages, flagged pages, bound, verdict.

Review it, and name files of sites in the step's `allow` and `block`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow.parquet as pq

from pipeline import storage
from pipeline.config import parse
from pipeline.model_based.safety import UnsafeSites
from pipeline.outputs import read_record, require_manifest
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
    """Judge all sites of an output again, those with most flagged pages first.

    :raises UserError: if the output was made without the step.
    """
    config = parse(read_record(output).config, origin="stored config")
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
    judged = [
        Site(d, n, flagged[d], step.lower_bound(n, flagged[d]), step.verdict(d, n, flagged[d]))
        for d, n in pages.items()
    ]
    return sorted(judged, key=lambda s: (s.verdict is None, -s.flagged, -s.pages, s.domain))


def table(sites: Sequence[Site], everything: bool = False) -> list[tuple[str, ...]]:
    """A header and a row a site that has flagged pages or a verdict. :param everything: the other sites too."""
    shown = [s for s in sites if everything or s.flagged or s.verdict]
    rows = [(s.domain, str(s.pages), str(s.flagged), f"{s.bound:.3f}", s.verdict or "") for s in shown]
    return [("site", "pages", "flagged", "bound", "verdict"), *rows]


def summary(sites: Sequence[Site]) -> str:
    """The sites in one line: how many, flagged, dropped."""
    dropped = [s for s in sites if s.verdict]
    return (
        f"{len(sites):,} sites, {sum(s.flagged > 0 for s in sites):,} with flagged pages, {len(dropped):,} dropped "
        f"({sum(s.pages for s in dropped):,} pages)"
    )
