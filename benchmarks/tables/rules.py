"""Quality rules: what survives of gold texts, speed, and agreement with datatrove."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    survival = (
        cells(name, f"{g['pages']:,}", f"{g['survive']:.1%}", f"{g['characters_cut_from_survivors']:.2%}")
        for name, g in result["survival"].items()
        if g["pages"] >= 5
    )
    speed = (
        cells(
            *(language, f"{s['documents']:,}", f"{s['mean_characters']:,}", f"{s['documents_per_cpu_second']:,}"),
            f"{s['share_of_finding_words']:.0%}",
        )
        for language, s in result["speed"].items()
    )
    agreement = (
        cells(f"`{rule}`", *(counts.get(way, 0) for way in ("both", "only_ours", "only_datatrove", "neither")))
        for rule, counts in result["agreement"]["english"].items()
    )
    return blocks(
        table("gold main texts | pages | survive all rules | characters cut", survival),
        table(
            "all rules together | documents | mean characters | documents/CPU s (fastest of 7 passes) | of it finding words",
            speed,
        ),
        table(
            "at equal thresholds, English gold texts dropped by | both | ours alone | datatrove alone | neither",
            agreement,
        ),
        table("Chinese gold texts | ", (cells(*kept) for kept in result["agreement"]["chinese"].items())),
        f"{len(result['steps'])} steps. Data: {result['data']}.",
        taken_on(result, "rules"),
    )
