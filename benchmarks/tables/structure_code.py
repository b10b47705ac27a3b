"""Code, tables and Markdown against gold."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on

WAYS = ("lines", "trafilatura")


def render(result: Json) -> str:
    shares = [
        cells(f"lines of code, {name}", c["code_lines"], *(f"{c[way]['of_all']:.1%}" for way in WAYS), c["wrong"])
        for name, c in result["code"].items()
    ]
    m = result["markdown"]
    shares.append(
        cells("small pages as Markdown", m["pages"], *(f"{m[way]['of_all']:.1%}" for way in WAYS), m["wrong"])
    )
    verdicts = (
        cells(way, sum(t.values()), *(t[v] for v in ("all", "none", "part", "hole")))
        for way, t in result["tables"].items()
    )
    return blocks(
        table("as the gold has them | of | lines | trafilatura | of them wrong in the gold", shares),
        table("tables of five rows and more | of | whole | none | an end lost | a row in the middle lost", verdicts),
        taken_on(result, "structure_code", ""),
    )
