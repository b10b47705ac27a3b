"""README's table: this project beside a peer, each row measured in one run on one machine."""

from benchmarks.tables._markdown import blocks, cells, load, table
from benchmarks.tables.clutter import f1_of


def render() -> str:
    clutter, speed = load("clutter"), load("line_speed")
    ours, peer = clutter["dom"]["f1"], clutter["peers"]["trafilatura default"]
    ratio = {name: s["cpu_ratio_to_ours"]["datatrove, signature step"] for name, s in load("minhash")["speed"].items()}
    kept = {name: text.partition(" ")[0] for name, text in load("rules")["agreement"]["chinese"].items()}
    fuzzy, semantic = load("fuzzy_dedup")["runs"][-1], load("semantic_dedup")["runs"][-1]
    lines, rule_based = "[lines](docs/lines.md)", "[rule_based](docs/rule_based.md)"
    rows = (
        cells(
            "main text of 1,227 English pages (WCXB-dev), word F1",
            *(f1_of(ours["wcxb-dev"], "all"), f"{f1_of(peer['wcxb-dev'], 'all')} trafilatura", lines),
        ),
        cells(
            "main text of 81 Chinese pages, 4-gram F1",
            *(f1_of(ours["zh-gold"], "all"), f"{f1_of(peer['zh-gold'], 'all')} trafilatura", lines),
        ),
        cells(
            "the same, pages per CPU second",
            f"{speed['lines']['pages_per_cpu_s']:.0f}",
            *(f"{speed['trafilatura']['pages_per_cpu_s']:.0f} trafilatura", lines),
        ),
        cells(
            *("good Chinese pages that the quality rules keep, of 81", kept["the rules here"]),
            f"{kept['datatrove GopherQualityFilter, defaults']} datatrove's Gopher quality filter as it comes",
            rule_based,
        ),
        cells(
            *("CPU time of MinHash, 128 bands of 16 rows, English / Chinese", "1 / 1"),
            *(f"{ratio['English']:.0f} / {ratio['Chinese']:.0f} datatrove", rule_based),
        ),
        cells(
            f"fuzzy deduplication of {fuzzy['documents']:,} pages on two cores",
            f"{fuzzy['wall_seconds']['stage'] / 60:.0f} min, {fuzzy['peak_memory_gb']['all']:.1f} GB",
            *("", rule_based),
        ),
        cells(
            f"semantic deduplication of {semantic['documents']:,} vectors on two cores",
            f"{semantic['wall_seconds']:.0f} s, {semantic['peak_memory_gb']:.1f} GB",
            *("", "[model_based](docs/model_based.md)"),
        ),
    )
    return blocks(table("measured | corpusmill | beside it | more", rows))
