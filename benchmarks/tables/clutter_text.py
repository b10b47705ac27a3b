"""Line model, form `text`: clutter that it cuts from trafilatura's lines."""

from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
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
    return blocks(
        table(
            "form `text` on trafilatura's lines | pages | clutter, of words | clutter cut at 1.5 % loss | page F1 uncut",
            texts,
        ),
        table(
            "cut below | English: clutter cut | content lost | page F1 | Chinese: clutter cut | content lost | page F1",
            curve,
        ),
        taken_on(result, "clutter_text"),
    )
