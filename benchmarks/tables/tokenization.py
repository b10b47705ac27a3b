"""Tokenization: encoding beside tiktoken, and formats of shards."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    encoding = (
        cells(
            *(
                language,
                f"{e['mb_per_cpu_second']:.1f}",
                f"{e['tokens_per_cpu_second']:,}",
                f"{e['bytes_per_token']:.2f}",
            ),
            *(f"{e['pages_equal_to_tiktoken']:,} of {e['pages']:,}", f"{e['tiktoken_mb_per_cpu_second']:.1f}"),
        )
        for language, e in result["encode"].items()
    )
    formats = (
        cells(name, f"{s['bytes_per_token']:.2f}", s["read_mtok_per_cpu_second"], s["write_mtok_per_cpu_second"])
        for name, s in result["shards"].items()
        if isinstance(s, dict)
    )
    header = "encoding | MB/CPU s | tokens/CPU s | bytes a token | pages equal to tiktoken | tiktoken MB/CPU s"
    return blocks(
        table(header, encoding),
        table("shard format | bytes a token | read, Mtok/CPU s | write, Mtok/CPU s", formats),
        taken_on(result, "tokenization"),
    )
