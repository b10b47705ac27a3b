"""Addresses of harmless sites that the URL filter drops, and hosts of listed ones that its words catch."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    harmless, listed, made = result["harmless"], result["listed"], result["chinese_words_and_headlines"]
    columns = ("urls", "hosts", "dropped", "wrong", "unsure", "unread")
    total = {c: sum(of.get(c, 0) for of in harmless.values()) for c in columns}
    rows = (cells(name, *(f"{of.get(c, 0):,}" for c in columns)) for name, of in (*harmless.items(), ("all", total)))
    words = ", ".join(f"`{word}` {count}" for word, count in result["words"].items())
    caught = (
        cells(name, f"{of['hosts']:,}", *(f"{100 * of[c]:.1f}" for c in ("by_words", "by_words_and_lists")))
        for name, of in listed.items()
    )
    return blocks(
        table("harmless sites | addresses | hosts | dropped | of them wrong | unsure | not read", rows),
        f"Words that decided: {words}.",
        f"Chinese dictionary words and headlines as paths: {made['addresses']:,}, dropped {made['dropped']}.",
        table("listed hosts | hosts | the words alone, % | words and lists, %", caught),
        taken_on(result, "url_words", ""),
    )
