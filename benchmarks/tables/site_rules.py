"""Rules for one site: what they cut, of gold texts too."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    totals = result["totals"]
    cut_of_gold = f"{totals.get('gold_characters_cut', 0):,} of {totals['gold_characters']:,}"
    rows = (
        cells("sites with rules / with gold pages", f"{result['sites']} / {result['sites_with_gold_pages']}"),
        cells("pages looked at / dropped", f"{totals['pages']:,} / {totals.get('pages_dropped', 0):,}"),
        cells("characters cut that are not in the gold text", f"{totals.get('cut_clutter', 0):,}"),
        cells("characters cut that are", f"{totals.get('cut_in_gold', 0):,}"),
        cells("cut from the gold texts themselves, of", cut_of_gold),
        cells("documents/CPU s where no rule applies", f"{result['documents_per_cpu_second_without_rules']:,}"),
    )
    return blocks(table("rules for one site | ", rows), taken_on(result, "site_rules"))
