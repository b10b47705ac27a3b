"""Categories: accuracy over 200 classes, beside simpler models, and by class."""

from collections.abc import Iterator

from benchmarks.tables._classifiers import FINAL, FOLDS, by_input, interval, speed
from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on

BASELINES = {"commonest": "commonest classes", "fasttext": "fastText, words alone", "linear": "linear, same inputs"}


def systems(language: Json) -> Iterator[tuple[str, Json]]:
    """Title and scores: baselines, the model, and the model on parts of the pages."""
    for key, title in BASELINES.items():
        yield title, language[key] | {"pages": language["pages"]}
    yield "**the model**", language
    yield "the model, classes of several sites", language["of_several_sites"]
    if language["first_round"]["pages"] != language["pages"]:
        yield "the model, pages of the first round", language["first_round"]


COLUMNS = "top-1 of 200 [95 %] | top-5 [95 %] | either of a page's two classes | group | balancing group"


def of_input(s: Json) -> tuple[str, ...]:
    shares = (f"{s[name]:.3f}" for name in ("either", "group_accuracy", "balance_accuracy"))
    return (interval(s["top_1"]), interval(s["top_5"]), *shares)


def scores(row: list[float] | None) -> str:
    return "–" if row is None else f"{row[0]:.2f} / {row[1]:.2f} / {row[2]:.2f} ({row[3]})"


def render(result: Json) -> str:
    evaluation = result["evaluation"]
    labels, unproven = evaluation["classes"], evaluation["unproven"]
    accuracy = (
        cells(
            *(f"{name}: {title}", s["pages"], interval(s["top_1"]), interval(s["top_5"])),
            *(
                f"{s['group_macro_f1']:.3f} ({s['groups']})",
                f"{s['group_accuracy']:.3f}",
                f"{s['balance_accuracy']:.3f}",
            ),
        )
        for name, language in evaluation["languages"].items()
        for title, s in systems(language)
    )
    sites = (
        cells(name, s["pages"], s["sites"], f"{100 * s['largest_site']:.1f} %", f"{s['calibration_error']:.3f}")
        for name, s in evaluation["languages"].items()
    )
    classes = (
        cells(f"`{label}`", scores(row.get("en")), scores(row.get("zh")))
        for label, row in labels.items()
        if label not in unproven
    )
    few = ", ".join(f"`{label}`" for label in unproven if label in labels)
    none = ", ".join(f"`{label}`" for label in unproven if label not in labels)
    return blocks(
        by_input(FINAL, COLUMNS, evaluation["final"], of_input),
        by_input(FOLDS, COLUMNS, evaluation["inputs"], of_input),
        table(
            "folds by site | pages | top-1 of 200 [95 %] | top-5 [95 %] | group macro-F1 (groups) | group | balancing group",
            accuracy,
        ),
        table(" | pages | sites | largest site, of all pages | calibration error", sites),
        table("precision / recall / F1 (pages) | English | Chinese", classes),
        f"**Unproven**, fewer than ten annotated pages: {few}. No annotated page, nor one that was called so: {none}.",
        speed(result),
        taken_on(result, "category"),
    )
