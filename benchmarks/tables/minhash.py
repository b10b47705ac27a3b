"""MinHash: CPU time by part and beside peers, and pairs found."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    speed = result["speed"]
    cost = [
        *(
            cells(part, *(f"{s['us_per_document'][part]:.1f}" for s in speed.values()))
            for part in speed["English"]["us_per_document"]
        ),
        cells("**documents/CPU s**", *(f"{s['documents_per_cpu_second']:,}" for s in speed.values())),
        *(
            cells(f"{peer}: CPU per document, x ours", *(f"{s['cpu_ratio_to_ours'][peer]:.0f}" for s in speed.values()))
            for peer in speed["English"]["cpu_ratio_to_ours"]
        ),
    ]
    quality = (
        cells(data, way, f"{q['recall']:.4f}", f"{q['precision']:.4f}", q["pairs of 0.8 or more"])
        for data, ways in result["quality"].items()
        for way, q in ways.items()
        if isinstance(q, dict)
    )
    return blocks(
        table(cells("microseconds a document of 5 kB", *speed), cost),
        table("pairs of Jaccard 0.8 and more | by | recall | precision | pairs", quality),
        taken_on(result, "minhash"),
    )
