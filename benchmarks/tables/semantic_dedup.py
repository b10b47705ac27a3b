"""Semantic deduplication: copies found that MinHash misses, paraphrases, and vectors at scale."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on

KINDS = ("reordered", "framed", "rewritten")


def scores(bound: Json) -> str:
    by_kind = (f"{bound['by_kind'][kind]:.3f}" for kind in KINDS)
    return cells(f"{bound['recall']:.3f}", f"{bound['precision']:.3f}", *by_kind)


def render(result: Json) -> str:
    quality = result["quality"]
    measured = {language: quality["measured_on"][language] for language in ("English", "Chinese")}
    sizes = ", ".join(
        f"{n} {kind} {language} ones" for language, m in measured.items() for kind, n in m["copies"].items()
    )
    bounds = (
        cells(f"{language}, cosine {bound}", scores(b), b["originals_taken_for_another"])
        for language, m in measured.items()
        for bound, b in m["bounds"].items()
    )
    columns = cells("recall", "precision", *KINDS)
    tables = [table(cells("embedder `corpus`", columns, "pages taken for others"), bounds)]
    if "model" in quality:
        model = quality["model"]
        rows = (
            cells(f"{name}, cosine {bound}", scores(b))
            for name, m in ((model["name"], model), ("corpus", model["corpus_on_the_same"]))
            for bound, b in m["English"]["bounds"].items()
        )
        tables.append(table(cells(f"{model['pages']} English pages", columns), rows))
    paraphrases = (
        cells(name, language, f"{p['found']} of {p['pairs']}", p["mean_cosine"], p["mean_cosine_of_others"])
        for name, languages in quality["paraphrases"].items()
        for language, p in languages.items()
    )
    runs = (
        cells(
            *(f"{run['documents']:,}", f"{run['wall_seconds']:.0f} s", f"{run['peak_memory_gb']:.1f} GB"),
            f"{run['report']['clusters_of_vectors']:,} / {run['report']['largest_cluster_of_vectors']:,}",
            f"{run['found_of_them']:.3f}",
        )
        for run in result["runs"]
    )
    return blocks(
        f"{quality['measured_on']['pages']:,} pages, the sites of one half; copies that MinHash misses: {sizes}.",
        *tables,
        table("paraphrases |  | found | mean cosine | of texts that are none", paraphrases),
        table("vectors of 384 | time | memory | clusters / largest | planted pairs found", runs),
        taken_on(result, "semantic_dedup", result["spark"]),
    )
