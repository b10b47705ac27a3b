"""A fuzzer with seeds: mutated records, URLs, configs and shards, each case made of its number alone.

    python -m tests.fuzz records:17                       # one case
    python -m tests.fuzz records:0-10000 configs:0-2000   # many

A case raises where a promise does not hold. It runs in a child process (`runner`), which the kernel ends where a case takes too
many CPU seconds, so that a crash or a hang costs this case alone.
"""
