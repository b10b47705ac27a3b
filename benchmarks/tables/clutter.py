"""Line model: main text beside peers, quality of line scores, and the bars it has to meet."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def f1_of(means: dict[str, float], kind: str) -> str:
    """F1 of a kind of pages, in means whose names end with the number of pages: `forum (120)`; empty where none is."""
    return next((f"{f1:.3f}" for name, f1 in means.items() if name.startswith(f"{kind} (")), "")


def render(result: Json) -> str:
    kinds = ("all", "article", "documentation", "service", "forum", "listing", "collection", "product")
    sources = result["dom"]["f1"]
    systems = {"**lines**": sources, **result["peers"]}
    counted = (next(name for name in sources["wcxb-dev"] if name.startswith(f"{kind} (")) for kind in kinds)
    english = (cells(name, *(f1_of(f1["wcxb-dev"], kind) for kind in kinds)) for name, f1 in systems.items())
    chinese = (
        cells(name, *(f1_of(f1["zh-gold"], kind) for kind in ("all", "article", "forum")))
        for name, f1 in systems.items()
    )
    every_set = "; ".join(
        f"{source} {name} {f1:.3f}"
        for source, means in sources.items()
        for name, f1 in means.items()
        if name.startswith("all (")
    )
    lines = (
        cells(
            *(language, f"{q['lines']:,}", *(f"{q[key]:.3f}" for key in ("auc", "auc_by_words", "calibration_error"))),
            " ".join(f"{share:.2f}" for share in q["content_by_tenth_of_score"]),
        )
        for language in ("English", "Chinese")
        for q in [result["dom"][f"lines, {language}"]]
    )
    texts = (
        cells(
            *(language, text["pages"], f"{text['clutter_words_share']:.1%}"),
            f"{cut['clutter_dropped']:.1%} (below {cut['threshold']:.2f})",
            f"{text['f1']['all'][0]:.4f}",
        )
        for language, text in result["text"].items()
        for cut in [text["at_1.5_percent_loss"]]
    )
    curve = (
        cells(
            f"{points[0]['threshold']:.2f}",
            *(f"{p['clutter_dropped']:.1%} | {p['content_lost']:.1%} | {p['f1']:.4f}" for p in points),
        )
        for points in zip(*(result["text"][language]["curve"] for language in ("English", "Chinese")), strict=True)
    )
    bars = (
        cells(name, b["measured"], b["bar"], "yes" if b["measured"] >= b["bar"] else "**no**")
        for name, b in result["bars"].items()
    )
    return blocks(
        table(cells("WCXB-dev, word F1, 5 folds by host", *counted), english),
        table("zh-gold, 4-gram F1, 5 folds | all | article | forum", chinese),
        f"F1 of `lines` on every set, in the same folds: {every_set}.",
        table(
            "lines | number | AUC | AUC, by words | calibration error | share of content by tenth of the score", lines
        ),
        table(
            "form `text` on trafilatura's lines | pages | clutter, of words | clutter cut at 1.5 % loss | page F1 uncut",
            texts,
        ),
        table(
            "cut below | English: clutter cut | content lost | page F1 | Chinese: clutter cut | content lost | page F1",
            curve,
        ),
        table("bar | measured | asked for | met", bars),
        taken_on(result, "clutter"),
    )
