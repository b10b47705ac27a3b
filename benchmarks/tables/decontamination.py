"""Decontamination: planted items found, clean pages hit, speed."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    ways = list(result["languages"]["en"]["found_of_planted"])
    rows = (
        cells(
            *(language, f"{s['items']:,}", *(f"{s['found_of_planted'][way]:.3f}" for way in ways)),
            *(f"{len(s['clean_pages_dropped'])} of {s['clean_pages']:,}", s["bytes_per_ngram"]),
            *(f"{s['decontaminate_documents_per_cpu_second']:,}", f"{s['pii_documents_per_cpu_second']:,}"),
        )
        for language, s in result["languages"].items()
    )
    way_columns = cells(*(f"found {way}" for way in ways))
    header = f" | items | {way_columns} | clean pages hit | bytes an n-gram | documents/CPU s | pii, documents/CPU s"
    return blocks(table(header, rows), f"Data: {result['data']}.", taken_on(result, "decontamination"))
