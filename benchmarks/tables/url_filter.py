"""URL filter: memory and speed, and what the default lists drop of gold pages."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    large, default = result["five_million_domains"], result["default_filter"]
    loading = f"{large['text']['load_cpu_s']:.1f} / {large['compiled']['load_cpu_s']:.1f}"
    rows = (
        cells("memory of 5 million domains, MB", f"{large['text']['resident_mb']:.0f}"),
        cells("loading them, from text / compiled, s", loading),
        cells("domain lookups a second", f"{large['lookups_per_s']:,}"),
        cells("URLs a second through all default rules", f"{default['urls_per_s']:,}"),
        cells("gold pages dropped", len(default["pages_dropped"])),
        cells("links on them dropped", sum(default["links_dropped"].values())),
    )
    return blocks(table("URL filter | ", rows), f"Data: {result['data']}.", taken_on(result, "url_filter"))
