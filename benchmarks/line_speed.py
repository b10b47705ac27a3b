"""Bytes to text by the engine `lines` and by trafilatura, in a process of nothing else: `python
benchmarks/line_speed.py [--data DIR]`.

WCXB-dev and zh-gold, decoding counted for both, CPU seconds; the engine's is the fastest of three passes,
trafilatura (its defaults) has
one.
"""

from __future__ import annotations

import logging
import time

import machine
import numpy as np
import trafilatura

from classifiers.clutter.pages import read_bytes
from extraction import extract
from extraction.decode import decode

PASSES = 3


def main() -> None:
    parser = machine.parser(__doc__, data="folder that holds html/")
    data = parser.parse_args().data
    logging.disable(logging.CRITICAL)
    pages = [page for name in ("wcxb-dev", "zh-gold") for page in read_bytes(data / "html" / f"{name}.warc.gz")]
    extract(b"<p>load")

    def ours(body: bytes, declared: str | None) -> None:
        extract(body, charset=declared)

    def theirs(body: bytes, declared: str | None) -> None:
        trafilatura.extract(decode(body, declared).text)

    result: dict[str, object] = {"pages": len(pages), "bytes": sum(len(body) for _, body, _ in pages)}
    sums = {}
    for name, call, passes in (("lines", ours, PASSES), ("trafilatura", theirs, 1)):
        best = None
        for _ in range(passes):
            seconds = []
            for _, body, declared in pages:
                start = time.process_time()
                call(body, declared)
                seconds.append(time.process_time() - start)
            if best is None or sum(seconds) < sum(best):
                best = seconds
        values = np.array(best)
        sums[name] = float(values.sum())
        p50, p99 = (round(float(v) * 1000, 2) for v in np.quantile(values, (0.5, 0.99)))
        result[name] = {
            "pages_per_cpu_s": round(len(pages) / sums[name], 1),
            "ms_p50": p50,
            "ms_p99": p99,
            "ms_max": round(float(values.max()) * 1000, 1),
        }
    result["ratio"] = round(sums["trafilatura"] / sums["lines"], 1)
    machine.save("line_speed", result)


if __name__ == "__main__":
    main()
