"""Line model: main text beside other extractors, kinds of regions, options, and the bars it has to meet."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on

KINDS = ("all", "article", "documentation", "service", "forum", "listing", "collection", "product")
SETS = ("aed-424", "readability-130", "zh-gold", "zh-pages", "annotated regions")


def f1_of(means: dict[str, float], kind: str) -> str:
    """F1 of a kind of pages, in means whose names end with the number of pages: `forum (120)`; empty where none is."""
    return next((f"{f1:.3f}" for name, f1 in means.items() if name.startswith(f"{kind} (")), "")


def counted(means: dict[str, float], kind: str) -> str:
    return next((name for name in means if name.startswith(f"{kind} (")), kind)


def render(result: Json) -> str:
    systems = result["systems"]
    ours = systems["lines"]
    named = {f"**{name}**" if name == "lines" else name: system for name, system in systems.items()}
    tables = {**{name: system["f1"] for name, system in named.items()}, "all lines": result["all_lines"]}
    english = (cells(name, *(f1_of(f1["wcxb-dev"], kind) for kind in KINDS)) for name, f1 in tables.items())
    sets = (cells(name, *(f1_of(f1[source], "all") for source in SETS)) for name, f1 in tables.items())
    chinese_kinds = [("zh-gold", "article"), ("zh-gold", "forum"), ("zh-pages", "article"), ("zh-pages", "listing")]
    chinese = (cells(name, *(f1_of(f1[source], kind) for source, kind in chinese_kinds)) for name, f1 in tables.items())
    languages = [language for language in ours["languages"] if language != "und"]
    of_language = (
        cells(name, *(f"{system['languages'][language][0]:.3f}" for language in languages))
        for name, system in named.items()
    )
    spoken = list(ours["segments"])
    segments = (
        cells(name, *(f"{system['segments'][language]['f1']:.3f}" for language in spoken))
        for name, system in named.items()
    )
    kinds = (
        cells(name, f"{k['lines']:,}", f"{k['precision']:.2f}", f"{k['recall']:.2f}")
        for name, k in result["kinds"].items()
        if name != "all"
    )
    option_sets = ("wcxb-dev", *SETS)
    options = (cells(name, *(f"{f1[source]:.3f}" for source in option_sets)) for name, f1 in result["options"].items())
    lines = (
        cells(
            *(language, f"{q['lines']:,}", *(f"{q[key]:.3f}" for key in ("auc", "auc_by_words", "calibration_error"))),
            " ".join(f"{share:.2f}" for share in q["content_by_tenth_of_score"]),
        )
        for language, q in result["lines"].items()
    )
    bars = (
        cells(name, b["measured"], b["bar"], "yes" if b["measured"] >= b["bar"] else "**no**")
        for name, b in result["bars"].items()
    )
    f1 = ours["f1"]
    return blocks(
        table(cells("WCXB-dev, word F1", *(counted(f1["wcxb-dev"], kind) for kind in KINDS)), english),
        table(cells("other sets", *(f"{s}, {counted(f1[s], 'all')}" for s in SETS)), sets),
        table(cells("Chinese, by kind", *(f"{s}, {counted(f1[s], k)}" for s, k in chinese_kinds)), chinese),
        table(
            cells("trafilatura-990, F1 of segments", *(f"{s} ({ours['segments'][s]['pages']})" for s in spoken)),
            segments,
        ),
        table(
            cells(
                "all sets, by language", *(f"{language} ({ours['languages'][language][1]})" for language in languages)
            ),
            of_language,
        ),
        "Pages with content and no text: "
        + "; ".join(f"{name} {system['empty']}" for name, system in systems.items())
        + ".",
        table("kind of region | lines | precision | recall", kinds),
        f"All kinds: {result['kinds']['all']['accuracy']:.1%} of {result['kinds']['all']['lines']:,} lines right.",
        table(cells("options, F1", *option_sets), options),
        table(
            "lines | number | AUC | AUC, by words | calibration error | share of content by tenth of the score", lines
        ),
        table("bar | measured | asked for | met", bars),
        taken_on(result, "line_model"),
    )
