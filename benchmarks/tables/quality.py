"""Quality of pages: good against poor ones, and what each bound keeps."""

from benchmarks.tables._classifiers import FINAL, FOLDS, agreement, by_input, interval, speed
from benchmarks.tables._markdown import Json, blocks, cells, table, taken_on


def render(result: Json) -> str:
    final, inputs, evaluation = (result["evaluation"][name] for name in ("final", "inputs", "folds"))
    first = next(iter(evaluation.values()))
    dimensions = first["auc_of_dimensions"]
    auc = [
        *(cells(name, *(interval(e["auc"][name]) for e in evaluation.values())) for name in first["auc"]),
        cells("fastText, words alone", *(interval(result["fasttext"][language]) for language in evaluation)),
    ]
    about = (
        cells(
            *(name, f"{e['pages']:,} / {e['sites']:,}"),
            *(f"{100 * e[share]:.0f} %" for share in ("largest_site", "share_good")),
            *(f"{e['rank_correlation_with_score']:.3f}", f"{e['calibration_error']:.3f}"),
            *(f"{value:.2f}" for value in e["auc_of_dimensions"].values()),
        )
        for name, e in evaluation.items()
    )
    bounds = (
        cells(
            row[0]["bound"],
            *(f"{100 * b['good_kept']:.0f} / {100 * b['poor_dropped']:.0f} / {100 * b['dropped']:.0f}" for b in row),
        )
        for row in zip(*(e["bounds"] for e in evaluation.values()), strict=True)
    )
    bins = (cells(name, " ".join(f"{b['true']:.2f}" for b in e["calibration"])) for name, e in evaluation.items())
    columns = {"good": "kappa, good", "auc_of_second_score": "AUC of the second's score"}
    auc_of = cells(*(f"AUC, {name} ≥ 2" for name in dimensions))
    columns_of_inputs = "ROC AUC, good against poor [95 %]"
    return blocks(
        by_input(FINAL, columns_of_inputs, final, lambda auc: [interval(auc)]),
        by_input(FOLDS, columns_of_inputs, inputs, lambda auc: [interval(auc)]),
        table(cells("ROC AUC, good against poor [95 %]", *evaluation), auc),
        table(
            f" | pages / sites | largest site | good | rank correlation with the score | calibration error | {auc_of}",
            about,
        ),
        table(cells("bound: % of good kept / poor dropped / all dropped", *evaluation), bounds),
        table("share of good by tenth of the probability | ", bins),
        agreement(result, columns | {f"dimensions.{name}": name for name in dimensions}),
        speed(result),
        taken_on(result, "page_classifiers"),
    )
