"""Bytes to text by the engine `lines` and by trafilatura: `python benchmarks/line_speed.py [--data DIR]`.

WCXB-dev with zh-gold, and the news pages of aed-424. CPU seconds, decoding counted for both. The two take turns, page by
page, since the speed of a shared machine changes by the minute: of the engine the fastest of three passes over a page
counts, trafilatura (its defaults) has one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import machine
import numpy as np
import trafilatura

from classifiers.clutter.pages import read_bytes
from extraction import extract
from extraction.decode import decode

PASSES = 3
SETS = {"WCXB-dev and zh-gold": ("wcxb-dev", "zh-gold"), "aed-424": ("aed-424",)}

Page = tuple[bytes, str | None]


def ours(body: bytes, declared: str | None) -> None:
    """The engine `lines` with its defaults."""
    extract(body, charset=declared)


def theirs(body: bytes, declared: str | None) -> None:
    """trafilatura with its defaults, on the page decoded as it is here."""
    trafilatura.extract(decode(body, declared).text)


def seconds(call: Callable[[bytes, str | None], None], page: Page) -> float:
    start = time.process_time()
    call(*page)
    return time.process_time() - start


def measured(pages: Sequence[Page]) -> dict[str, Any]:
    """Pages per CPU second, milliseconds a page, and the ratio of the sums."""
    times: dict[str, list[float]] = {"lines": [], "trafilatura": []}
    for page in pages:
        times["lines"].append(min(seconds(ours, page) for _ in range(PASSES)))
        times["trafilatura"].append(seconds(theirs, page))
    out: dict[str, Any] = {"pages": len(pages), "bytes": sum(len(body) for body, _ in pages)}
    for name, values in times.items():
        p50, p99, most = (round(float(v) * 1000, 2) for v in np.quantile(values, (0.5, 0.99, 1)))
        out[name] = {
            "pages_per_cpu_s": round(len(pages) / sum(values), 1),
            "ms_p50": p50,
            "ms_p99": p99,
            "ms_max": most,
        }
    return {**out, "ratio": round(sum(times["trafilatura"]) / sum(times["lines"]), 1)}


def main() -> None:
    parser = machine.parser(__doc__, data="folder that holds html/")
    data = parser.parse_args().data
    logging.disable(logging.CRITICAL)
    extract(b"<p>load")
    trafilatura.extract("<html><body><p>load</p></body></html>")
    result = {}
    for name, sets in SETS.items():
        pages = [(body, charset) for s in sets for _, body, charset in read_bytes(data / "html" / f"{s}.warc.gz")]
        result[name] = measured(pages)
        machine.tell(f"{name}: {result[name]['ratio']} times")
    machine.save("line_speed", {"sets": result})


if __name__ == "__main__":
    main()
