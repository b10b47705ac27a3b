"""A fuzzer with seeds: mutated records, URLs, configs and shards, each case made of its number alone.

    python -m tests.fuzz records:17                       # one case
    python -m tests.fuzz records:0-10000 configs:0-2000   # many

A case raises where a promise does not hold. It runs in a child process (`runner`), which the kernel ends where a case takes too
many CPU seconds, so that a crash or a hang costs this case alone.

The exit code is 1 if a case fails.
"""

from __future__ import annotations

import sys

from tests.fuzz.runner import KINDS, Case, run


def cases_of(text: str) -> list[Case]:
    """Cases that an argument names: `records:17`, `records:0-300` (the second number is left out)."""
    kind, _, seeds = text.partition(":")
    first, _, stop = seeds.partition("-")
    if kind not in KINDS or not first.isdigit() or (stop and not stop.isdigit()):
        raise SystemExit(f"expected KIND:SEED or KIND:FIRST-STOP with a kind of {', '.join(KINDS)}, found {text!r}")
    return [Case(kind, seed) for seed in range(int(first), int(stop or int(first) + 1))]


def main() -> int:
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    cases = [case for text in sys.argv[1:] for case in cases_of(text)]
    failed = 0
    for result in run(cases):
        if result.error is not None:
            failed += 1
            print(f"{result.case}: {result.error.rstrip()}\n", flush=True)
    print(f"{len(cases):,} cases, {failed:,} failed")
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
